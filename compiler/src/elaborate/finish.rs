//! The ends of an elaboration: inputs, gradients of the trained weights, clipping, what the entry hands back.

use super::Elaborator;
use super::slots::{OnWeight, Start};
use super::updates::holds_still;
use super::values::{Scope, Tensor, Val};
use crate::starts::SlotStart;
use nnc_base::{Diagnostic, Span};
use nnc_grammar::syntax as ast;
use nnc_ir::graph::{Function, Node, Port, Slot, SlotKind};
use nnc_ir::plan::Guard;
use nnc_ir::{DType, Dim, Symbol, Type, Value, ops};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// A finished entry, slots numbered as in this elaboration.
pub(crate) struct Finished {
    pub function: Function,
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
    pub slots: Vec<Slot>,
    pub starts: Vec<SlotStart>,
    pub symbols: Vec<Symbol>,
    pub guards: Vec<Guard>,
    pub spans: Vec<(String, Span)>,
    pub frozen: Vec<String>,
    pub regions: Vec<super::regions::Region>,
}

impl<'a> Elaborator<'a> {
    /// A named input of the entry.
    pub(crate) fn input(&mut self, name: &str, ty: &'a ast::Type, scope: &Rc<Scope<'a>>) -> Option<Tensor> {
        let declared = self.declared(ty, scope, true)?;
        let dtype = declared.dtype.unwrap_or(DType::F32);
        let shape: Vec<Dim> = declared.axes.iter().map(|a| a.size.clone()).collect();
        if !self.check_shape(&shape, &format!("input `{name}`"), ty.span) {
            return None;
        }
        let value = self.entry_param(Port::Named(name.to_string()), Type::new(dtype, shape));
        self.b.function.values[value.0 as usize].name = Some(name.to_string());
        let value = if dtype == DType::F32 && declared.dtype.is_none() {
            self.b.cast(value, self.precision)
        } else {
            value
        };
        Some(Tensor { value, axes: declared.axes, bound: declared.bound })
    }

