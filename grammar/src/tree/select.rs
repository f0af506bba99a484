//! Selections of paths: `**.mlp.layer[0..4].w/h`. The grammar takes them as one
//! token, so that no blank slips in; here they are cut.

use super::{Grammar, Reader, Rule};
use crate::syntax::{Expr, ExprKind, Name, Seg, SegKind, Select};
use nnc_base::{Diagnostic, Span};
use pest::Parser;

impl Reader<'_> {
    pub(super) fn select(&mut self, text: &str, span: Span) -> Select {
        let mut segs = Vec::new();
        let mut axis = None;
        for (place, part) in parts(text) {
            let start = span.start as usize + place;
            match text[..place].ends_with('/') {
                true => axis = Some(self.segment_name(part, start)),
                false => segs.push(self.segment(part, start)),
            }
        }
        Select { segs, axis, span }
    }

    fn segment_name(&self, text: &str, start: usize) -> Name {
        Name { text: text.to_owned(), span: self.clamped(start, start + text.len()) }
    }

    fn segment(&mut self, text: &str, start: usize) -> Seg {
        let span = self.clamped(start, start + text.len());
        let kind = match text {
            "**" => SegKind::Many,
            "*" => SegKind::Any,
            _ => self.named(text, start),
        };
        Seg { kind, span }
    }

    fn named(&mut self, text: &str, start: usize) -> SegKind {
        let Some((name, rest)) = text.split_once('[') else {
            return SegKind::Name { name: self.segment_name(text, start), range: None };
        };
        let range = self.range(rest.trim_end_matches(']'), start + name.len() + 1);
        SegKind::Name { name: self.segment_name(name, start), range: Some(Box::new(range)) }
    }

    /// The copies a segment selects, parsed on their own.
    fn range(&mut self, text: &str, start: usize) -> Expr {
        let parsed = Grammar::parse(Rule::range, text).ok();
        let Some(expr) = parsed.and_then(|mut all| all.next()).and_then(|range| range.into_inner().next())
        else {
            let span = self.clamped(start, start + text.len());
            let error = Diagnostic::error("syntax::expected", span, format!("`{text}` selects no copies"));
            self.report(error.help("write a number or a range: `layer[3]`, `layer[0..4]`"));
            return Expr { kind: ExprKind::Error, span };
        };
        let outer = std::mem::replace(&mut self.base, start);
        let expr = self.expr(expr);
        self.base = outer;
        expr
    }
}

/// The segments of a selection and where each begins; dots in brackets cut nothing.
fn parts(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let (mut start, mut inside) = (0, false);
    for (at, sign) in text.char_indices() {
        inside = sign == '[' || inside && sign != ']';
        if !inside && matches!(sign, '.' | '/') {
            found.push((start, &text[start..at]));
            start = at + 1;
        }
    }
    found.push((start, &text[start..]));
    found
}
