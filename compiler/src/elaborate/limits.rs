//! Limits that keep a check bounded in time and memory, whatever the program is. Each is told once, with its place.

use super::Elaborator;
use nnc_base::{Diagnostic, Span};
use nnc_ir::Dim;

/// Expressions evaluated before data arrive, per entry, at most.
pub const MAX_WORK: usize = 1_000_000;
/// Elements of one tensor, at most.
pub const MAX_ELEMENTS: i64 = 1 << 40;
/// Symbols in one size, counted with those inside quotients, at most.
pub const MAX_SYMBOLS: usize = 2048;

impl<'a> Elaborator<'a> {
    /// Takes some of the work that may be done before data arrive; false when it is used up.
    pub(crate) fn spend(&mut self, amount: usize, span: Span) -> bool {
        self.work = self.work.saturating_add(amount);
        if self.work <= MAX_WORK {
            return true;
        }
        if !std::mem::replace(&mut self.exhausted, true) {
            let message = format!("what is computed before data arrive takes more than {MAX_WORK} steps");
            self.report(
                Diagnostic::error("limit::loops", span, message)
                    .here("the last of them is here")
                    .help("use `loop`, `stack` or `repeat`, whose bodies are looked at once"),
            );
        }
        false
    }

    /// Whether a shape can exist: no negative size, and not too many elements. Reports it.
    pub(crate) fn check_shape(&mut self, shape: &[Dim], what: &str, span: Span) -> bool {
        let mut elements = Some(1i64);
        for (place, size) in shape.iter().enumerate() {
            if size.is_poisoned() || size.exceeds(MAX_SYMBOLS) {
                let message = format!("a size of {what} is too large to compute with");
                self.report(Diagnostic::error("limit::number", span, message));
                return false;
            }
            let Some(number) = size.as_constant() else { continue };
            if number < 0 {
                let message = format!("axis {} of {what} has size {number}", place + 1);
                self.report(
                    Diagnostic::error("dim::negative", span, message)
                        .help("sizes are not negative; look at what is subtracted"),
                );
                return false;
            }
            elements = elements.and_then(|elements| elements.checked_mul(number));
        }
        if elements.is_none_or(|elements| elements > MAX_ELEMENTS) {
            let sizes: Vec<String> = shape.iter().map(ToString::to_string).collect();
            let (sizes, most) = (sizes.join(" × "), MAX_ELEMENTS.ilog2());
            let message = format!("{what} has {sizes} elements, more than 2^{most}");
            self.report(Diagnostic::error("limit::size", span, message).help("choose smaller sizes"));
            return false;
        }
        true
    }
}
