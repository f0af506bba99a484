//! Bodies and statements.

use super::{Kids, Node, Reader, Rule};
use crate::syntax::{
    Bind, Body, Entry, EntryHead, Fit, Loop, Penalty, Place, PlaceKind, Rule as Line, Setting, SettingKind,
    Slot, SlotKind, Stmt, StmtKind, Write,
};

impl Reader<'_> {
    pub(crate) fn body(&mut self, node: Node) -> Body {
        let span = self.span(&node);
        if let Some(hole) = self.holes.iter().find(|hole| hole.open == span.start as usize).cloned() {
            return Body { stmts: self.statements(hole.inside), span };
        }
        Body { stmts: node.into_inner().map(|stmt| self.stmt(stmt)).collect(), span }
    }

    pub(crate) fn stmt(&mut self, node: Node) -> Stmt {
        let span = self.span(&node);
        let mut kids = Kids::of(node);
        let what = kids.must();
        let kind = match what.as_rule() {
            Rule::doc => StmtKind::Doc(self.doc(&what)),
            Rule::slot => StmtKind::Slot(self.slot(what)),
            Rule::penalty => StmtKind::Penalty(self.penalty(what)),
            Rule::let_ => StmtKind::Let(self.bind(kids.must())),
            Rule::r#loop => StmtKind::Loop(self.repeat(what)),
            Rule::fit => StmtKind::Fit(self.fit(what)),
            Rule::rule => StmtKind::Rule(self.line(what)),
            Rule::write => StmtKind::Write(self.write(what)),
            Rule::entry => StmtKind::Entry(self.entry(what)),
            _ => StmtKind::Expr(self.expr(what)),
        };
        Stmt { kind, span }
    }

    fn slot(&mut self, node: Node) -> Slot {
        let mut kids = Kids::of(node);
        let kind = match kids.must().as_str() {
            "weight" => SlotKind::Weight,
            "state" => SlotKind::State,
            "cache" => SlotKind::Cache,
            "carry" => SlotKind::Carry,
            "input" => SlotKind::Input,
            "output" => SlotKind::Output,
            _ => SlotKind::Branch,
        };
        let name = self.name(&kids.must());
        let index = kids.take(Rule::index).map(|index| self.index(index));
        let ty = kids.take(Rule::r#type).map(|ty| self.ty(ty));
        let init = kids.take(Rule::expr).map(|init| self.expr(init));
        let was = kids.after(Rule::was_).map(|text| self.quoted(&text));
        Slot { kind, name, index, ty, init, was }
    }

    fn penalty(&mut self, node: Node) -> Penalty {
        let mut kids = Kids::of(node);
        kids.take(Rule::penalty_);
        Penalty { name: self.name(&kids.must()), value: self.expr(kids.must()) }
    }

    pub(super) fn bind(&mut self, node: Node) -> Bind {
        let mut kids = Kids::of(node);
        let place = self.place(kids.must());
        let ty = kids.take(Rule::r#type).map(|ty| self.ty(ty));
        Bind { place, ty, value: self.expr(kids.must()) }
    }

    pub(super) fn place(&mut self, node: Node) -> Place {
        let span = self.span(&node);
        let tuple = node.as_str().starts_with('(');
        let mut kids = Kids::of(node);
        let mut path = Vec::new();
        while let Some(name) = kids.take(Rule::name) {
            path.push(self.name(&name));
        }
        let index = kids.take(Rule::index).map(|index| self.index(index));
        let kind = if tuple { PlaceKind::Tuple(path) } else { PlaceKind::Path { path, index } };
        Place { kind, span }
    }

    fn write(&mut self, node: Node) -> Write {
        let mut kids = Kids::of(node);
        Write { place: self.place(kids.must()), value: self.expr(kids.must()) }
    }

    fn entry(&mut self, node: Node) -> Entry {
        let mut kids = Kids::of(node);
        let name = self.name(&kids.must());
        let head = match kids.peek() {
            Some(Rule::params) => EntryHead::Params(self.params(kids.must())),
            Some(Rule::index) => EntryHead::Index(self.index(kids.must())),
            _ => EntryHead::Plain,
        };
        Entry { name, head, code: self.code(kids.must()) }
    }

    fn repeat(&mut self, node: Node) -> Loop {
        let mut kids = Kids::of(node);
        let rolled = kids.must().as_rule() == Rule::loop_;
        let place = self.place(kids.must());
        kids.take(Rule::in_);
        Loop { rolled, place, over: self.expr(kids.must()), body: self.body(kids.must()) }
    }

    fn fit(&mut self, node: Node) -> Fit {
        let mut kids = Kids::of(node);
        kids.take(Rule::fit_);
        Fit { count: self.expr(kids.must()), body: self.body(kids.must()) }
    }

    fn line(&mut self, node: Node) -> Line {
        let mut kids = Kids::of(node);
        let mut selects = Vec::new();
        while let Some(select) = kids.take(Rule::select) {
            selects.push(self.select(select.as_str(), self.span(&select)));
        }
        let mut settings = Vec::new();
        while let Some(setting) = kids.take(Rule::setting) {
            settings.push(self.setting(setting));
        }
        Line { selects, settings }
    }

    fn setting(&mut self, node: Node) -> Setting {
        let span = self.span(&node);
        let mut kids = Kids::of(node);
        let what = kids.must();
        let kind = match what.as_rule() {
            Rule::frozen_ => SettingKind::Frozen,
            Rule::name => SettingKind::Set { name: self.name(&what), value: self.expr(kids.must()) },
            Rule::by => SettingKind::By(self.policies(what)),
            _ => {
                let pattern = self.pattern(what);
                let by = kids.take(Rule::by).map(|by| self.policies(by)).unwrap_or_default();
                SettingKind::Pattern { pattern, by }
            }
        };
        Setting { kind, span }
    }

    fn policies(&mut self, node: Node) -> Vec<crate::syntax::Expr> {
        let each = node.into_inner().filter(|part| part.as_rule() == Rule::expr);
        each.map(|policy| self.expr(policy)).collect()
    }
}
