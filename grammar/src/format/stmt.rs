//! Bodies and statements.

use super::align::{Class, Row, align};
use super::doc::{Doc, broken_by, concat, empty, group, hard, line, nest, text};
use super::pen::Pen;
use crate::syntax::{
    Bind, Body, Code, Entry, EntryHead, Expr, Field, Fit, Loop, Place, PlaceKind, Rule, Setting, SettingKind,
    Slot, Stmt, StmtKind,
};

impl Pen<'_> {
    /// A body stays on one line only if it was written on one.
    pub(super) fn body(&mut self, body: &Body) -> Doc {
        let open = self.token();
        if body.stmts.is_empty() {
            return self.enclosed(open, Vec::new(), false);
        }
        let broken = self.breaks();
        let (mut rows, mut close, mut seams) = (Vec::new(), Vec::new(), Vec::new());
        for (at, stmt) in body.stmts.iter().enumerate() {
            let seam = if broken { self.seam(at, &mut close) } else { self.joint(at, &mut close) };
            seams.push(seam);
            rows.push(self.row(stmt));
        }
        let docs = align(rows, &close);
        let mut inner: Vec<Doc> = seams.into_iter().zip(docs).flat_map(|(seam, doc)| [seam, doc]).collect();
        inner.push(self.last_comments());
        let end = if broken { hard() } else { line() };
        group(concat([open, nest(concat(inner)), end, self.token()]))
    }

    fn seam(&mut self, at: usize, close: &mut Vec<bool>) -> Doc {
        let between = self.between(at == 0);
        close.push(between.close);
        between.doc
    }

    fn joint(&mut self, at: usize, close: &mut Vec<bool>) -> Doc {
        if at > 0 && self.breaks() {
            return self.seam(at, close);
        }
        close.push(true);
        let comment = self.trailing();
        concat([comment, if at == 0 { line() } else { broken_by("; ") }])
    }

    fn row(&mut self, stmt: &Stmt) -> Row {
        match &stmt.kind {
            StmtKind::Slot(slot) => self.slot(slot),
            StmtKind::Let(bind) => self.bind(bind),
            StmtKind::Rule(rule) => self.rule(rule),
            StmtKind::Write(write) => {
                let place = self.place(&write.place);
                Row {
                    class: Some(Class::Write),
                    cells: vec![place],
                    tail: self.assigned(&write.value),
                    space: "",
                }
            }
            StmtKind::Entry(entry) => self.entry(entry),
            _ => Row::whole(self.whole(stmt)),
        }
    }

    /// A statement without columns.
    fn whole(&mut self, stmt: &Stmt) -> Doc {
        match &stmt.kind {
            StmtKind::Doc(_) => concat([self.token(), self.trailing()]),
            StmtKind::Penalty(penalty) => {
                concat([self.before(), self.token(), self.assigned(&penalty.value)])
            }
            StmtKind::Loop(repeat) => self.repeat(repeat),
            StmtKind::Fit(fit) => self.fit(fit),
            StmtKind::Expr(expr) => self.expr(expr),
            _ => self.verbatim(stmt.span),
        }
    }

    fn slot(&mut self, slot: &Slot) -> Row {
        let kind = self.token();
        let name = self.token();
        let name = concat([name, slot.index.as_ref().map_or_else(empty, |index| self.index(index))]);
        let cells = match &slot.ty {
            None => vec![kind, name],
            Some(ty) => vec![kind, concat([name, self.token()]), self.ty(ty)],
        };
        let init = slot.init.as_ref().map_or_else(empty, |init| self.assigned(init));
        let was = slot.was.as_ref().map_or_else(empty, |_| concat([self.spaced(), self.token()]));
        let class = slot.ty.as_ref().map_or(Class::Untyped, |_| Class::Typed);
        Row { class: Some(class), cells, tail: concat([init, was]), space: " " }
    }

    pub(super) fn bind(&mut self, bind: &Bind) -> Row {
        let place = concat([self.before(), self.place(&bind.place)]);
        let (class, place) = match &bind.ty {
            None => (Some(class(&bind.place)), place),
            Some(ty) => (None, concat([place, self.before(), self.ty(ty)])),
        };
        Row { class, cells: vec![place], tail: self.assigned(&bind.value), space: "" }
    }

    fn entry(&mut self, entry: &Entry) -> Row {
        let name = self.token();
        let head = match &entry.head {
            EntryHead::Plain => empty(),
            EntryHead::Params(params) => self.params(params),
            EntryHead::Index(index) => self.index(index),
        };
        let head = concat([name, head]);
        match &entry.code {
            Code::Body(body) => Row::whole(concat([head, text(" "), self.body(body)])),
            Code::Expr(value) => {
                Row { class: Some(Class::Entry), cells: vec![head], tail: self.assigned(value), space: "" }
            }
        }
    }

    /// Parameters in round brackets; one per line, they align.
    pub(super) fn params(&mut self, params: &[Field]) -> Doc {
        let open = concat([self.token(), self.trailing()]);
        let (mut rows, mut ends) = (Vec::new(), Vec::new());
        for (at, param) in params.iter().enumerate() {
            rows.push(self.field_row(param));
            self.skip_comma();
            let last = at + 1 == params.len();
            ends.push(match last {
                true => super::doc::comma(),
                false => concat([text(","), self.trailing(), line()]),
            });
        }
        let close = vec![true; rows.len()];
        let inner = align(rows, &close).into_iter().zip(ends).flat_map(|(row, end)| [row, end]).collect();
        self.enclosed(open, inner, false)
    }

    fn repeat(&mut self, repeat: &Loop) -> Doc {
        let head = concat([
            self.before(),
            self.place(&repeat.place),
            self.spaced(),
            self.expr(&repeat.over),
            text(" "),
        ]);
        concat([head, self.body(&repeat.body)])
    }

    fn fit(&mut self, fit: &Fit) -> Doc {
        concat([self.before(), self.expr(&fit.count), text(" "), self.body(&fit.body)])
    }

    fn rule(&mut self, rule: &Rule) -> Row {
        let mut selects = Vec::new();
        for (at, select) in rule.selects.iter().enumerate() {
            if at > 0 {
                selects.extend([self.token(), self.trailing(), line()]);
            }
            selects.push(self.verbatim(select.span));
        }
        let selects = group(nest(concat(selects)));
        let mut tail = vec![self.spaced()];
        for (at, setting) in rule.settings.iter().enumerate() {
            if at > 0 {
                tail.extend([self.token(), self.trailing(), line()]);
            }
            tail.push(self.setting(setting));
        }
        Row { class: Some(Class::Rule), cells: vec![selects], tail: group(nest(concat(tail))), space: "" }
    }

    fn setting(&mut self, setting: &Setting) -> Doc {
        match &setting.kind {
            SettingKind::Frozen => self.token(),
            SettingKind::Set { value, .. } => concat([self.token(), self.assigned(value)]),
            SettingKind::By(policies) => self.policies(policies),
            SettingKind::Pattern { pattern, by } => {
                let pattern = self.pattern(pattern);
                let space = text(if by.is_empty() { "" } else { " " });
                concat([pattern, space, self.policies(by)])
            }
        }
    }

    /// `by A() then B()`.
    fn policies(&mut self, policies: &[Expr]) -> Doc {
        let mut parts = Vec::new();
        for (at, policy) in policies.iter().enumerate() {
            parts.push(if at == 0 { self.before() } else { self.spaced() });
            parts.push(self.expr(policy));
        }
        concat(parts)
    }
}

fn class(place: &Place) -> Class {
    match &place.kind {
        PlaceKind::Path { index: Some(_), .. } => Class::LetIndexed,
        _ => Class::Let,
    }
}