    /// The scope of a training program: outputs by name, `data`, `steps`.
    pub(crate) fn train_scope(&self, outputs: &Val<'a>, data: Option<Val<'a>>, steps: i64) -> Rc<Scope<'a>> {
        let scope = Scope::root(0);
        if let Val::Record(members) = outputs {
            members.iter().for_each(|(name, value)| scope.set(name, value.clone()));
        }
        scope.set("model", outputs.clone());
        scope.set("data", data.unwrap_or(Val::Unknown));
        scope.set("steps", Val::int(steps));
        scope
    }

    pub(crate) fn is_float(&self, tensor: &Tensor) -> bool {
        self.dtype(tensor).is_float()
    }

    /// Weights that train: floats that no line freezes, and that `trains` selects.
    pub(crate) fn trained(&mut self, selects: Option<&[&'a ast::Select]>) -> Vec<usize> {
        let mut trained = Vec::new();
        for slot in 0..self.slots.len() {
            if !self.float_weight(slot) || self.slots[slot].frozen {
                continue;
            }
            if self.slots[slot].policies.iter().any(|policy| holds_still(policy.decl)) {
                continue;
            }
            let path = self.slots[slot].path.clone();
            if selects.is_none_or(|selects| selects.iter().any(|s| self.selects(s, &path))) {
                trained.push(slot);
            }
        }
        trained
    }

    /// Gives the optimizer to every trained weight whose policies have no `step`.
    pub(crate) fn attach_optimizer(
        &mut self,
        trained: &[usize],
        optimizer: Option<OnWeight<'a>>,
        span: Span,
    ) -> Option<()> {
        for slot in trained {
            if self.has_entry(*slot, "step") {
                continue;
            }
            match &optimizer {
                Some(policy) => self.slots[*slot].policies.push(policy.clone()),
                None => {
                    let path = self.slots[*slot].path.clone();
                    let message = format!("`{path}` is trained, and no policy has `step`");
                    self.report(
                        Diagnostic::error("sparse::step", span, message)
                            .help("add `optimizer = AdamW(lr: 1e-3)`"),
                    );
                    return None;
                }
            }
        }
        Some(())
    }

    /// Gradients of a scalar with respect to weights; a weight that none reaches is an error that shows the cuts.
    pub(crate) fn gradients(&mut self, loss: Value, trained: &[usize]) -> Option<Vec<Value>> {
        let wrt: Vec<Value> = trained.iter().filter_map(|slot| self.slots[*slot].values[0]).collect();
        if wrt.len() != trained.len() {
            return None;
        }
        let one = self.b.fill(1.0, Type::scalar(DType::F32));
        match crate::differentiate::pullback(&mut self.b, &[(loss, one)], &wrt) {
            Ok(gradients) => Some(gradients),
            Err(cuts) => {
                for cut in cuts {
                    let Some(place) = wrt.iter().position(|v| *v == cut.value) else { continue };
                    let state = &self.slots[trained[place]];
                    let message = format!("`{}` is trained, but no gradient reaches it", state.path);
                    let mut diagnostic =
                        Diagnostic::error("grad::lost", state.span, message).here("declared here");
                    for place in cut.places.iter().take(6) {
                        diagnostic = diagnostic.label(place.span, format!("cut here: {}", place.reason));
                    }
                    let help = "freeze it in a sheet (`path : frozen`), or let it reach the loss";
                    self.report(diagnostic.help(help));
                }
                None
            }
        }
    }

    /// A penalty that no trained weight changes is an error: it would only be a number in the log.
    pub(crate) fn check_penalties(&mut self, trained: &[usize], span: Span) {
        let weights: Vec<Value> = trained.iter().filter_map(|slot| self.slots[*slot].values[0]).collect();
        for (name, value) in self.penalties.clone() {
            if !self.reaches(value, &weights) {
                let message = format!("penalty `{name}` depends on no weight that is trained");
                self.report(
                    Diagnostic::error("grad::penalty", span, message)
                        .help("remove it, or report the number as one of `metrics`"),
                );
            }
        }
    }

    /// Whether a value of the entry depends on one of some parameters.
    fn reaches(&mut self, value: Value, params: &[Value]) -> bool {
        let nodes = &self.b.current().nodes;
        let makers: HashMap<Value, &Node> =
            nodes.iter().flat_map(|node| node.results.iter().map(move |result| (*result, node))).collect();
        let (mut open, mut seen) = (vec![value], HashSet::new());
        while let Some(value) = open.pop() {
            if params.contains(&value) {
                return true;
            }
            if let Some(node) = makers.get(&value).filter(|_| seen.insert(value)) {
                open.extend(node.uses());
            }
        }
        false
    }

    /// Scales gradients so that their global norm is at most `limit`.
    pub(crate) fn clip(&mut self, gradients: Vec<Value>, limit: Option<f64>) -> (Vec<Value>, Option<Value>) {
        let Some(limit) = limit else { return (gradients, None) };
        let Some(norm) = crate::entries::global_norm(&mut self.b, &gradients) else {
            return (gradients, None);
        };
        let small = self.b.fill_like(1e-6, norm);
        let safe = self.b.add(norm, small);
        let most = self.b.fill_like(limit, norm);
        let ratio = self.b.div(most, safe);
        let one = self.b.fill_like(1.0, norm);
        let factor = self.b.apply(ops::Minimum, &[ratio, one]);
        let scaled = gradients
            .into_iter()
            .map(|gradient| {
                let (dtype, shape) = (self.b.ty(gradient).dtype, self.b.ty(gradient).shape.clone());
                let factor = self.b.cast(factor, dtype);
                let factor = self.b.broadcast(factor, shape, Vec::new());
                self.b.mul(gradient, factor)
            })
            .collect();
        (scaled, Some(norm))
    }

    /// Slots with a new value: states (and caches of a session, and trained weights).
    pub(crate) fn written_slots(&mut self, session: bool) -> Vec<(Port, Value)> {
        let written: Vec<usize> = (0..self.slots.len())
            .filter(|slot| self.slots[*slot].written)
            .filter(|slot| session || self.slots[*slot].kind != SlotKind::Cache)
            .filter(|slot| self.mode.training || self.slots[*slot].kind == SlotKind::Cache)
            .collect();
        written
            .into_iter()
            .filter_map(|slot| self.slots[slot].values[0].map(|v| (Port::Slot(slot), v)))
            .collect()
    }

    /// Sheet lines that selected nothing, and the paths there are.
    pub(crate) fn unmatched(&mut self) -> Vec<(&'a ast::Rule, Vec<String>)> {
        let mut found = Vec::new();
        for (prefix, sheet) in self.sheets.clone() {
            let inside =
                |path: &str| path.strip_prefix(&*prefix).unwrap_or(path).trim_start_matches('.').to_string();
            for rule in &sheet.rules {
                if !self.matched.contains(&std::ptr::from_ref(*rule)) {
                    found.push((*rule, self.slots.iter().map(|s| inside(&s.path)).collect()));
                }
            }
        }
        found
    }

    /// The function with its ports; starts refer to its values.
    pub(crate) fn finish(self, outputs: Vec<(Port, Value)>) -> Finished {
        let starts = self
            .slots
            .iter()
            .map(|slot| match &slot.start {
                Some(Start::Fill(number)) => SlotStart::Fill(*number),
                Some(Start::Value(value)) => SlotStart::Value(*value, slot.counters.clone(), slot.span),
                None => SlotStart::Fill(0.0),
            })
            .collect();
        let slots = self
            .slots
            .iter()
            .map(|slot| {
                let ty = slot.ty_at(0);
                let (path, was) = (slot.path.clone(), slot.was.as_ref().map(|was| former(&slot.path, was)));
                Slot { path, kind: slot.kind, ty, copies: slot.segments.clone(), was }
            })
            .collect();
        let guards = self
            .guards
            .iter()
            .map(|(zero, _, message)| Guard { zero: zero.clone(), message: message.clone() });
        let guards = guards.collect();
        let spans = self.slots.iter().map(|s| (s.path.clone(), s.span)).collect();
        let frozen = self.slots.iter().filter(|s| s.frozen).map(|s| s.path.clone()).collect();
        let outs = outputs.iter().map(|(port, _)| port.clone()).collect();
        let function = crate::entries::finished(self.b, &outputs);
        Finished {
            function,
            inputs: self.ports,
            outputs: outs,
            slots,
            starts,
            symbols: self.symbols,
            guards,
            spans,
            frozen,
            regions: self.regions,
        }
    }
}

