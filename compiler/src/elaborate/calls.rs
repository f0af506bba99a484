//! Calls: arguments meet parameters, functions run, custom gradients become rules.

use super::axes::Axis;
use super::regions::RegionKind;
use super::values::{Func, Recipe, Scope, Tensor, Val};
use super::{Elaborator, builtins};
use nnc_base::{Diagnostic, Span};
use nnc_grammar::syntax as ast;
use nnc_ir::graph::Block;
use nnc_ir::{Dim, Value, ops};
use std::rc::Rc;

/// An argument, evaluated.
#[derive(Clone, Debug)]
pub(crate) struct Given<'a> {
    pub name: Option<&'a ast::Name>,
    pub value: Val<'a>,
    pub span: Span,
}

impl<'a> Elaborator<'a> {
    /// Evaluates arguments.
    pub(crate) fn arguments(&mut self, args: &'a [ast::Arg], scope: &Rc<Scope<'a>>) -> Vec<Given<'a>> {
        args.iter()
            .map(|arg| Given {
                name: arg.name.as_ref(),
                value: self.expr(&arg.value, scope),
                span: arg.value.span,
            })
            .collect()
    }

    /// `callee(args)`.
    pub(crate) fn call_expr(
        &mut self,
        callee: &'a ast::Expr,
        args: &'a [ast::Arg],
        scope: &Rc<Scope<'a>>,
        span: Span,
    ) -> Val<'a> {
        let (base, subscript) = match &callee.kind {
            ast::ExprKind::Index { base, index } => (&**base, Some(index.as_slice())),
            _ => (callee, None),
        };
        if let ast::ExprKind::Name(name) = &base.kind
            && scope.get(&name.text).is_none()
            && self.program.lookup(scope.source, &name.text).is_none()
            && let Some(primitive) = builtins::find(&name.text)
        {
            if builtins::is_fold(primitive)
                && let [ast::Arg { name: None, value }] = args
            {
                return self.fold_call(primitive, subscript, value, scope, span);
            }
            let given = self.arguments(args, scope);
            let subscript = subscript.map(|ats| (ats, scope.clone()));
            return self.primitive(primitive, subscript, given, span);
        }
        let callee_value = self.expr(callee, scope);
        let given = self.arguments(args, scope);
        self.call(callee_value, given, scope, span)
    }

    /// Calls a value with arguments.
    pub(crate) fn call(
        &mut self,
        callee: Val<'a>,
        args: Vec<Given<'a>>,
        scope: &Rc<Scope<'a>>,
        span: Span,
    ) -> Val<'a> {
        match &callee {
            Val::Unknown => Val::Unknown,
            Val::Func(func) => self.call_func(func, args, scope, span),
            Val::Recipe(recipe) => match &**recipe {
                // A declaration's first call gives its settings; a recipe that has them is applied.
                Recipe::Decl { decl, source, args: bound, .. }
                    if bound.is_empty() && !self.settings_done(recipe) =>
                {
                    self.recipe(decl, *source, args, span)
                }
                _ => self.apply(callee, args.into_iter().map(|g| g.value).collect(), span),
            },
            Val::Module(_) => self.apply(callee, args.into_iter().map(|g| g.value).collect(), span),
            // A number stands for the constant function.
            Val::Int(_) | Val::Real(_) => callee,
            other => {
                let message = format!("{} cannot be called", other.describe());
                self.fail(Diagnostic::error("role::wrong", span, message))
            }
        }
    }

    fn settings_done(&self, recipe: &Rc<Recipe<'a>>) -> bool {
        matches!(&**recipe, Recipe::Decl { decl, span, .. } if *span != decl.name.span)
    }

    /// Applies a function or block to positional values.
    pub(crate) fn apply(&mut self, callee: Val<'a>, args: Vec<Val<'a>>, span: Span) -> Val<'a> {
        if self.too_deep(span) {
            return Val::Unknown;
        }
        match &callee {
            Val::Unknown => Val::Unknown,
            Val::Func(func) => {
                let scope = self.root_scope(0);
                let args = args.into_iter().map(|value| Given { name: None, value, span }).collect();
                self.call_func(func, args, &scope, span)
            }
            Val::Recipe(recipe) => {
                let module = self.make(recipe.clone(), None, span);
                self.apply_module(&module, args, span)
            }
            Val::Module(module) => {
                let module = module.clone();
                self.apply_module(&module, args, span)
            }
            // A number stands for the constant function.
            Val::Int(_) | Val::Real(_) => callee,
            other => {
                let message = format!("{} cannot be applied", other.describe());
                self.fail(Diagnostic::error("role::wrong", span, message))
            }
        }
    }

    /// `f[a]`: a function whose axes are given.
    pub(crate) fn with_axes(
        &mut self,
        func: &Rc<Func<'a>>,
        index: &'a [ast::At],
        scope: &Rc<Scope<'a>>,
        span: Span,
    ) -> Val<'a> {
        match &**func {
            Func::Builtin { name, .. } => {
                Val::Func(Rc::new(Func::Builtin { name, subscript: Some((index, scope.clone())) }))
            }
            Func::Named { decl, source, .. } => {
                let wanted = decl.axes.as_ref().map_or(0, Vec::len);
                if wanted == 0 {
                    let message = format!("`{}` takes no axes", decl.name.text);
                    return self.fail(Diagnostic::error("name::argument", span, message));
                }
                let axes: Vec<Val<'a>> = if wanted == 1 {
                    vec![self.axes_value(index, scope)]
                } else if wanted == index.len() {
                    index.iter().map(|at| self.axes_value(std::slice::from_ref(at), scope)).collect()
                } else {
                    let message =
                        format!("`{}` takes {wanted} axes, {} are given", decl.name.text, index.len());
                    return self.fail(Diagnostic::error("name::argument", span, message));
                };
                Val::Func(Rc::new(Func::Named { decl, source: *source, axes: Some(axes) }))
            }
            _ => self.fail(Diagnostic::error("name::argument", span, "this function takes no axes")),
        }
    }

    /// Names in a subscript as axes.
    fn axes_value(&mut self, index: &'a [ast::At], scope: &Rc<Scope<'a>>) -> Val<'a> {
        let mut axes = Vec::new();
        for at in index {
            let ast::AtKind::Expr(ast::Expr { kind: ast::ExprKind::Name(name), .. }) = &at.kind else {
                return self.fail(Diagnostic::error("dim::axis", at.span, "an axis is given by its name"));
            };
            match if scope.get(&name.text).is_some() { self.lookup_quiet(&name.text, scope) } else { None } {
                Some(Val::Axes(known)) => axes.extend(known.iter().cloned()),
                Some(Val::Index(var)) => axes.push(Axis::named(&name.text, Dim::constant(-1)).indexed(var)),
                Some(Val::Int(size)) => axes.push(Axis::named(&name.text, size)),
                _ => axes.push(Axis::named(&name.text, Dim::constant(-1))),
            }
        }
        Val::Axes(Rc::new(axes))
    }

    fn call_func(
        &mut self,
        func: &Rc<Func<'a>>,
        args: Vec<Given<'a>>,
        scope: &Rc<Scope<'a>>,
        span: Span,
    ) -> Val<'a> {
        if self.too_deep(span) {
            return Val::Unknown;
        }
        match &**func {
            Func::Builtin { name, subscript } => {
                if builtins::is_fold(name)
                    && let [Given { name: None, value, .. }] = args.as_slice()
                {
                    let subscript = subscript.as_ref().map(|(ats, written)| (*ats, written));
                    return self.fold_applied(name, subscript, value.clone(), scope, span);
                }
                self.primitive(name, subscript.clone(), args, span)
            }
            Func::Lambda { params, value, scope: written } => {
                let inner = Scope::inside(written);
                // A mask of two arguments may be asked with three: the front ones are dropped.
                let args = if args.len() > params.len() && args.iter().all(|g| g.name.is_none()) {
                    args[args.len() - params.len()..].to_vec()
                } else {
                    args
                };
                if !self.bind_params(params, &args, &inner, "the function", span) {
                    return Val::Unknown;
                }
                self.isolated(|this| this.expr(value, &inner))
            }
            Func::Named { decl, source, axes } => self.call_named(decl, *source, axes.as_deref(), args, span),
            Func::Branch { block, branch, path } => {
                let args = args.into_iter().map(|g| g.value).collect();
                self.apply_branch(block, *branch, path, args, span)
            }
            Func::Picked { members, pick } => {
                let args: Vec<Val<'a>> = args.into_iter().map(|g| g.value).collect();
                self.apply_picked(members, pick, &args, span)
            }
            Func::Chain(parts) => {
                let mut values: Vec<Val<'a>> = args.into_iter().map(|g| g.value).collect();
                for part in parts {
                    values = vec![self.apply(part.clone(), values, span)];
                }
                values.pop().unwrap_or(Val::Unknown)
            }
        }
    }

    pub(crate) fn call_named(
        &mut self,
        decl: &'a ast::Fn,
        source: usize,
        axes: Option<&[Val<'a>]>,
        args: Vec<Given<'a>>,
        span: Span,
    ) -> Val<'a> {
        self.note_use(decl.name.span);
        let scope = self.root_scope(source);
        for (place, name) in decl.axes.as_deref().unwrap_or_default().iter().enumerate() {
            match axes.and_then(|axes| axes.get(place)) {
                Some(value) => scope.set(&name.text, value.clone()),
                None => {
                    let message = format!("`{}` needs its axis `{}`", decl.name.text, name.text);
                    let help = format!("write `{}[{}](..)`", decl.name.text, name.text);
                    return self.fail(Diagnostic::error("dim::axis", span, message).help(help));
                }
            }
        }
        if !self.bind_params(&decl.params, &args, &scope, &decl.name.text, span) {
            return Val::Unknown;
        }
        if !self.check_requires(&decl.requires, &scope, &decl.name.text, span) {
            return Val::Unknown;
        }
        let result =
            self.in_region(RegionKind::Function, &decl.name.text, "", span, |this| match &decl.backward {
                Some(backward) => this.isolated(|this| this.custom_rule(decl, backward, &scope, span)),
                None => this.isolated(|this| this.code(&decl.code, &scope)),
            });
        self.check_result(result, decl.result.as_ref(), &scope, &decl.name.text, span)
    }

    /// The value of a body or expression.
    pub(crate) fn code(&mut self, code: &'a ast::Code, scope: &Rc<Scope<'a>>) -> Val<'a> {
        match code {
            ast::Code::Expr(expr) => self.expr(expr, scope),
            ast::Code::Body(body) => self.body(body, scope),
        }
    }

    /// Checks a result against the declared type, which names its axes.
    pub(crate) fn check_result(
        &mut self,
        result: Val<'a>,
        ty: Option<&'a ast::Type>,
        scope: &Rc<Scope<'a>>,
        owner: &str,
        span: Span,
    ) -> Val<'a> {
        match (result, ty) {
            (Val::Tensor(tensor), Some(ty)) => {
                let what = format!("the result of `{owner}`");
                self.bind_type(tensor, ty, scope, &what, span)
            }
            (result, _) => result,
        }
    }

    /// Conditions that the user of a block or function owes.
    pub(crate) fn check_requires(
        &mut self,
        requires: &'a [ast::Expr],
        scope: &Rc<Scope<'a>>,
        owner: &str,
        span: Span,
    ) -> bool {
        let mut fine = true;
        for condition in requires {
            match self.expr(condition, scope) {
                Val::Bool(true) => {}
                Val::Unknown => fine = false,
                Val::Bool(false) => {
                    let mut values: Vec<String> = Vec::new();
                    super::indices::names_in(condition, &mut |name| {
                        if let Some(super::values::Binding::Value(Val::Int(dim))) = scope.get(name) {
                            let entry = format!("{name} = {dim}");
                            if !values.contains(&entry) {
                                values.push(entry);
                            }
                        }
                    });
                    let text = super::types::expr_text(condition);
                    let message = format!("`{owner}` requires `{text}`: {}", values.join(", "));
                    self.report(
                        Diagnostic::error("dim::requires", span, message)
                            .here("used here")
                            .label(condition.span, "required here")
                            .help("choose sizes that meet the condition"),
                    );
                    fine = false;
                }
                Val::Tensor(_) => self.guard(condition, scope, owner, span),
                other => {
                    let message = format!("a condition is a truth value, not {}", other.describe());
                    self.report(Diagnostic::error("type::dtype", condition.span, message));
                    fine = false;
                }
            }
        }
        fine
    }

    /// A condition on run-time sizes: checked once per call.
    fn guard(&mut self, condition: &'a ast::Expr, scope: &Rc<Scope<'a>>, owner: &str, span: Span) {
        if let ast::ExprKind::Binary { op: ast::BinaryOp::Eq, left, right } = &condition.kind
            && let (Some(a), Some(b)) = (self.size(left, scope), self.size(right, scope))
        {
            let text = super::types::expr_text(condition);
            self.guards.push((&a - &b, span, format!("`{owner}` requires `{text}`")));
            return;
        }
        let message = format!("cannot show `{}`", super::types::expr_text(condition));
        self.report(
            Diagnostic::error("dim::unproved", span, message)
                .label(condition.span, "required here")
                .help("state it as an equality, such as `T % 64 == 0`, to have it checked at run time"),
        );
    }

    /// Binds arguments to parameters; reports what does not fit.
    pub(crate) fn bind_params(
        &mut self,
        params: &'a [ast::Field],
        args: &[Given<'a>],
        scope: &Rc<Scope<'a>>,
        owner: &str,
        span: Span,
    ) -> bool {
        let mut values: Vec<Option<(Val<'a>, Span)>> = vec![None; params.len()];
        let mut fine = true;
        for (place, arg) in args.iter().enumerate() {
            let slot = match arg.name {
                Some(name) => params.iter().position(|p| p.name.text == name.text),
                None => (place < params.len()).then_some(place),
            };
            match slot {
                Some(slot) if values[slot].is_none() => values[slot] = Some((arg.value.clone(), arg.span)),
                Some(slot) => {
                    let message = format!("`{}` is given twice", params[slot].name.text);
                    self.report(Diagnostic::error("name::argument", arg.span, message));
                    fine = false;
                }
                None => {
                    self.unknown_argument(params, arg, owner, place);
                    fine = false;
                }
            }
        }
        for (param, value) in params.iter().zip(values) {
            let (value, place) = match (value, &param.default) {
                (Some((value, place)), _) => (value, place),
                (None, Some(default)) if self.too_deep(default.span) => (Val::Unknown, default.span),
                (None, Some(default)) => (self.isolated(|this| this.expr(default, scope)), default.span),
                (None, None) => {
                    let message = format!("{} needs `{}`", quoted(owner), param.name.text);
                    self.report(
                        Diagnostic::error("name::argument", span, message)
                            .label(param.span, "declared here")
                            .help(format!("give it: `{}: ..`", param.name.text)),
                    );
                    fine = false;
                    (Val::Unknown, span)
                }
            };
            let value = self.check_param(param, value, scope, place);
            fine &= !value.is_unknown();
            scope.set(&param.name.text, value);
        }
        fine
    }

    fn unknown_argument(&mut self, params: &'a [ast::Field], arg: &Given<'a>, owner: &str, place: usize) {
        let all: Vec<&str> = params.iter().map(|p| p.name.text.as_str()).collect();
        let list =
            if all.is_empty() { "it has none".to_string() } else { format!("it has {}", all.join(", ")) };
        let diagnostic = match arg.name {
            Some(name) => {
                let message = format!("{} has no argument `{}`; {list}", quoted(owner), name.text);
                let near = crate::nearest(&name.text, all.iter().copied());
                let diagnostic = Diagnostic::error("name::argument", name.span, message);
                match near {
                    Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                    None => diagnostic,
                }
            }
            None => {
                let message =
                    format!("{} takes {} arguments, this is number {}", quoted(owner), all.len(), place + 1);
                Diagnostic::error("name::argument", arg.span, message)
            }
        };
        self.report(diagnostic);
    }

    fn check_param(
        &mut self,
        param: &'a ast::Field,
        value: Val<'a>,
        scope: &Rc<Scope<'a>>,
        span: Span,
    ) -> Val<'a> {
        let Some(ty) = &param.ty else { return value };
        let wrong = |this: &mut Self, wanted: &str, value: &Val<'a>| {
            let message = format!("`{}` is {wanted}, not {}", param.name.text, value.describe());
            this.fail(Diagnostic::error("type::value", span, message).label(param.span, "declared here"))
        };
        match (&ty.kind, value) {
            (_, Val::Unknown) => Val::Unknown,
            (ast::TypeKind::Name(name), value) => match (name.text.as_str(), &value) {
                ("int", Val::Int(_))
                | ("real", Val::Real(_))
                | ("bool", Val::Bool(_))
                | ("text", Val::Text(_)) => value,
                ("real", Val::Int(dim)) => dim.as_constant().map_or(value.clone(), |n| Val::Real(n as f64)),
                ("int", Val::Tensor(t)) if self.dtype(t).is_int() && t.axes.is_empty() => value,
                ("real", Val::Tensor(t)) if self.dtype(t).is_float() && t.axes.is_empty() => value,
                ("bool", Val::Tensor(t)) if self.dtype(t) == nnc_ir::DType::Bool => value,
                ("int", _) => wrong(self, "an integer", &value),
                ("real", _) => wrong(self, "a number", &value),
                ("bool", _) => wrong(self, "a truth value", &value),
                ("text", _) => wrong(self, "a text", &value),
                ("schedule", Val::Func(_) | Val::Real(_) | Val::Int(_)) => value,
                ("schedule", _) => wrong(self, "a number or a function of (t, steps)", &value),
                _ => value,
            },
            (ast::TypeKind::Tensor { .. }, Val::Tensor(tensor)) => {
                let what = format!("`{}`", param.name.text);
                self.bind_type(tensor, ty, scope, &what, span)
            }
            (_, value) => value,
        }
    }

    /// A function with its own gradient: both sides become bodies of one operation.
    fn custom_rule(
        &mut self,
        decl: &'a ast::Fn,
        backward: &'a ast::Backward,
        scope: &Rc<Scope<'a>>,
        span: Span,
    ) -> Val<'a> {
        let mut names: Vec<(&'a ast::Name, Tensor)> = Vec::new();
        for param in &decl.params {
            if let Some(super::values::Binding::Value(Val::Tensor(t))) = scope.get(&param.name.text) {
                names.push((&param.name, t));
            }
        }
        let operands: Vec<Value> = names.iter().map(|(_, t)| t.value).collect();
        self.b.open();
        let inner = Scope::inside(scope);
        for (name, tensor) in &names {
            let ty = self.ty(tensor.value).clone();
            let value = self.b.param(ty);
            inner.set(&name.text, Val::Tensor(Tensor { value, ..tensor.clone() }));
        }
        let result = self.code(&decl.code, &inner);
        let Some(result) = self.lift(&result, None, span) else {
            self.b.close(Vec::new());
            return Val::Unknown;
        };
        let forward = self.b.close(vec![result.value]);
        let Some(back) = self.backward_block(decl, backward, &names, &result, scope) else {
            return Val::Unknown;
        };
        self.b.span = span;
        match self.b.try_apply_blocks(ops::Rule.into(), &operands, vec![forward, back]) {
            Ok(values) => Val::Tensor(Tensor { value: values[0], ..result }),
            Err(error) => self.fail(Diagnostic::error("grad::backward", backward.span, error.message)),
        }
    }

    fn backward_block(
        &mut self,
        decl: &'a ast::Fn,
        backward: &'a ast::Backward,
        names: &[(&'a ast::Name, Tensor)],
        result: &Tensor,
        scope: &Rc<Scope<'a>>,
    ) -> Option<Block> {
        self.b.open();
        let inner = Scope::inside(scope);
        for (name, tensor) in names {
            let ty = self.ty(tensor.value).clone();
            let value = self.b.param(ty);
            inner.set(&name.text, Val::Tensor(Tensor { value, ..tensor.clone() }));
        }
        let ty = self.ty(result.value).clone();
        let y = self.b.param(ty.clone());
        inner.set("result", Val::Tensor(Tensor { value: y, ..result.clone() }));
        let dy = self.b.param(ty);
        if let Some(param) = backward.params.first() {
            inner.set(&param.name.text, Val::Tensor(Tensor { value: dy, ..result.clone() }));
        }
        let gradients = self.body(&backward.body, &inner);
        let mut results = Vec::new();
        let mut fine = !gradients.is_unknown();
        for (name, tensor) in names {
            if !self.dtype(tensor).is_float() {
                continue;
            }
            let given = match &gradients {
                Val::Record(members) => members.iter().find(|m| *m.0 == *name.text).map(|m| m.1.clone()),
                _ => None,
            };
            match given {
                Some(value) => {
                    let dtype = self.dtype(tensor);
                    let lifted = self.lift(&value, Some(dtype), backward.span);
                    match lifted.and_then(|t| self.spread(&t, &tensor.axes, backward.span)) {
                        Some(value) => results.push(self.b.cast(value, dtype)),
                        None => fine = false,
                    }
                }
                None if gradients.is_unknown() => {}
                None => {
                    let message =
                        format!("`backward` of `{}` gives no gradient for `{}`", decl.name.text, name.text);
                    self.report(Diagnostic::error("grad::backward", backward.span, message).help(format!(
                        "end with a record: `{{ {}: .. }}`; 0 where there is none",
                        name.text
                    )));
                    fine = false;
                }
            }
        }
        let block = self.b.close(results);
        fine.then_some(block)
    }
}

fn quoted(owner: &str) -> String {
    if owner.contains(' ') { owner.to_string() } else { format!("`{owner}`") }
}
