//! Declarations that nobody uses are tried on made-up arguments, several times with other sizes. What is wrong in every
//! trial is wrong; what depends on the sizes is left to the user of the declaration.

use super::axes::Axis;
use super::slots::OnWeight;
use super::values::{Func, Recipe, Scope, Tensor, Val};
use super::{Elaborator, Mode};
use crate::program::Program;
use nnc_base::{Diagnostic, Span};
use nnc_grammar::syntax as ast;
use nnc_ir::graph::{Port, SlotKind};
use nnc_ir::{DType, Dim, Type};
use std::rc::Rc;

/// Sizes that are handed out in order, again and again, and the value of settings without default.
const TRIALS: &[(&[i64], i64)] =
    &[(&[48, 24, 96, 12], 2), (&[24, 144, 48, 72], 3), (&[16, 16, 16, 16], 4), (&[12, 60, 36, 24], 1)];

/// What is wrong with a declaration in every trial that meets its `requires`.
pub(crate) fn try_declaration(program: &Program, item: &ast::Item, source: usize) -> Vec<Diagnostic> {
    let trials = TRIALS.iter().filter_map(|(sizes, number)| trial(program, item, source, sizes, *number));
    let mut trials: Vec<Vec<Diagnostic>> = trials.take(2).collect();
    let (Some(second), Some(mut first)) = (trials.pop(), trials.pop()) else { return Vec::new() };
    let place = |d: &Diagnostic| (d.code, d.labels.first().map(|l| l.span));
    first.retain(|d| second.iter().any(|other| place(other) == place(d)));
    first
}

/// One trial; nothing where the declaration cannot be tried, or its conditions do not hold.
fn trial(
    program: &Program,
    item: &ast::Item,
    source: usize,
    sizes: &[i64],
    number: i64,
) -> Option<Vec<Diagnostic>> {
    let training = matches!(&item.kind, ast::ItemKind::Decl(decl) if decl.kind == ast::DeclKind::Policy);
    let mut e = Elaborator::new(program, Mode { training, session: false }, DType::F32);
    let mut made = Made { sizes, next: 0, number, scope: e.root_scope(source) };
    let span = match &item.kind {
        ast::ItemKind::Fn(function) => {
            e.try_function(function, source, &mut made)?;
            function.name.span
        }
        ast::ItemKind::Decl(decl) => {
            e.try_decl(decl, source, &mut made)?;
            decl.name.span
        }
        _ => return None,
    };
    let unmet =
        |d: &Diagnostic| d.code == "dim::requires" && d.labels.first().is_some_and(|l| l.span == span);
    if e.diagnostics.iter().any(unmet) {
        return None;
    }
    // What is not built yet, or what the surroundings would have given, is no error of the declaration.
    let foreign = ["support::", "limit::", "given::", "dim::unproved", "dim::capacity"];
    e.diagnostics.retain(|d| !foreign.iter().any(|code| d.code.starts_with(code)));
    Some(e.diagnostics)
}

/// Made-up sizes, and the names bound so far.
struct Made<'s, 'a> {
    sizes: &'s [i64],
    next: usize,
    number: i64,
    scope: Rc<Scope<'a>>,
}

impl<'a> Elaborator<'a> {
    fn try_function(&mut self, function: &'a ast::Fn, source: usize, made: &mut Made<'_, 'a>) -> Option<()> {
        if function.axes.is_some() {
            return None;
        }
        let mut args = Vec::new();
        for param in function.params.iter().filter(|param| param.default.is_none()) {
            let value = self.made_up(param, made)?;
            args.push(super::calls::Given { name: Some(&param.name), value, span: function.name.span });
        }
        self.call_named(function, source, None, args, function.name.span);
        Some(())
    }

    fn try_decl(&mut self, decl: &'a ast::Decl, source: usize, made: &mut Made<'_, 'a>) -> Option<()> {
        let mut settings = Vec::new();
        for param in decl.params.iter().flatten() {
            let value = match &param.default {
                Some(default) => self.expr(default, &made.scope.clone()),
                None => self.made_up(param, made).unwrap_or(Val::Unknown),
            };
            made.scope.set(&param.name.text, value.clone());
            settings.push((Rc::from(param.name.text.as_str()), value));
        }
        self.given.push((Rc::from("joins"), Val::int(4)));
        self.given.push((Rc::from("steps"), Val::int(100)));
        let mut args = Vec::new();
        match &decl.subject {
            Some(ast::Subject::Fields(fields)) => {
                for field in fields {
                    args.push(self.made_tensor(&field.name, field.ty.as_ref()?, made)?);
                }
            }
            Some(ast::Subject::One { name, ty: Some(ty), pattern: None, .. }) => {
                args.push(self.made_tensor(name, ty, made)?);
            }
            Some(ast::Subject::One { ty: None, pattern: None, .. }) if decl.kind == ast::DeclKind::Policy => {
                args.push(Val::Tensor(self.made_param("w", &[made.sizes[0], made.sizes[1]])));
            }
            _ => return None,
        }
        for field in decl
            .given
            .iter()
            .filter(|field| !["joins", "steps", "training"].contains(&field.name.text.as_str()))
        {
            let value = self.made_up(field, made).unwrap_or(Val::Unknown);
            self.given.push((Rc::from(field.name.text.as_str()), value));
        }
        let span = decl.name.span;
        match decl.kind {
            ast::DeclKind::Block => {
                self.apply_decl(decl, source, &settings, &Rc::from(""), args, span);
            }
            ast::DeclKind::Topology => {
                // Any block that keeps the type does.
                let block = Val::Func(Rc::new(Func::Builtin { name: "stop", subscript: None }));
                let topology = Recipe::Decl { decl, source, args: settings, span };
                let topology = Val::Recipe(Rc::new(topology));
                self.run_stack(&Dim::constant(2), &block, Some(&topology), false, args.remove(0), span);
            }
            ast::DeclKind::Policy => {
                self.try_policy(OnWeight { decl, source, args: settings, span }, &args[0])?
            }
            ast::DeclKind::Model | ast::DeclKind::Sheet => return None,
        }
        Some(())
    }

