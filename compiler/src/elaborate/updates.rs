//! What a training step does to weights, copy by copy: `before`, `free`, `step` and `after` of their policies, and the
//! sums of gradients over micro-batches.

use super::policies::{entry, subject_name};
use super::values::{Binding, Tensor, Val};
use super::{Elaborator, LoopFrame};
use nnc_base::{Diagnostic, Span};
use nnc_grammar::syntax as ast;
use nnc_ir::graph::{Port, SlotKind};
use nnc_ir::kernel::Compare as Comparison;
use nnc_ir::{DType, Dim, Symbol, Value, ops};
use std::collections::HashMap;

/// What runs for one copy of a weight: slices of the operands in, values to collect out.
type PerCopy<'f, 'a> = &'f mut dyn FnMut(&mut Elaborator<'a>, &[Value]) -> Vec<Value>;

impl<'a> Elaborator<'a> {
    /// Runs at the entry's own level, in front of every open loop.
    fn in_front<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> T {
        let bodies = self.b.suspend_bodies();
        let loops = std::mem::take(&mut self.loops);
        // Slices that the open loops hand in mean nothing here; they follow the whole value when the loops close.
        let hide = |values: &mut Vec<Option<Value>>| {
            let inner = values.split_off(1);
            values.resize(inner.len() + 1, None);
            inner
        };
        let hidden: Vec<Vec<Option<Value>>> =
            self.slots.iter_mut().map(|slot| hide(&mut slot.values)).collect();
        let result = self.isolated(run);
        for (slot, inner) in self.slots.iter_mut().zip(hidden) {
            slot.values.truncate(1);
            slot.values.extend(inner);
        }
        self.loops = loops;
        self.b.resume_bodies(bodies);
        result
    }

    /// Runs `body` for every copy of a weight, inside loops over its copies. Operands and results have one leading axis
    /// per loop outside, none inside.
    fn each_copy(&mut self, slot: usize, operands: &[Value], body: PerCopy<'_, 'a>) -> Vec<Value> {
        let loops = self.slots[slot].loops.clone();
        self.copies(slot, &loops, operands, body)
    }

    fn copies(
        &mut self,
        slot: usize,
        loops: &[(usize, Dim)],
        operands: &[Value],
        body: PerCopy<'_, 'a>,
    ) -> Vec<Value> {
        let Some(((id, count), inner)) = loops.split_first() else { return body(self, operands) };
        let depth = self.slots[slot].loops.len() - loops.len();
        let segment = self.slots[slot].segments[depth];
        self.loop_count += 1;
        let counter = Symbol::new(&format!("copy.{}", self.loop_count));
        self.ranges.counter(&counter, count);
        self.b.open();
        self.loops.push(LoopFrame {
            id: *id,
            count: count.clone(),
            depth: self.b.depth(),
            slices: Vec::new(),
            penalties: Vec::new(),
            collected: Vec::new(),
            counter: counter.clone(),
            segment,
        });
        let mut slices = Vec::new();
        for operand in operands {
            let mut ty = self.ty(*operand).clone();
            ty.shape.remove(0);
            slices.push(self.b.param(ty));
        }
        let mut results = self.copies(slot, inner, &slices, body);
        let own = results.len();
        let frame = self.loops.pop().expect("the loop was opened");
        let (sliced, written) = self.close_slices(&frame);
        results.extend(written.iter().map(|(_, _, value)| *value));
        let block = self.b.close(results);
        let operands = [operands, &sliced].concat();
        let op =
            ops::Loop { counter, count: count.clone(), reverse: false, carried: 0, sliced: operands.len() };
        match self.b.try_apply_blocks(op.into(), &operands, vec![block]) {
            Ok(values) => {
                for ((slot, level, _), value) in written.iter().zip(&values[own..]) {
                    self.slots[*slot].values[*level] = Some(*value);
                }
                values[..own].to_vec()
            }
            Err(error) => {
                let message = format!("the update {}", error.message);
                self.report(Diagnostic::error("type::operation", self.slots[slot].span, message));
                Vec::new()
            }
        }
    }

    /// `before(t)` of a new weight's policies, in front of everything that reads the weight. Of several micro-batches,
    /// the first one's counts.
    pub(crate) fn run_before(&mut self, slot: usize) {
        if !self.mode.training || !self.has_entry(slot, "before") {
            return;
        }
        self.in_front(|this| {
            let t = this.step_value();
            let first = (this.micro > 1).then(|| this.is_first_micro_batch());
            let outer = std::mem::replace(&mut this.writes_where, first.into_iter().collect());
            this.each_copy(slot, &[], &mut |this, _| {
                for place in 0..this.slots[slot].policies.len() {
                    this.run_entry(slot, place, "before", None, t);
                }
                Vec::new()
            });
            this.writes_where = outer;
        });
    }