/// The path behind `was "old"`: a name alone replaces the last one, a path stands for itself.
fn former(path: &str, was: &str) -> String {
    match path.rsplit_once('.') {
        Some((front, _)) if !was.contains('.') => format!("{front}.{was}"),
        _ => was.to_string(),
    }
}

/// An expression as people wrote it, for titles.
pub(crate) fn expression_text(expr: &ast::Expr) -> String {
    match &expr.kind {
        ast::ExprKind::With { base, .. } => expression_text(base),
        ast::ExprKind::Call { callee, .. } => expression_text(callee),
        ast::ExprKind::Name(name) => name.text.clone(),
        _ => "model".into(),
    }
}

/// A selection as people wrote it.
pub(crate) fn select_text(select: &ast::Select) -> String {
    let segs = select.segs.iter().map(|seg| match &seg.kind {
        ast::SegKind::Many => "**".to_string(),
        ast::SegKind::Any => "*".to_string(),
        ast::SegKind::Name { name, .. } => name.text.clone(),
    });
    segs.collect::<Vec<_>>().join(".")
}

/// Slot statements of one kind.
pub(crate) fn slots_of(decl: &ast::Decl, kind: ast::SlotKind) -> Vec<&ast::Slot> {
    super::modules::slots(decl, kind)
}

/// Their names.
pub(crate) fn slot_names(decl: &ast::Decl, kind: ast::SlotKind) -> Vec<String> {
    slots_of(decl, kind).iter().map(|slot| slot.name.text.clone()).collect()
}
