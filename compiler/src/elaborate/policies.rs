//! Policies on a weight: their scope, their slots, and what the weight looks like to the model (`view`, `grad`,
//! `export`, `init`).

use super::Elaborator;
use super::Frame;
use super::bodies::writes_of;
use super::modules::snake;
use super::slots::{OnWeight, Start};
use super::values::{Binding, Scope, Tensor, Val};
use nnc_base::Diagnostic;
use nnc_grammar::syntax as ast;
use nnc_ir::graph::SlotKind;
use nnc_ir::ops;
use std::rc::Rc;

/// Entries with a fixed meaning; any other name is an event.
const ENTRIES: &[&str] = &["init", "before", "free", "view", "grad", "observe", "step", "after", "export"];

impl<'a> Elaborator<'a> {
    /// A weight through the views of its policies.
    pub(crate) fn viewed(&mut self, slot: usize, raw: Tensor) -> Val<'a> {
        let policies = self.slots[slot].policies.clone();
        let mut value = Val::Tensor(raw);
        for (place, policy) in policies.iter().enumerate() {
            let Val::Tensor(w) = &value else { return value };
            let w = w.clone();
            value = self.view(slot, place, policy, w);
        }
        value
    }

    fn view(&mut self, slot: usize, place: usize, policy: &OnWeight<'a>, w: Tensor) -> Val<'a> {
        // Outside training the model sees what would be exported.
        if let Some(export) = entry(policy.decl, "export").filter(|_| !self.mode.training) {
            return self.exported(slot, place, policy, export, w);
        }
        let Some(view) = entry(policy.decl, "view") else { return Val::Tensor(w) };
        let grad = entry(policy.decl, "grad");
        let Some(grad) = grad else {
            let Some(scope) = self.enter_policy(slot, place, policy, Val::Tensor(w.clone())) else {
                return Val::Unknown;
            };
            let seen = self.entry_value(view, &scope, &[]);
            self.leave_policy();
            return self.same_type(&Val::Tensor(w), seen, "view", policy.span);
        };
        // `grad` replaces the pullback of the view.
        let ty = self.ty(w.value).clone();
        self.b.open();
        let inside = Tensor { value: self.b.param(ty.clone()), ..w.clone() };
        let forward = self.policy_body(slot, place, policy, view, inside, &[]);
        let block = self.b.close(forward.iter().map(|t| t.value).collect());
        self.b.open();
        let again = Tensor { value: self.b.param(ty.clone()), ..w.clone() };
        self.b.param(ty.clone());
        let g = Tensor { value: self.b.param(ty), ..w.clone() };
        let backward = self.policy_body(slot, place, policy, grad, again, &[Val::Tensor(g)]);
        let back = self.b.close(backward.iter().map(|t| t.value).collect());
        if forward.is_none() || backward.is_none() {
            return Val::Unknown;
        }
        match self.b.try_apply_blocks(ops::Rule.into(), &[w.value], vec![block, back]) {
            Ok(values) => Val::Tensor(Tensor { value: values[0], ..w }),
            Err(error) => self.fail(Diagnostic::error("grad::backward", policy.span, error.message)),
        }
    }

    fn exported(
        &mut self,
        slot: usize,
        place: usize,
        policy: &OnWeight<'a>,
        export: &'a ast::Entry,
        w: Tensor,
    ) -> Val<'a> {
        let draws = self.sites;
        let value = self.policy_body(slot, place, policy, export, w, &[]);
        if self.sites != draws {
            let message = "`export` is random";
            return self.fail(
                Diagnostic::error("rate::export", export.name.span, message).help("use the mean instead"),
            );
        }
        value.map_or(Val::Unknown, Val::Tensor)
    }

    fn policy_body(
        &mut self,
        slot: usize,
        place: usize,
        policy: &OnWeight<'a>,
        code: &'a ast::Entry,
        w: Tensor,
        args: &[Val<'a>],
    ) -> Option<Tensor> {
        let scope = self.enter_policy(slot, place, policy, Val::Tensor(w.clone()))?;
        let value = self.entry_value(code, &scope, args);
        self.leave_policy();
        match self.same_type(&Val::Tensor(w), value, &code.name.text, policy.span) {
            Val::Tensor(tensor) => Some(tensor),
            _ => None,
        }
    }

    /// Makes the slots of a new weight's policies and runs `init` and `before`, in this order.
    pub(crate) fn make_policies(&mut self, slot: usize) {
        let outer = self.making.replace(slot);
        for (place, policy) in self.slots[slot].policies.clone().iter().enumerate() {
            let w = self.raw_slot(slot);
            if self.enter_policy(slot, place, policy, Val::Tensor(w)).is_some() {
                self.leave_policy();
            }
        }
        self.making = outer;
        self.run_before(slot);
        self.run_penalties(slot);
    }

    /// Where the slots of a policy live: `up.w.ema`, a second of its name `up.w.ema_2`.
    fn policy_path(&self, slot: usize, place: usize, policy: &OnWeight<'a>) -> Rc<str> {
        let name = snake(&policy.decl.name.text);
        let policies = &self.slots[slot].policies;
        let before = &policies[..place.min(policies.len())];
        let twins = before.iter().filter(|p| p.decl.name.text == policy.decl.name.text).count();
        let name = if twins > 0 { format!("{name}_{}", twins + 1) } else { name };
        super::modules::join(&self.slots[slot].path, &name)
    }

    /// The scope of a policy on one weight: its settings, the weight, its slots and named values.
    pub(crate) fn enter_policy(
        &mut self,
        slot: usize,
        place: usize,
        policy: &OnWeight<'a>,
        w: Val<'a>,
    ) -> Option<Rc<Scope<'a>>> {
        if let Some(ast::Subject::One { pattern: Some(pattern), .. }) = &policy.decl.subject {
            let (name, path) = (&policy.decl.name.text, &self.slots[slot].path);
            let message = format!("`{name}` stores `{path}` on a mask; sparse storage is not built yet");
            self.report(
                Diagnostic::error("support::sparse", policy.span, message)
                    .label(pattern.span, "a stored pattern is asked for here")
                    .help("keep the mask in a `state` and multiply by it in `view`"),
            );
            return None;
        }
        let path = self.policy_path(slot, place, policy);
        let loops: Vec<usize> = self.slots[slot].loops.iter().map(|(id, _)| *id).collect();
        let given = self.given.len();
        self.give_siblings(slot, place, policy);
        self.frames.push(Frame { path: path.clone(), loops, policy: true, ..Frame::default() });
        self.depth += 1;
        let entered = self.enter_decl(policy.decl, policy.source, &policy.args, vec![w], policy.span);
        self.given.truncate(given);
        let Some(scope) = entered else {
            self.leave_policy();
            return None;
        };
        let inner = Scope::inside(&scope);
        for stmt in &policy.decl.body.stmts {
            match &stmt.kind {
                ast::StmtKind::Slot(declared) if declared.kind == ast::SlotKind::State => {
                    self.slot(declared, SlotKind::State, &inner);
                }
                ast::StmtKind::Slot(_) | ast::StmtKind::Let(_) => {
                    self.statements(std::slice::from_ref(stmt), &inner);
                }
                ast::StmtKind::Entry(entry) => self.check_entry(policy.decl, entry),
                _ => {}
            }
        }
        if let Some(init) = entry(policy.decl, "init").filter(|_| self.made_policies.insert(path)) {
            self.run_init(slot, policy, init, &inner);
        }
        Some(inner)
    }

    /// What a policy asks for by `given`: slots of the other policies on its weight.
    fn give_siblings(&mut self, slot: usize, place: usize, policy: &OnWeight<'a>) {
        let policies = self.slots[slot].policies.clone();
        for field in &policy.decl.given {
            if field.name.text == "pattern" {
                let (name, path) = (&policy.decl.name.text, &self.slots[slot].path);
                let message =
                    format!("`{name}` asks for the pattern of `{path}`; masks by pattern are not built yet");
                self.report(
                    Diagnostic::error("support::sparse", policy.span, message)
                        .label(field.span, "asked for here")
                        .help("compute the mask in the policy itself, from `w`"),
                );
                self.given.push((Rc::from("pattern"), Val::Unknown));
                continue;
            }
            let mut found: Vec<(String, usize)> = Vec::new();
            for (other, sibling) in policies.iter().enumerate().filter(|(other, _)| *other != place) {
                let key = format!("{}.{}", self.policy_path(slot, other, sibling), field.name.text);
                found.extend(self.by_path.get(&key).map(|at| (sibling.decl.name.text.clone(), *at)));
            }
            if let [(first, _), (second, _), ..] = found.as_slice() {
                let message = format!("`{}` comes from `{first}` and from `{second}`", field.name.text);
                self.report(
                    Diagnostic::error("given::many", policy.span, message)
                        .label(field.span, "asked for here")
                        .help("rename one of the two"),
                );
            }
            if let Some((_, at)) = found.first() {
                let value = self.read_slot(*at);
                self.given.push((Rc::from(field.name.text.as_str()), value));
            }
        }
    }

    /// `init { m := .. }`: first values of a policy's states, or of the weight itself.
    fn run_init(&mut self, slot: usize, policy: &OnWeight<'a>, init: &'a ast::Entry, scope: &Rc<Scope<'a>>) {
        let ast::Code::Body(body) = &init.code else {
            let message = "`init` writes first values: `init { m := .. }`";
            return self.report(Diagnostic::error("role::entry", init.name.span, message));
        };
        let inner = Scope::inside(scope);
        let mut places: Vec<(usize, usize, Val<'a>)> = Vec::new();
        let states = policy.decl.body.stmts.iter().filter_map(|stmt| match &stmt.kind {
            ast::StmtKind::Slot(slot) if slot.kind == ast::SlotKind::State => Some(slot.name.text.clone()),
            _ => None,
        });
        let mut names: Vec<(String, usize)> = Vec::new();
        for name in states {
            if let Some(Binding::Slot(at)) = scope.get(&name) {
                names.push((name, at));
            }
        }
        // A weight that exists already, such as one an optimizer comes to, keeps its start.
        if self.making == Some(slot) {
            names.push((subject_name(policy.decl), slot));
        }
        for (name, at) in names {
            let start = self.start_tensor(at);
            self.cells.push(start.clone());
            inner.bind(&name, Binding::Cell(self.cells.len() - 1));
            places.push((at, self.cells.len() - 1, start));
        }
        self.isolated(|this| this.statements(&body.stmts, &inner));
        for (at, cell, start) in places {
            let now = self.cells[cell].clone();
            let same = matches!((&start, &now), (Val::Tensor(a), Val::Tensor(b)) if a.value == b.value);
            if !same {
                let (ty, axes) = (self.slots[at].ty.clone(), self.slots[at].axes.clone());
                let start = self.start_value(now, &ty, &axes, init.name.span);
                self.slots[at].start = start.or(self.slots[at].start.take());
            }
        }
    }

    /// The first value of a slot, as one copy.
    fn start_tensor(&mut self, slot: usize) -> Val<'a> {
        let (ty, axes) = (self.slots[slot].ty.clone(), self.slots[slot].axes.clone());
        let value = match self.slots[slot].start {
            Some(Start::Value(value)) => value,
            Some(Start::Fill(number)) => self.b.fill(number, ty),
            None => self.b.fill(0.0, ty),
        };
        Val::Tensor(Tensor { value, axes, bound: None })
    }

    fn check_entry(&mut self, decl: &'a ast::Decl, entry: &'a ast::Entry) {
        let known = ENTRIES.contains(&entry.name.text.as_str());
        let is_event = matches!(entry.head, ast::EntryHead::Params(_));
        if let Some(near) =
            (!known).then(|| crate::nearest(&entry.name.text, ENTRIES.iter().copied())).flatten()
        {
            let message = format!("policy `{}` has no entry `{}`", decl.name.text, entry.name.text);
            self.report(
                Diagnostic::error("role::unknown", entry.name.span, message)
                    .help(format!("did you mean `{near}`?")),
            );
        } else if !known && !is_event {
            let message = format!("policy `{}` has no entry `{}`", decl.name.text, entry.name.text);
            self.report(
                Diagnostic::error("role::unknown", entry.name.span, message)
                    .help("an event has parameters in round brackets"),
            );
        }
        if entry.name.text == "view"
            && let ast::Code::Body(body) = &entry.code
            && let Some(name) = writes_of(body).first()
        {
            let message = format!("`view` must not write `{name}`");
            self.report(
                Diagnostic::error("slot::write", entry.name.span, message).help("move it to `after`"),
            );
        }
    }

    pub(crate) fn leave_policy(&mut self) {
        self.frames.pop();
        self.depth -= 1;
    }

    pub(crate) fn entry_value(
        &mut self,
        entry: &'a ast::Entry,
        scope: &Rc<Scope<'a>>,
        args: &[Val<'a>],
    ) -> Val<'a> {
        let inner = Scope::inside(scope);
        if let ast::EntryHead::Params(params) = &entry.head {
            if params.len() > args.len() {
                let message = format!("`{}` is given {} values", entry.name.text, args.len());
                return self.fail(Diagnostic::error("role::entry", entry.name.span, message));
            }
            for (param, value) in params.iter().zip(args) {
                inner.set(&param.name.text, value.clone());
            }
        }
        let cache = std::mem::take(&mut self.base_cache);
        let value = self.code(&entry.code, &inner);
        self.base_cache = cache;
        value
    }

    /// Whether one of a weight's policies has this entry.
    pub(crate) fn has_entry(&self, slot: usize, name: &str) -> bool {
        self.slots[slot].policies.iter().any(|p| entry(p.decl, name).is_some())
    }
}

/// An entry of a policy.
pub(crate) fn entry<'a>(decl: &'a ast::Decl, name: &str) -> Option<&'a ast::Entry> {
    decl.body.stmts.iter().find_map(|s| match &s.kind {
        ast::StmtKind::Entry(entry) if entry.name.text == name => Some(entry),
        _ => None,
    })
}

/// The name a policy gives the weight it is on.
pub(crate) fn subject_name(decl: &ast::Decl) -> String {
    match &decl.subject {
        Some(ast::Subject::One { name, .. }) => name.text.clone(),
        _ => "w".into(),
    }
}