    /// Penalties of a new weight's policies, summed over its copies.
    pub(crate) fn run_penalties(&mut self, slot: usize) {
        let has =
            |decl: &ast::Decl| decl.body.stmts.iter().any(|s| matches!(s.kind, ast::StmtKind::Penalty(_)));
        if !self.mode.training || !self.slots[slot].policies.iter().any(|policy| has(policy.decl)) {
            return;
        }
        self.in_front(|this| {
            let known = this.penalties.len();
            let mut names = Vec::new();
            let values = this.each_copy(slot, &[], &mut |this, _| {
                (0..this.slots[slot].policies.len()).for_each(|place| this.policy_penalties(slot, place));
                let found = match this.loops.last_mut() {
                    Some(frame) => std::mem::take(&mut frame.penalties),
                    None => this.penalties.split_off(known),
                };
                names = found.iter().map(|(name, _)| name.clone()).collect();
                found.into_iter().map(|(_, value)| value).collect()
            });
            for (name, value) in names.into_iter().zip(values) {
                let axes = (0..this.b.ty(value).rank()).collect();
                let total = this.b.sum(value, axes);
                this.penalties.push((name, total));
            }
        });
    }

    fn policy_penalties(&mut self, slot: usize, place: usize) {
        let policy = self.slots[slot].policies[place].clone();
        let w = self.raw_slot(slot);
        let Some(scope) = self.enter_policy(slot, place, &policy, Val::Tensor(w)) else { return };
        for stmt in &policy.decl.body.stmts {
            if matches!(stmt.kind, ast::StmtKind::Penalty(_)) {
                self.statements(std::slice::from_ref(stmt), &scope);
            }
        }
        self.leave_policy();
    }

    fn is_first_micro_batch(&mut self) -> Tensor {
        let draw = self.draw_value();
        let micro = self.b.fill_like(self.micro as f64, draw);
        let rest = self.b.apply(ops::Rem, &[draw, micro]);
        let zero = self.b.fill_like(0.0, rest);
        Tensor {
            value: self.b.apply(ops::Compare { kind: Comparison::Equal }, &[rest, zero]),
            axes: Vec::new(),
            bound: None,
        }
    }

    /// One weight's update from its gradient: `step`, then every `after`.
    pub(crate) fn update(&mut self, slot: usize, gradient: Value, t: Value) {
        self.each_copy(slot, &[gradient], &mut |this, slices| {
            this.update_one(slot, slices[0], t);
            Vec::new()
        });
    }

    fn update_one(&mut self, slot: usize, gradient: Value, t: Value) {
        let free = self.free_elements(slot, t);
        let count = self.slots[slot].policies.len();
        for name in ["step", "after"] {
            let around = self.writes_where.len();
            if name == "step" {
                self.writes_where.extend(free.clone());
            }
            for place in 0..count {
                self.run_entry(slot, place, name, Some(gradient), t);
            }
            self.writes_where.truncate(around);
        }
    }

    /// Runs an entry of a policy that may write; the value of `step`, or what `w := ..` wrote, becomes the weight's.
    fn run_entry(&mut self, slot: usize, place: usize, name: &str, gradient: Option<Value>, t: Value) {
        let policy = self.slots[slot].policies[place].clone();
        let Some(code) = entry(policy.decl, name) else { return };
        let axes = self.slots[slot].axes.clone();
        let mut args: Vec<Val<'a>> =
            gradient.map(|value| Val::Tensor(Tensor { value, axes, bound: None })).into_iter().collect();
        args.push(Val::Tensor(Tensor { value: t, axes: Vec::new(), bound: None }));
        let old = self.raw_slot(slot);
        let before = Val::Tensor(old.clone());
        let Some(scope) = self.enter_policy(slot, place, &policy, before.clone()) else { return };
        self.cells.push(before.clone());
        let cell = self.cells.len() - 1;
        scope.bind(&subject_name(policy.decl), Binding::Cell(cell));
        let value = self.entry_value(code, &scope, &args);
        self.leave_policy();
        let new = if name == "step" { value } else { self.cells[cell].clone() };
        let Val::Tensor(tensor) = self.same_type(&before, new, name, policy.span) else { return };
        if tensor.value == old.value {
            return;
        }
        let value = self.b.cast(tensor.value, self.slots[slot].ty.dtype);
        let value = self.where_allowed(value, old.value);
        self.slots[slot].written = true;
        *self.slots[slot].values.last_mut().expect("a slot has a value at the entry") = Some(value);
    }

    /// `new` where writes are allowed, else `old`. A condition on elements of another shape is not about these.
    pub(crate) fn where_allowed(&mut self, new: Value, old: Value) -> Value {
        let mut value = new;
        for allowed in self.writes_where.clone() {
            if allowed.axes.is_empty() || self.ty(allowed.value).shape == self.ty(old).shape {
                value = self.kept_where(&allowed, value, old);
            }
        }
        value
    }

    /// `new` where a condition holds, else `old`, in the type of `old`.
    fn kept_where(&mut self, allowed: &Tensor, new: Value, old: Value) -> Value {
        let shape = self.ty(old).shape.clone();
        let condition = match allowed.axes.is_empty() {
            true => self.b.broadcast(allowed.value, shape, Vec::new()),
            false => allowed.value,
        };
        self.b.apply(ops::Select, &[condition, new, old])
    }

