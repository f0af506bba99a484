//! Slips that the grammar lets pass: `=` where a slot of the same body is meant
//! to be written. `=` names a new value, so the slot would keep its old one.

use crate::syntax::{
    Body, Code, Else, Entry, EntryHead, Expr, ExprKind, Field, Item, ItemKind, SlotKind, Stmt, StmtKind,
};
use crate::tree::Reader;
use nnc_base::{Diagnostic, Span};

/// Reports every entry that has the name of a slot around it.
pub(crate) fn check(reader: &mut Reader, items: &[Item]) {
    for item in items {
        match &item.kind {
            ItemKind::Decl(decl) => Slots::default().body(reader, &decl.body),
            ItemKind::Fn(function) => Slots::default().code(reader, &function.code),
            _ => {}
        }
    }
}

/// The slots in scope that `:=` may write.
#[derive(Clone, Default)]
struct Slots(Vec<(String, Span)>);

impl Slots {
    /// A body sees the slots around it and its own.
    fn body(&self, reader: &mut Reader, body: &Body) {
        let mut slots = self.clone();
        slots.0.extend(body.stmts.iter().filter_map(slot));
        body.stmts.iter().for_each(|stmt| slots.stmt(reader, stmt));
    }

    fn code(&self, reader: &mut Reader, code: &Code) {
        match code {
            Code::Expr(value) => self.expr(reader, value),
            Code::Body(body) => self.body(reader, body),
        }
    }

    fn stmt(&self, reader: &mut Reader, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::Entry(entry) => self.entry(reader, entry),
            StmtKind::Loop(repeat) => self.body(reader, &repeat.body),
            StmtKind::Expr(expr) => self.expr(reader, expr),
            _ => {}
        }
    }

    fn entry(&self, reader: &mut Reader, entry: &Entry) {
        let slot = self.0.iter().find(|(name, _)| *name == entry.name.text);
        match (&entry.head, &entry.code, slot) {
            (EntryHead::Plain | EntryHead::Index(_), Code::Expr(_), Some((_, place))) => {
                reader.report(slip(entry, *place));
            }
            (EntryHead::Params(params), code, _) => self.without(params).code(reader, code),
            (_, code, _) => self.code(reader, code),
        }
    }

    /// Parameters hide slots.
    fn without(&self, params: &[Field]) -> Slots {
        let hidden = |name: &str| params.iter().any(|param| param.name.text == name);
        Slots(self.0.iter().filter(|(name, _)| !hidden(name)).cloned().collect())
    }

    /// Only `if` holds statements of this body; lambdas and records hold none.
    fn expr(&self, reader: &mut Reader, expr: &Expr) {
        let ExprKind::If { then, other, .. } = &expr.kind else { return };
        self.body(reader, then);
        match other.as_deref() {
            Some(Else::If(next)) => self.expr(reader, next),
            Some(Else::Body(body)) => self.body(reader, body),
            None => {}
        }
    }
}

fn slot(stmt: &Stmt) -> Option<(String, Span)> {
    match &stmt.kind {
        StmtKind::Slot(slot)
            if !matches!(slot.kind, SlotKind::Input | SlotKind::Output | SlotKind::Branch) =>
        {
            Some((slot.name.text.clone(), slot.name.span))
        }
        _ => None,
    }
}

fn slip(entry: &Entry, slot: Span) -> Diagnostic {
    let name = &entry.name.text;
    Diagnostic::error("syntax::assign", entry.name.span, format!("`=` names a new value; `{name}` is a slot"))
        .label(slot, "the slot")
        .help(format!("write it: `{name} := ..`"))
}
