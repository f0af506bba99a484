//! Slots: named tensors that modules own. A slot made inside rolled loops is one tensor with the loops' counts in
//! front; inside, each iteration sees its slice.

use super::Elaborator;
use super::axes::Axis;
use super::values::{Scope, Tensor, Val};
use nnc_base::{Diagnostic, Span};
use nnc_grammar::syntax as ast;
use nnc_ir::graph::{Port, SlotKind};
use nnc_ir::{DType, Dim, Pattern, Symbol, Type, Value};
use std::rc::Rc;

/// How a slot begins.
#[derive(Clone, Debug)]
pub(crate) enum Start {
    /// One number everywhere.
    Fill(f64),
    /// A value of the function, computed from constants, random bits and other slots' starts.
    Value(Value),
}

/// A policy on a weight: which, with its settings bound.
#[derive(Clone, Debug)]
pub(crate) struct OnWeight<'a> {
    pub decl: &'a ast::Decl,
    pub source: usize,
    pub args: Vec<(Rc<str>, Val<'a>)>,
    pub span: Span,
}

/// A slot during elaboration.
#[derive(Clone, Debug)]
pub struct SlotState<'a> {
    pub(crate) path: String,
    pub(crate) kind: SlotKind,
    /// Type of one copy.
    pub(crate) ty: Type,
    pub(crate) axes: Vec<Axis>,
    pub(crate) bound: Option<Dim>,
    /// Rolled loops it is copied by: number and count.
    pub(crate) loops: Vec<(usize, Dim)>,
    /// Counters of these loops where the slot was made: its start is computed there.
    pub(crate) counters: Vec<Symbol>,
    /// The segment of the path that each of these loops copies.
    pub(crate) segments: Vec<usize>,
    /// Current values: at the entry, then inside each of its loops.
    pub(crate) values: Vec<Option<Value>>,
    pub(crate) written: bool,
    pub(crate) start: Option<Start>,
    pub(crate) span: Span,
    pub(crate) frozen: bool,
    pub(crate) policies: Vec<OnWeight<'a>>,
    pub(crate) was: Option<String>,
    /// For a cache with a counted axis: that axis, and the slot that holds its live length.
    pub(crate) counted: Option<(usize, usize)>,
}

impl SlotState<'_> {
    /// The type of all copies, as seen inside the first `level` of the loops that copy it.
    pub(crate) fn ty_at(&self, level: usize) -> Type {
        let copies = self.loops[level..].iter().map(|(_, count)| count.clone());
        Type { shape: copies.chain(self.ty.shape.iter().cloned()).collect(), ..self.ty.clone() }
    }
}