    /// Whether a number is neither infinite nor undefined. An update with such a loss would hide where it came from.
    pub(crate) fn is_finite(&mut self, number: Value) -> Tensor {
        let size = self.b.apply(ops::Abs, &[number]);
        let limit = self.b.fill_like(f64::INFINITY, size);
        let value = self.b.apply(ops::Compare { kind: Comparison::Less }, &[size, limit]);
        Tensor { value, axes: Vec::new(), bound: None }
    }

    /// `free` of a weight's policies: which elements train; nothing where all do.
    fn free_elements(&mut self, slot: usize, t: Value) -> Option<Tensor> {
        let mut found: Option<Tensor> = None;
        for place in 0..self.slots[slot].policies.len() {
            let policy = self.slots[slot].policies[place].clone();
            let Some(code) = entry(policy.decl, "free") else { continue };
            let w = self.raw_slot(slot);
            let t = Val::Tensor(Tensor { value: t, axes: Vec::new(), bound: None });
            let Some(scope) = self.enter_policy(slot, place, &policy, Val::Tensor(w.clone())) else {
                continue;
            };
            let value = self.entry_value(code, &scope, &[t]);
            self.leave_policy();
            if matches!(value, Val::Bool(true) | Val::Unknown) {
                continue;
            }
            let Some(mask) = self.lift(&value, None, code.name.span) else { continue };
            if self.dtype(&mask) != DType::Bool {
                let message = format!("`free` says which elements train; it is {}", value.describe());
                self.report(
                    Diagnostic::error("type::dtype", code.name.span, message).help("give a truth value"),
                );
                continue;
            }
            let Some(mut value) = self.spread(&mask, &w.axes, code.name.span) else { continue };
            if let Some(other) = &found {
                value = self.b.apply(ops::And, &[other.value, value]);
            }
            found = Some(Tensor { value, axes: w.axes, bound: None });
        }
        found
    }

    /// Gradients without the elements that `free` holds still.
    pub(crate) fn free_gradients(
        &mut self,
        trained: &[usize],
        gradients: Vec<Value>,
        t: Value,
    ) -> Vec<Value> {
        let of_free = |(slot, gradient): (&usize, Value)| {
            if !self.has_entry(*slot, "free") {
                return gradient;
            }
            let masked = self.each_copy(*slot, &[gradient], &mut |this, slices| {
                let Some(free) = this.free_elements(*slot, t) else { return slices.to_vec() };
                let zero = this.b.fill_like(0.0, slices[0]);
                vec![this.kept_where(&free, slices[0], zero)]
            });
            masked.first().copied().unwrap_or(gradient)
        };
        trained.iter().zip(gradients).map(of_free).collect()
    }

    /// Mean gradients over micro-batches: what was summed before, and a share of this one. And the slots of the sums.
    pub(crate) fn summed_gradients(
        &mut self,
        trained: &[usize],
        gradients: Vec<Value>,
    ) -> (Vec<Value>, Vec<Port>) {
        let share = 1.0 / self.micro as f64;
        let of_slot = |(slot, gradient): (&usize, Value)| {
            let path = format!("{}.gradient", self.slots[*slot].path);
            let gradient = self.b.cast(gradient, DType::F32);
            let part = self.b.scale(gradient, share);
            self.summed(&path, part, self.slots[*slot].span)
        };
        trained.iter().zip(gradients).map(of_slot).unzip()
    }

    /// `part` and what earlier micro-batches added to the sum at `path`. A sum is a cache, empty between steps, so that
    /// checkpoints do not hold it.
    pub(crate) fn summed(&mut self, path: &str, part: Value, span: Span) -> (Value, Port) {
        let ty = self.ty(part).clone();
        let axes = ty.shape.iter().cloned().map(super::Axis::sized).collect();
        let sum = self.add_slot(path, SlotKind::Cache, ty, axes, None, &[], span);
        let before = self.raw_slot(sum).value;
        (self.b.add(before, part), Port::Slot(sum))
    }

    /// Takes back what the model and `before` have written, unless `allowed` holds.
    pub(crate) fn keep_written_where(&mut self, allowed: &Tensor) {
        let params = self.ports.iter().cloned().zip(self.b.params().iter().copied());
        let params: HashMap<Port, Value> = params.collect();
        for slot in 0..self.slots.len() {
            let Some(new) = self.slots[slot].values[0].filter(|_| self.slots[slot].written) else { continue };
            let old = match params.get(&Port::Slot(slot)) {
                Some(value) => *value,
                None => self.entry_param(Port::Slot(slot), self.slots[slot].ty_at(0)),
            };
            self.slots[slot].values[0] = Some(self.kept_where(allowed, new, old));
        }
    }

    /// Weights that may train: floats.
    pub(crate) fn float_weight(&self, slot: usize) -> bool {
        let state = &self.slots[slot];
        state.kind == SlotKind::Weight && state.ty.dtype.is_float()
    }
}

/// Whether a policy holds its weight still for good: `free = false`.
pub(crate) fn holds_still(decl: &ast::Decl) -> bool {
    matches!(
        entry(decl, "free"),
        Some(ast::Entry { code: ast::Code::Expr(ast::Expr { kind: ast::ExprKind::Name(name), .. }), .. })
            if name.text == "false"
    )
}
