//! Policies: what a weight looks like to the model (`view`, `grad`), and how it changes (`step`, `after`).

use super::Elaborator;
use super::bodies::writes_of;
use super::modules::snake;
use super::slots::OnWeight;
use super::values::{Binding, Scope, Tensor, Val};
use super::{Frame, LoopFrame};
use nnc_base::Diagnostic;
use nnc_grammar::syntax as ast;
use nnc_ir::graph::SlotKind;
use nnc_ir::{DType, Dim, Symbol, Value, ops};
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

    /// The scope of a policy on one weight: its settings, the weight, its slots and named values.
    fn enter_policy(
        &mut self,
        slot: usize,
        place: usize,
        policy: &OnWeight<'a>,
        w: Val<'a>,
    ) -> Option<Rc<Scope<'a>>> {
        let mut name = snake(&policy.decl.name.text);
        let twins = self.slots[slot].policies[..place.min(self.slots[slot].policies.len())]
            .iter()
            .filter(|p| p.decl.name.text == policy.decl.name.text)
            .count();
        if twins > 0 {
            name = format!("{name}_{}", twins + 1);
        }
        let path = super::modules::join(&self.slots[slot].path, &name);
        let loops: Vec<usize> = self.slots[slot].loops.iter().map(|(id, _)| *id).collect();
        self.frames.push(Frame { path, loops, ..Frame::default() });
        self.depth += 1;
        let entered = self.enter_decl(policy.decl, policy.source, &policy.args, vec![w], policy.span);
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
                ast::StmtKind::Slot(_) | ast::StmtKind::Let(_) | ast::StmtKind::Penalty(_) => {
                    self.statements(std::slice::from_ref(stmt), &inner);
                }
                ast::StmtKind::Entry(entry) if entry.name.text == "init" => {
                    let message = "masks that a policy draws at the start need stored patterns, which are not built yet";
                    self.report(Diagnostic::error("support::sparse", entry.name.span, message));
                }
                ast::StmtKind::Entry(entry) => self.check_entry(policy.decl, entry),
                _ => {}
            }
        }
        Some(inner)
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

    fn leave_policy(&mut self) {
        self.frames.pop();
        self.depth -= 1;
    }

    fn entry_value(&mut self, entry: &'a ast::Entry, scope: &Rc<Scope<'a>>, args: &[Val<'a>]) -> Val<'a> {
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

    /// One weight's update from its gradient: `step`, then every `after`. Runs inside the weight's loops.
    pub(crate) fn update(&mut self, slot: usize, gradient: Value, t: Value) {
        let loops = self.slots[slot].loops.clone();
        self.update_level(slot, gradient, t, &loops);
    }

    fn update_level(&mut self, slot: usize, gradient: Value, t: Value, loops: &[(usize, Dim)]) {
        let Some(((id, count), inner)) = loops.split_first() else {
            return self.update_one(slot, gradient, t);
        };
        self.loop_count += 1;
        let counter = Symbol::new(&format!("copy.{}", self.loop_count));
        self.ranges.counter(&counter, count);
        self.b.open();
        let depth = self.b.depth();
        let mut ty = self.ty(gradient).clone();
        ty.shape.remove(0);
        self.loops.push(LoopFrame {
            id: *id,
            count: count.clone(),
            depth,
            slices: Vec::new(),
            penalties: Vec::new(),
            collected: Vec::new(),
            counter: counter.clone(),
        });
        let slice = self.b.param(ty);
        self.update_level(slot, slice, t, inner);
        let frame = self.loops.pop().expect("the loop was opened");
        let (sliced, written) = self.close_slices(&frame);
        let results: Vec<Value> = written.iter().map(|(_, _, value)| *value).collect();
        let block = self.b.close(results);
        let mut operands = vec![gradient];
        operands.extend(&sliced);
        let op =
            ops::Loop { counter, count: count.clone(), reverse: false, carried: 0, sliced: operands.len() };
        match self.b.try_apply_blocks(op.into(), &operands, vec![block]) {
            Ok(values) => {
                for ((slot, level, _), value) in written.iter().zip(values) {
                    self.slots[*slot].values[*level] = Some(value);
                }
            }
            Err(error) => {
                let span = self.slots[slot].span;
                self.report(Diagnostic::error(
                    "type::operation",
                    span,
                    format!("the update {}", error.message),
                ));
            }
        }
    }

    fn update_one(&mut self, slot: usize, gradient: Value, t: Value) {
        let policies = self.slots[slot].policies.clone();
        let axes = self.slots[slot].axes.clone();
        let g = Val::Tensor(Tensor { value: gradient, axes, bound: None });
        let t = Val::Tensor(Tensor { value: t, axes: Vec::new(), bound: None });
        for name in ["step", "after"] {
            for (place, policy) in policies.iter().enumerate() {
                let Some(code) = entry(policy.decl, name) else { continue };
                let w = self.raw_slot(slot);
                let old = Val::Tensor(w);
                let Some(scope) = self.enter_policy(slot, place, policy, old.clone()) else { return };
                let subject = match &policy.decl.subject {
                    Some(ast::Subject::One { name, .. }) => name.text.clone(),
                    _ => "w".into(),
                };
                // `w := ..` in `after` changes the weight itself.
                self.cells.push(old.clone());
                let cell = self.cells.len() - 1;
                scope.bind(&subject, Binding::Cell(cell));
                let value = self.entry_value(code, &scope, &[g.clone(), t.clone()]);
                self.leave_policy();
                let new = if name == "step" { value } else { self.cells[cell].clone() };
                if let Val::Tensor(tensor) = self.same_type(&old, new, name, policy.span) {
                    let level = self.slots[slot].values.len() - 1;
                    let dtype = self.slots[slot].ty.dtype;
                    let value: Value = self.b.cast(tensor.value, dtype);
                    if self.slots[slot].values[level] != Some(value) {
                        self.slots[slot].written = true;
                    }
                    self.slots[slot].values[level] = Some(value);
                }
            }
        }
    }

    /// `export` of a weight's policies, for evaluation after training.
    pub(crate) fn float_weight(&self, slot: usize) -> bool {
        let state = &self.slots[slot];
        state.kind == SlotKind::Weight && state.ty.dtype.is_float() && state.ty.dtype != DType::Bool
    }
}

/// An entry of a policy.
pub(crate) fn entry<'a>(decl: &'a ast::Decl, name: &str) -> Option<&'a ast::Entry> {
    decl.body.stmts.iter().find_map(|s| match &s.kind {
        ast::StmtKind::Entry(entry) if entry.name.text == name => Some(entry),
        _ => None,
    })
}