impl<'a> Elaborator<'a> {
    /// `weight w: T = e`, `state s: T = e`, or a session's `cache c: T = e`.
    pub(crate) fn slot(&mut self, slot: &'a ast::Slot, kind: SlotKind, scope: &Rc<Scope<'a>>) -> Val<'a> {
        let frame = self.frames.last().cloned().unwrap_or_default();
        let path = if frame.path.is_empty() {
            slot.name.text.clone()
        } else {
            format!("{}.{}", frame.path, slot.name.text)
        };
        let loops: Vec<usize> = match kind {
            _ if frame.policy => frame.loops,
            SlotKind::Weight => frame.loops,
            _ => self.loops.iter().map(|l| l.id).collect(),
        };
        if let Some(known) = self.by_path.get(&path).copied() {
            if self.slots[known].span != slot.name.span {
                let first = self.slots[known].span;
                let message = format!("two slots claim the key `{path}`");
                return self.fail(
                    Diagnostic::error("slot::key", slot.name.span, message)
                        .label(first, "the first")
                        .help("rename one"),
                );
            }
            scope.bind(&slot.name.text, super::values::Binding::Slot(known));
            return Val::None;
        }
        let outer = self.drawn.replace(loops.clone());
        let declared = self.slot_type(slot, scope);
        self.drawn = outer;
        let Some((ty, axes, bound, start)) = declared else {
            scope.set(&slot.name.text, Val::Unknown);
            return Val::Unknown;
        };
        let around = self.loops.iter().filter(|l| loops.contains(&l.id)).map(|l| l.count.clone());
        let whole: Vec<Dim> = around.chain(ty.shape.iter().cloned()).collect();
        if !self.check_shape(&whole, &format!("`{path}`"), slot.name.span) {
            scope.set(&slot.name.text, Val::Unknown);
            return Val::Unknown;
        }
        let place = self.add_slot(&path, kind, ty, axes, bound, &loops, slot.name.span);
        self.slots[place].start = start;
        self.slots[place].was = slot.was.as_ref().map(|t| t.text.clone());
        if kind == SlotKind::Weight {
            self.apply_sheets(place);
            self.make_policies(place);
        }
        if kind == SlotKind::Cache && !matches!(self.slots[place].start, Some(Start::Fill(x)) if x == 0.0) {
            let message = format!("cache `{path}` starts with something else than 0");
            self.report(Diagnostic::error("support::cache", slot.name.span, message).help("start it at 0"));
        }
        if kind == SlotKind::Cache {
            self.count_cache(place, slot, &loops);
        }
        scope.bind(&slot.name.text, super::values::Binding::Slot(place));
        Val::None
    }

    /// A new slot.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn add_slot(
        &mut self,
        path: &str,
        kind: SlotKind,
        ty: Type,
        axes: Vec<Axis>,
        bound: Option<Dim>,
        loops: &[usize],
        span: Span,
    ) -> usize {
        let frames: Vec<_> = loops.iter().filter_map(|id| self.loops.iter().find(|l| l.id == *id)).collect();
        let counts: Vec<(usize, Dim)> = frames.iter().map(|l| (l.id, l.count.clone())).collect();
        let counters = frames.iter().map(|l| l.counter.clone()).collect();
        let segments = frames.iter().map(|l| l.segment).collect();
        let place = self.slots.len();
        self.slots.push(SlotState {
            path: path.to_string(),
            kind,
            ty,
            axes,
            bound,
            values: vec![None; counts.len() + 1],
            loops: counts,
            counters,
            segments,
            written: false,
            start: None,
            span,
            frozen: false,
            policies: Vec::new(),
            was: None,
            counted: None,
        });
        self.by_path.insert(path.to_string(), place);
        place
    }

    fn count_cache(&mut self, place: usize, slot: &'a ast::Slot, loops: &[usize]) {
        let Some(ast::Type { kind: ast::TypeKind::Tensor { axes, .. }, .. }) = &slot.ty else { return };
        let Some(from_end) = axes.iter().rev().position(|a| matches!(a.kind, ast::AxisKind::Counted { .. }))
        else {
            return;
        };
        let axis = self.slots[place].axes.len() - 1 - from_end;
        let path = format!("{}.length", self.slots[place].path);
        let span = self.slots[place].span;
        let length =
            self.add_slot(&path, SlotKind::Cache, Type::scalar(DType::I32), Vec::new(), None, loops, span);
        self.slots[length].start = Some(Start::Fill(0.0));
        self.slots[place].counted = Some((axis, length));
    }

    /// The type of a slot from its declaration or its initial value.
    #[allow(clippy::type_complexity)]
    fn slot_type(
        &mut self,
        slot: &'a ast::Slot,
        scope: &Rc<Scope<'a>>,
    ) -> Option<(Type, Vec<Axis>, Option<Dim>, Option<Start>)> {
        if let Some(ty) = &slot.ty {
            let declared = self.declared(ty, scope, false)?;
            let dtype = declared.dtype.unwrap_or(self.precision);
            let shape = declared.axes.iter().map(|a| a.size.clone()).collect();
            let ir = Type { dtype, shape, pattern: declared.pattern };
            let start = self.start(slot, &ir, &declared.axes, scope);
            return Some((ir, declared.axes, declared.bound, start));
        }
        let Some(init) = &slot.init else {
            let message = format!("nothing says what type `{}` has", slot.name.text);
            self.report(
                Diagnostic::error("dim::free", slot.name.span, message).help("write `name: [axes] = start`"),
            );
            return None;
        };
        let tensor = match &slot.index {
            Some(ats) => self.define(ats, init, scope, init.span)?.0,
            None => {
                let value = self.expr(init, scope);
                self.lift(&value, Some(self.precision), init.span)?
            }
        };
        let ir = self.ty(tensor.value).clone();
        Some((ir, tensor.axes, tensor.bound, Some(Start::Value(tensor.value))))
    }

    fn start(
        &mut self,
        slot: &'a ast::Slot,
        ty: &Type,
        axes: &[Axis],
        scope: &Rc<Scope<'a>>,
    ) -> Option<Start> {
        let Some(init) = &slot.init else { return Some(Start::Fill(0.0)) };
        let value = match &slot.index {
            Some(ats) => self.define(ats, init, scope, init.span).map(|(t, _)| Val::Tensor(t))?,
            None => self.expr(init, scope),
        };
        self.start_value(value, ty, axes, init.span)
    }

    /// An initial value in the slot's type: numbers fill, functions are given a tensor of the slot's shape.
    pub(crate) fn start_value(
        &mut self,
        value: Val<'a>,
        ty: &Type,
        axes: &[Axis],
        span: Span,
    ) -> Option<Start> {
        match &value {
            Val::Unknown => None,
            Val::Bool(b) => Some(Start::Fill(f64::from(*b))),
            v if v.as_real().is_some() => {
                v.as_real().filter(|number| self.holds(ty.dtype, *number, span)).map(Start::Fill)
            }
            Val::Func(_) => {
                let dense = Type { pattern: Pattern::Dense, ..ty.clone() };
                let template = self.b.fill(0.0, dense);
                let template = Tensor { value: template, axes: axes.to_vec(), bound: None };
                let made = self.apply(value.clone(), vec![Val::Tensor(template)], span);
                if matches!(made, Val::Func(_)) {
                    return None;
                }
                self.start_value(made, ty, axes, span)
            }
            _ => {
                let tensor = self.lift(&value, Some(ty.dtype), span)?;
                let spread = self.spread(&tensor, axes, span)?;
                Some(Start::Value(self.b.cast(spread, ty.dtype)))
            }
        }
    }

    /// The value of a slot where we are, before any policy looks at it.
    pub(crate) fn raw_slot(&mut self, slot: usize) -> Tensor {
        let level = self.level(slot);
        let value = self.slot_at(slot, level);
        let mut axes = self.slots[slot].axes.clone();
        if let Some((axis, length)) = self.slots[slot].counted {
            axes[axis].live = Some(self.raw_slot(length).value);
        }
        Tensor { value, axes, bound: self.slots[slot].bound.clone() }
    }

    /// How many of the slot's loops are open around us.
    fn level(&self, slot: usize) -> usize {
        let open = |id: usize| self.loops.iter().any(|l| l.id == id);
        self.slots[slot].loops.iter().take_while(|(id, _)| open(*id)).count()
    }

    fn slot_at(&mut self, slot: usize, level: usize) -> Value {
        if let Some(value) = self.slots[slot].values[level] {
            return value;
        }
        let value = if level == 0 {
            self.entry_param(Port::Slot(slot), self.slots[slot].ty_at(0))
        } else {
            self.slot_at(slot, level - 1);
            let ty = self.slots[slot].ty_at(level);
            let id = self.slots[slot].loops[level - 1].0;
            let frame = self.loops.iter().position(|l| l.id == id).expect("the loop is open");
            let depth = self.loops[frame].depth;
            let value = self.b.param_at(depth, ty);
            self.loops[frame].slices.push((slot, value));
            value
        };
        self.slots[slot].values[level] = Some(value);
        value
    }

    /// Reads a slot as the model sees it.
    pub(crate) fn read_slot(&mut self, slot: usize) -> Val<'a> {
        let raw = self.raw_slot(slot);
        if self.slots[slot].policies.is_empty() {
            return Val::Tensor(raw);
        }
        self.viewed(slot, raw)
    }

    /// `slot := value`.
    pub(crate) fn write_slot(&mut self, slot: usize, value: Val<'a>, span: Span) {
        if self.slots[slot].kind == SlotKind::Weight {
            let message = format!("`{}` is a weight; the optimizer writes it", self.slots[slot].path);
            self.report(
                Diagnostic::error("slot::write", span, message)
                    .help("make it `state`, or write it in a policy"),
            );
            return;
        }
        let (ty, axes) = (self.slots[slot].ty.clone(), self.slots[slot].axes.clone());
        let Some(tensor) = self.lift(&value, Some(ty.dtype), span) else { return };
        let live = tensor.axes.iter().find_map(|a| a.live);
        let Some(spread) = self.spread(&tensor, &axes, span) else { return };
        let mut value = self.b.cast(spread, ty.dtype);
        if !self.writes_where.is_empty() {
            let old = self.raw_slot(slot).value;
            value = self.where_allowed(value, old);
        }
        let level = self.level(slot);
        self.slots[slot].values[level] = Some(value);
        self.slots[slot].written = true;
        if let (Some((_, length)), Some(live)) = (self.slots[slot].counted, live) {
            let level = self.level(length);
            self.slots[length].values[level] = Some(live);
            self.slots[length].written = true;
        }
    }

    /// A loop closes: slots written inside are collected, those read are handed in.
    pub(crate) fn close_slices(
        &mut self,
        frame: &super::LoopFrame,
    ) -> (Vec<Value>, Vec<(usize, usize, Value)>) {
        let mut operands = Vec::new();
        let mut collected = Vec::new();
        for (slot, param) in &frame.slices {
            let level = self.slots[*slot]
                .loops
                .iter()
                .position(|(id, _)| *id == frame.id)
                .expect("it is sliced here");
            operands.push(self.slots[*slot].values[level].expect("the outer value was made first"));
            let inside = self.slots[*slot].values[level + 1].take().expect("it was read inside");
            if inside != *param {
                collected.push((*slot, level, inside));
            }
        }
        (operands, collected)
    }
}
