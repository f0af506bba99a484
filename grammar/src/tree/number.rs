//! Numbers: ints stay ints; a dot, an exponent or a percent sign makes a real.

use super::Reader;
use crate::syntax::{Expr, ExprKind};
use nnc_base::{Diagnostic, Span};

impl Reader<'_> {
    pub(super) fn number(&mut self, text: &str, span: Span) -> Expr {
        let kind = value(text).unwrap_or_else(|bound| {
            let message = format!("`{text}` is too large");
            self.report(Diagnostic::error("syntax::number", span, message).help(bound));
            ExprKind::Error
        });
        Expr { kind, span }
    }
}

/// The value of a number, or what it may be at most.
fn value(text: &str) -> Result<ExprKind, String> {
    let (digits, scale) = text.strip_suffix('%').map_or((text, 1.0), |digits| (digits, 100.0));
    if digits.len() == text.len() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return digits.parse().map(ExprKind::Int).map_err(|_| format!("an int is at most {}", i64::MAX));
    }
    match digits.parse::<f64>() {
        Ok(real) if real.is_finite() => Ok(ExprKind::Real(real / scale)),
        _ => Err("a real is at most 1.7e308".to_owned()),
    }
}
