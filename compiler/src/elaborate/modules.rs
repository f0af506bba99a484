//! Modules: making gives a block its place, applying runs its body there.

use super::calls::Given;
use super::regions::RegionKind;
use super::values::{Module, Recipe, Scope, Val};
use super::{Elaborator, Frame};
use nnc_base::{Diagnostic, Span};
use nnc_grammar::syntax as ast;
use std::rc::Rc;

impl<'a> Elaborator<'a> {
    /// A declaration with its settings: a recipe.
    pub(crate) fn recipe(
        &mut self,
        decl: &'a ast::Decl,
        source: usize,
        args: Vec<Given<'a>>,
        span: Span,
    ) -> Val<'a> {
        let params = decl.params.as_deref().unwrap_or_default();
        if decl.kind == ast::DeclKind::Sheet {
            return self.sheet_value(decl, source, &args);
        }
        // Bound once here, so that a wrong argument is reported where it is given.
        let scope = self.root_scope(source);
        if !self.bind_params(params, &args, &scope, &decl.name.text, span) {
            return Val::Unknown;
        }
        let args = params
            .iter()
            .filter_map(|p| match scope.get(&p.name.text) {
                Some(super::values::Binding::Value(value)) => Some((Rc::from(p.name.text.as_str()), value)),
                _ => None,
            })
            .collect();
        Val::Recipe(Rc::new(Recipe::Decl { decl, source, args, span }))
    }

    /// Gives a recipe its place.
    pub(crate) fn make(&mut self, recipe: Rc<Recipe<'a>>, name: Option<&str>, span: Span) -> Rc<Module<'a>> {
        let _ = span;
        let own = match (&*recipe, name) {
            (_, Some(name)) => Some(name.to_string()),
            (Recipe::Decl { decl, .. }, None) => Some(snake(&decl.name.text)),
            (Recipe::With { base, .. }, None) => base_name(base),
            (Recipe::Chain(_) | Recipe::Stack { .. }, None) => None,
        };
        let frame = self.frames.last_mut().expect("a frame is always open");
        let path = match own {
            Some(name) => {
                let name = unique(&mut frame.taken, &name);
                join(&frame.path, &name)
            }
            None => frame.path.clone(),
        };
        Rc::new(Module { recipe, path, loops: frame.loops.clone() })
    }

    /// One of several copies in a list: `mlp[3]`.
    pub(crate) fn make_copy(
        &mut self,
        recipe: Rc<Recipe<'a>>,
        name: &str,
        place: usize,
        span: Span,
    ) -> Rc<Module<'a>> {
        let _ = span;
        let frame = self.frames.last_mut().expect("a frame is always open");
        let path = join(&frame.path, &format!("{name}[{place}]"));
        Rc::new(Module { recipe, path, loops: frame.loops.clone() })
    }

    /// Runs a module at its place.
    pub(crate) fn apply_module(
        &mut self,
        module: &Rc<Module<'a>>,
        args: Vec<Val<'a>>,
        span: Span,
    ) -> Val<'a> {
        if self.too_deep(span) {
            return Val::Unknown;
        }
        // Elements without a name of their own are named in the frame of whoever applies them.
        let transparent = self.frames.last().is_some_and(|f| f.path == module.path);
        let enter = !(transparent && matches!(&*module.recipe, Recipe::Chain(_) | Recipe::Stack { .. }));
        if enter {
            self.frames.push(Frame {
                path: module.path.clone(),
                loops: module.loops.clone(),
                ..Frame::default()
            });
        }
        let result = self.isolated(|this| this.apply_recipe(&module.recipe, &module.path, args, span));
        if enter {
            self.frames.pop();
        }
        result
    }

    fn apply_recipe(
        &mut self,
        recipe: &Rc<Recipe<'a>>,
        path: &Rc<str>,
        args: Vec<Val<'a>>,
        span: Span,
    ) -> Val<'a> {
        match &**recipe {
            Recipe::Decl { decl, source, args: settings, .. } => {
                if let Some(wrapper) = self.wrapped(recipe, path) {
                    let result = self.apply_recipe(&wrapper, path, args, span);
                    self.wrapping.pop();
                    return result;
                }
                self.in_region(RegionKind::Block, &decl.name.text, path, span, |this| {
                    this.apply_decl(decl, *source, settings, path, args, span)
                })
            }
            Recipe::Chain(parts) => {
                let mut values = args;
                for part in parts {
                    values = vec![self.apply(part.clone(), values, span)];
                }
                values.pop().unwrap_or(Val::Unknown)
            }
            Recipe::Stack { count, block, join, shared, span } => {
                let Some(x) = args.into_iter().next() else {
                    return self.fail(Diagnostic::error(
                        "name::argument",
                        *span,
                        "a stack is applied to one value",
                    ));
                };
                self.run_stack(count, block, join.as_ref(), *shared, x, *span)
            }
            Recipe::With { base, sheet } => {
                self.sheets.push((path.clone(), sheet.clone()));
                let result = match base {
                    Val::Recipe(inner) => self.apply_recipe(inner, path, args, span),
                    other => self.apply(other.clone(), args, span),
                };
                self.sheets.pop();
                result
            }
        }
    }

    /// The scope of a declaration: settings, subject, what is given; conditions checked.
    pub(crate) fn enter_decl(
        &mut self,
        decl: &'a ast::Decl,
        source: usize,
        settings: &[(Rc<str>, Val<'a>)],
        args: Vec<Val<'a>>,
        span: Span,
    ) -> Option<Rc<Scope<'a>>> {
        self.note_use(decl.name.span);
        let scope = self.root_scope(source);
        let params = decl.params.as_deref().unwrap_or_default();
        if settings.is_empty() && !params.is_empty() {
            if !self.bind_params(params, &[], &scope, &decl.name.text, span) {
                return None;
            }
        } else {
            settings.iter().for_each(|(name, value)| scope.set(name, value.clone()));
        }
        if !self.bind_given(decl, &scope, span) {
            return None;
        }
        if decl.kind != ast::DeclKind::Model && !self.bind_subject(decl, &scope, args, span) {
            return None;
        }
        self.check_requires(&decl.requires, &scope, &decl.name.text, span).then_some(scope)
    }

    fn bind_given(&mut self, decl: &'a ast::Decl, scope: &Rc<Scope<'a>>, span: Span) -> bool {
        for field in &decl.given {
            let name = field.name.text.as_str();
            let found = self.given.iter().rev().find(|(known, _)| **known == *name).map(|(_, v)| v.clone());
            let value = match (found, name, &field.default) {
                (Some(value), _, _) => value,
                (None, "training", _) => Val::Bool(self.mode.training),
                (None, _, Some(default)) => self.expr(default, scope),
                (None, _, None) => {
                    let message =
                        format!("`{}` needs `{name}`, and nothing around it gives one", decl.name.text);
                    self.report(
                        Diagnostic::error("given::missing", span, message)
                            .label(field.span, "asked for here"),
                    );
                    return false;
                }
            };
            scope.set(name, value);
        }
        true
    }

    fn bind_subject(
        &mut self,
        decl: &'a ast::Decl,
        scope: &Rc<Scope<'a>>,
        args: Vec<Val<'a>>,
        span: Span,
    ) -> bool {
        let fields: Vec<(&'a ast::Name, Option<&'a ast::Type>)> = match &decl.subject {
            None => Vec::new(),
            Some(ast::Subject::One { name, ty, .. }) => vec![(name, ty.as_ref())],
            Some(ast::Subject::Fields(fields)) => fields.iter().map(|f| (&f.name, f.ty.as_ref())).collect(),
        };
        if fields.len() != args.len() {
            let message = format!(
                "`{}` is applied to {} values, it takes {}",
                decl.name.text,
                args.len(),
                fields.len()
            );
            self.report(
                Diagnostic::error("name::argument", span, message).label(decl.name.span, "declared here"),
            );
            return false;
        }
        let mut fine = true;
        for ((name, ty), value) in fields.into_iter().zip(args) {
            let value = match (value, ty) {
                (Val::Unknown, _) => {
                    fine = false;
                    Val::Unknown
                }
                (Val::Tensor(tensor), Some(ty)) => {
                    let what = format!("`{}` of `{}`", name.text, decl.name.text);
                    let value = self.bind_type(tensor, ty, scope, &what, span);
                    fine &= !value.is_unknown();
                    value
                }
                (value, _) => value,
            };
            scope.set(&name.text, value);
        }
        fine
    }

    pub(crate) fn apply_decl(
        &mut self,
        decl: &'a ast::Decl,
        source: usize,
        settings: &[(Rc<str>, Val<'a>)],
        path: &Rc<str>,
        args: Vec<Val<'a>>,
        span: Span,
    ) -> Val<'a> {
        if args.iter().any(Val::is_unknown) {
            return Val::Unknown;
        }
        match decl.kind {
            ast::DeclKind::Block => {}
            ast::DeclKind::Model => return self.apply_model(decl, source, settings, args, span),
            ast::DeclKind::Topology | ast::DeclKind::Policy | ast::DeclKind::Sheet => {
                let (kind, name) = (super::values::decl_kind(decl), &decl.name.text);
                let help = match decl.kind {
                    ast::DeclKind::Topology => {
                        format!("write it after `join:`: `stack(n, Layer(), join: {name}())`")
                    }
                    ast::DeclKind::Policy => format!("write it after `by` in a sheet: `**.w : by {name}()`"),
                    _ => format!("write it after `with`: `Model() with {name}`"),
                };
                let message = format!("`{name}` is a {kind}, not a block");
                return self.fail(Diagnostic::error("role::wrong", span, message).help(help));
            }
        }
        let branches = branches(decl);
        if !branches.is_empty() {
            let recipe = Recipe::Decl { decl, source, args: settings.to_vec(), span };
            let x = args.into_iter().next().unwrap_or(Val::Unknown);
            return self.join_once(Val::Recipe(Rc::new(recipe)), &branches, path, x, span);
        }
        let Some(scope) = self.enter_decl(decl, source, settings, args, span) else { return Val::Unknown };
        let inner = Scope::inside(&scope);
        let result = self.statements(&decl.body.stmts, &inner);
        if matches!(result, Val::None) {
            let message = format!("`{}` has no value", decl.name.text);
            return self.fail(
                Diagnostic::error("role::entry", decl.name.span, message)
                    .help("its value is its last statement, an expression"),
            );
        }
        self.check_result(result, decl.result.as_ref(), &scope, &decl.name.text, span)
    }

    /// A branch of a block, applied to what its topology reads.
    pub(crate) fn apply_branch(
        &mut self,
        block: &Val<'a>,
        branch: Option<&'a ast::Slot>,
        path: &Rc<str>,
        args: Vec<Val<'a>>,
        span: Span,
    ) -> Val<'a> {
        let loops = self.frames.last().map(|f| f.loops.clone()).unwrap_or_default();
        let Some(branch) = branch else {
            return match block {
                Val::Recipe(recipe) => {
                    let module = Rc::new(Module { recipe: recipe.clone(), path: path.clone(), loops });
                    self.apply_module(&module, args, span)
                }
                other => self.apply(other.clone(), args, span),
            };
        };
        let Val::Recipe(recipe) = block else { return Val::Unknown };
        let Recipe::Decl { decl, source, args: settings, .. } = &**recipe else { return Val::Unknown };
        if args.iter().any(Val::is_unknown) {
            return Val::Unknown;
        }
        self.frames.push(Frame { path: path.clone(), loops: loops.clone(), ..Frame::default() });
        let result = self.isolated(|this| {
            let scope = this.enter_decl(decl, *source, settings, args.clone(), span)?;
            let inner = Scope::inside(&scope);
            for stmt in &decl.body.stmts {
                if matches!(stmt.kind, ast::StmtKind::Let(_) | ast::StmtKind::Error(_)) {
                    this.statements(std::slice::from_ref(stmt), &inner);
                }
            }
            let value = this.expr(branch.init.as_ref()?, &inner);
            let at = join(path, &branch.name.text);
            let result = this.in_region(RegionKind::Branch, &branch.name.text, &at, span, |this| {
                this.frames.push(Frame { path: at.clone(), loops: loops.clone(), ..Frame::default() });
                let result = this.apply(value, args, span);
                this.frames.pop();
                result
            });
            Some(result)
        });
        self.frames.pop();
        result.unwrap_or(Val::Unknown)
    }

    fn apply_model(
        &mut self,
        decl: &'a ast::Decl,
        source: usize,
        settings: &[(Rc<str>, Val<'a>)],
        args: Vec<Val<'a>>,
        span: Span,
    ) -> Val<'a> {
        let inputs: Vec<&'a ast::Slot> = slots(decl, ast::SlotKind::Input);
        if inputs.len() != args.len() {
            let message =
                format!("`{}` has {} inputs, {} are given", decl.name.text, inputs.len(), args.len());
            return self.fail(Diagnostic::error("name::argument", span, message));
        }
        let named =
            inputs.iter().zip(args).map(|(slot, value)| (Rc::from(slot.name.text.as_str()), value)).collect();
        match self.run_model(decl, source, settings, named, span) {
            Val::Record(members) if members.len() == 1 => members[0].1.clone(),
            other => other,
        }
    }

    /// Runs a model on named inputs; yields the record of its outputs.
    pub(crate) fn run_model(
        &mut self,
        decl: &'a ast::Decl,
        source: usize,
        settings: &[(Rc<str>, Val<'a>)],
        inputs: Vec<(Rc<str>, Val<'a>)>,
        span: Span,
    ) -> Val<'a> {
        let Some(scope) = self.enter_decl(decl, source, settings, Vec::new(), span) else {
            return Val::Unknown;
        };
        let inner = Scope::inside(&scope);
        for slot in slots(decl, ast::SlotKind::Input) {
            let given = inputs.iter().find(|(name, _)| **name == *slot.name.text).map(|(_, v)| v.clone());
            let value = match (given, &slot.ty) {
                (Some(Val::Tensor(tensor)), Some(ty)) => {
                    let what = format!("input `{}`", slot.name.text);
                    self.bind_type(tensor, ty, &inner, &what, slot.name.span)
                }
                (given, _) => given.unwrap_or(Val::Unknown),
            };
            inner.set(&slot.name.text, value);
        }
        let outputs: Vec<&'a ast::Slot> = slots(decl, ast::SlotKind::Output);
        if outputs.is_empty() {
            let message = format!("model `{}` has no output", decl.name.text);
            return self.fail(
                Diagnostic::error("role::entry", decl.name.span, message).help("add `output y: [..]`"),
            );
        }
        for slot in &outputs {
            inner.set(&format!("output {}", slot.name.text), Val::Bool(true));
        }
        self.statements(&decl.body.stmts, &inner);
        let mut members = Vec::new();
        for slot in outputs {
            let Some(super::values::Binding::Value(value)) = scope_local(&inner, &slot.name.text) else {
                // What is broken elsewhere may have given it one.
                if !self.diagnostics.is_empty() || !self.program.sources[source].syntax.errors.is_empty() {
                    continue;
                }
                let message = format!("output `{}` gets no value", slot.name.text);
                self.report(
                    Diagnostic::error("role::entry", slot.name.span, message)
                        .help(format!("add `{} = ..`", slot.name.text)),
                );
                continue;
            };
            let value = match (value, &slot.ty) {
                (Val::Tensor(tensor), Some(ty)) => {
                    let what = format!("output `{}`", slot.name.text);
                    self.bind_type(tensor, ty, &inner, &what, slot.name.span)
                }
                (value, _) => value,
            };
            members.push((Rc::from(slot.name.text.as_str()), value));
        }
        Val::Record(Rc::new(members))
    }
}

fn scope_local<'a>(scope: &Rc<Scope<'a>>, name: &str) -> Option<super::values::Binding<'a>> {
    scope.names.borrow().get(name).cloned()
}

/// Slot statements of one kind.
pub(crate) fn slots(decl: &ast::Decl, kind: ast::SlotKind) -> Vec<&ast::Slot> {
    let all = decl
        .body
        .stmts
        .iter()
        .filter_map(|s| if let ast::StmtKind::Slot(slot) = &s.kind { Some(slot) } else { None });
    all.filter(|slot| slot.kind == kind).collect()
}

/// The branches of a block.
pub(crate) fn branches(decl: &ast::Decl) -> Vec<&ast::Slot> {
    slots(decl, ast::SlotKind::Branch)
}

/// `SwiGlu` as a path segment: `swi_glu`.
pub(crate) fn snake(name: &str) -> String {
    let mut out = String::new();
    for (place, c) in name.chars().enumerate() {
        if c.is_ascii_uppercase() && place > 0 {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

pub(crate) fn join(path: &str, name: &str) -> Rc<str> {
    if path.is_empty() { Rc::from(name) } else { Rc::from(format!("{path}.{name}")) }
}

/// A second element of one name gets `_2`.
pub(crate) fn unique(taken: &mut std::collections::HashMap<String, usize>, name: &str) -> String {
    let count = taken.entry(name.to_string()).or_insert(0);
    *count += 1;
    if *count == 1 { name.to_string() } else { format!("{name}_{count}") }
}

/// The name the innermost declaration gives.
pub(crate) fn base_name(value: &Val) -> Option<String> {
    match value {
        Val::Recipe(recipe) => match &**recipe {
            Recipe::Decl { decl, .. } => Some(snake(&decl.name.text)),
            Recipe::With { base, .. } => base_name(base),
            _ => None,
        },
        Val::Module(module) => module.path.rsplit('.').next().map(str::to_string),
        _ => None,
    }
}