    fn try_policy(&mut self, policy: OnWeight<'a>, w: &Val<'a>) -> Option<()> {
        let (axes, ty) = (w.tensor()?.axes.clone(), self.ty(w.tensor()?.value).clone());
        let slot = self.add_slot("w", SlotKind::Weight, ty.clone(), axes, None, &[], policy.span);
        self.slots[slot].policies.push(policy);
        self.make_policies(slot);
        self.read_slot(slot);
        let gradient = self.entry_param(Port::Named("gradient".into()), ty);
        let t = self.step_value();
        self.free_gradients(&[slot], vec![gradient], t);
        self.update(slot, gradient, t);
        Some(())
    }

    /// A value of a parameter's type; nothing where the type does not say enough.
    fn made_up(&mut self, field: &'a ast::Field, made: &mut Made<'_, 'a>) -> Option<Val<'a>> {
        let ty = field.ty.as_ref()?;
        match &ty.kind {
            ast::TypeKind::Name(name) => match name.text.as_str() {
                "int" => Some(Val::int(made.number)),
                "real" => Some(Val::Real(0.25 * made.number as f64)),
                "bool" => Some(Val::Bool(true)),
                "schedule" => Some(Val::Real(0.1)),
                _ => None,
            },
            ast::TypeKind::Tensor { .. } => self.made_tensor(&field.name, ty, made),
            _ => None,
        }
    }

    /// A tensor of a type; sizes that it names for the first time are made up.
    fn made_tensor(
        &mut self,
        name: &'a ast::Name,
        ty: &'a ast::Type,
        made: &mut Made<'_, 'a>,
    ) -> Option<Val<'a>> {
        let ast::TypeKind::Tensor { dtype, axes, .. } = &ty.kind else { return None };
        let mut found = Vec::new();
        for axis in axes {
            let (label, size) = match &axis.kind {
                ast::AxisKind::Rest => {
                    found.push(Axis::named("B", self.run_time_size("B")));
                    continue;
                }
                ast::AxisKind::Like(like) => {
                    let like = self.lookup_quiet(&like.text, &made.scope)?;
                    found.extend(like.tensor()?.axes.iter().cloned());
                    continue;
                }
                ast::AxisKind::Labelled { label, size } => (Some(label), size),
                ast::AxisKind::Counted { .. } => return None,
                ast::AxisKind::Size(size) => (None, size),
            };
            if let ast::ExprKind::Name(name) = &size.kind
                && self.lookup_quiet(&name.text, &made.scope).is_none()
            {
                let number = made.sizes[made.next % made.sizes.len()];
                made.next += 1;
                made.scope.set(&name.text, Val::int(number));
            }
            let dim = self.size(size, &made.scope.clone())?;
            let text = label.map_or_else(|| super::types::expr_text(size), |label| label.text.clone());
            found.push(Axis { label: label.is_some(), ..Axis::named(&text, dim) });
        }
        let dtype = match dtype {
            Some(dtype) => self.dtype_of(dtype)?,
            None => DType::F32,
        };
        let shape = found.iter().map(|a| a.size.clone()).collect();
        let value = self.entry_param(Port::Named(name.text.clone()), Type::new(dtype, shape));
        let tensor = Val::Tensor(Tensor { value, axes: found, bound: None });
        made.scope.set(&name.text, tensor.clone());
        Some(tensor)
    }

    fn made_param(&mut self, name: &str, sizes: &[i64]) -> Tensor {
        let shape: Vec<Dim> = sizes.iter().map(|n| Dim::constant(*n)).collect();
        let axes = shape.iter().cloned().map(Axis::sized).collect();
        let value = self.entry_param(Port::Named(name.into()), Type::new(DType::F32, shape));
        Tensor { value, axes, bound: None }
    }

    /// Notes that a declaration is used.
    pub(crate) fn note_use(&mut self, name: Span) {
        self.used.insert(name);
    }
}
