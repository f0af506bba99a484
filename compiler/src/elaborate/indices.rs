//! Index definitions: `let y[.., i, (h w)] = e`. The left side brings indices, their ranges come from where they are
//! used, the right side is evaluated with indexed axes, and the result is put in the order of the left side.

use super::axes::Axis;
use super::values::{Scope, Tensor, Val};
use super::{Elaborator, IndexVar};
use nnc_base::{Diagnostic, Span};
use nnc_grammar::syntax as ast;
use nnc_ir::Dim;
use std::rc::Rc;

/// One element of a left side.
pub(crate) enum Left<'a> {
    Rest,
    Index(usize),
    Merged(Vec<usize>),
    /// A position: a loop counter that is collected, or a place that is written.
    At(Val<'a>),
}

impl<'a> Elaborator<'a> {
    /// A new index.
    pub(crate) fn new_index(&mut self, name: &ast::Name, range: Option<Dim>, label: bool) -> usize {
        let axis = range.clone().filter(|_| label).map(|size| Axis {
            label: true,
            origin: Some(name.span),
            ..Axis::named(&name.text, size)
        });
        self.index_vars.push(IndexVar { name: Rc::from(name.text.as_str()), range, axis, span: name.span });
        self.index_vars.len() - 1
    }

    /// The left side of an index definition; its indices are bound in `inner`.
    pub(crate) fn left_side(
        &mut self,
        ats: &'a [ast::At],
        scope: &Rc<Scope<'a>>,
        inner: &Rc<Scope<'a>>,
    ) -> Option<Vec<Left<'a>>> {
        let mut left = Vec::new();
        for at in ats {
            left.push(match &at.kind {
                ast::AtKind::Rest => Left::Rest,
                ast::AtKind::All => {
                    let message = "`:` does not stand on the left of an index definition";
                    self.report(Diagnostic::error("index::unbound", at.span, message).help("name the index"));
                    return None;
                }
                ast::AtKind::Bound { name, range } => {
                    let size = self.size(range, inner)?;
                    let var = self.new_index(name, Some(size), true);
                    inner.set(&name.text, Val::Index(var));
                    Left::Index(var)
                }
                ast::AtKind::Merged(binders) => {
                    let mut vars = Vec::new();
                    for binder in binders {
                        if matches!(self.lookup_quiet(&binder.name.text, scope), Some(v) if !matches!(v, Val::Func(_))) {
                            let message = format!("`{}` is a value here, not a new index", binder.name.text);
                            self.report(Diagnostic::error("index::taken", binder.span, message).help("rename it"));
                            return None;
                        }
                        let size = match &binder.range {
                            Some(range) => Some(self.size(range, inner)?),
                            None => None,
                        };
                        let var = self.new_index(&binder.name, size, true);
                        inner.set(&binder.name.text, Val::Index(var));
                        vars.push(var);
                    }
                    Left::Merged(vars)
                }
                ast::AtKind::Expr(expr) => match &expr.kind {
                    ast::ExprKind::Name(name) if self.is_new_index(&name.text, scope) => {
                        let var = self.new_index(name, None, false);
                        inner.set(&name.text, Val::Index(var));
                        Left::Index(var)
                    }
                    _ => Left::At(self.expr(expr, scope)),
                },
            });
        }
        Some(left)
    }

    /// A name that is no value here: primitives such as `e` or `min` may be reused as indices.
    pub(crate) fn is_new_index(&mut self, name: &str, scope: &Rc<Scope<'a>>) -> bool {
        scope.get(name).is_none() && self.program.lookup(scope.source, name).is_none()
    }

    /// Evaluates the right side of an index definition and puts its axes in the order of the left side.
    pub(crate) fn define(
        &mut self,
        ats: &'a [ast::At],
        value: &'a ast::Expr,
        scope: &Rc<Scope<'a>>,
        span: Span,
    ) -> Option<(Tensor, Vec<Left<'a>>)> {
        let inner = Scope::inside(scope);
        let left = self.left_side(ats, scope, &inner)?;
        let outer_cache = std::mem::take(&mut self.base_cache);
        self.infer_ranges(value, &inner);
        let result = self.expr(value, &inner);
        self.base_cache = outer_cache;
        if result.is_unknown() {
            return None;
        }
        let like = if matches!(result, Val::Int(_)) { nnc_ir::DType::I32 } else { self.precision };
        let tensor = self.lift(&result, Some(like), value.span)?;
        let ordered = self.arrange(tensor, &left, span)?;
        Some((ordered, left))
    }

    fn arrange(&mut self, tensor: Tensor, left: &[Left<'a>], span: Span) -> Option<Tensor> {
        let mut axes: Vec<Axis> = tensor.axes.iter().filter(|a| a.index.is_none()).cloned().collect();
        let open = left.iter().any(|l| matches!(l, Left::Rest));
        if !axes.is_empty() && !open {
            let names = super::axes::describe(&axes);
            let message = format!("axes {names} of the right side are missing on the left");
            self.report(
                Diagnostic::error("dim::rank", span, message).help("`..` stands for all axes in front"),
            );
            return None;
        }
        for element in left {
            let vars: &[usize] = match element {
                Left::Index(var) => std::slice::from_ref(var),
                Left::Merged(vars) => vars,
                Left::Rest | Left::At(_) => continue,
            };
            for var in vars {
                axes.push(self.index_axis(*var, &tensor)?);
            }
        }
        let rest = axes.iter().filter(|a| a.index.is_none()).count();
        let value = self.spread(&tensor, &axes, span)?;
        let mut merged: Vec<Axis> = axes[..rest].to_vec();
        let mut next = rest;
        for element in left {
            match element {
                Left::Index(_) => {
                    merged.push(Axis { index: None, ..axes[next].clone() });
                    next += 1;
                }
                Left::Merged(vars) => {
                    let parts = &axes[next..next + vars.len()];
                    let size = parts.iter().fold(Dim::one(), |product, a| &product * &a.size);
                    let name: Vec<&str> = parts.iter().filter_map(|a| a.name.as_deref()).collect();
                    merged.push(Axis::named(&format!("({})", name.join(" ")), size));
                    next += vars.len();
                }
                Left::Rest | Left::At(_) => {}
            }
        }
        let shape = merged.iter().map(|a| a.size.clone()).collect();
        let value = self.b.reshape(value, shape);
        Some(Tensor { value, axes: merged, bound: tensor.bound })
    }

    /// The axis an index of the left side stands for.
    fn index_axis(&mut self, var: usize, tensor: &Tensor) -> Option<Axis> {
        let info = self.index_vars[var].clone();
        if let Some(axis) = tensor.axes.iter().find(|a| a.index == Some(var)) {
            let named = match info.axis {
                Some(known) => Axis { size: axis.size.clone(), live: axis.live, index: axis.index, ..known },
                None => axis.clone(),
            };
            return Some(named);
        }
        match info.range {
            Some(range) => {
                let axis = info.axis.unwrap_or_else(|| Axis::named(&info.name, range.clone()));
                Some(Axis { size: range, live: None, ..axis }.indexed(var))
            }
            None => {
                let message = format!("nothing says how far index `{}` runs", info.name);
                let help = format!("it is not used on the right; write its range: `{}: n`", info.name);
                self.report(Diagnostic::error("dim::free", info.span, message).help(help));
                None
            }
        }
    }

    /// Finds ranges of indices from the tensors they address, before anything is computed.
    pub(crate) fn infer_ranges(&mut self, expr: &'a ast::Expr, scope: &Rc<Scope<'a>>) {
        use ast::ExprKind as E;
        match &expr.kind {
            E::Index { base, index } => {
                self.infer_index(base, index, scope);
                for at in index {
                    if let ast::AtKind::Expr(inner) = &at.kind {
                        self.infer_ranges(inner, scope);
                    }
                }
            }
            E::Call { callee, args } => {
                if !matches!(callee.kind, E::Index { .. }) {
                    self.infer_ranges(callee, scope);
                }
                // Indices of a fold have no range yet: what they occur in cannot be evaluated.
                let known = self.folding.len();
                if let E::Index { index, .. } = &callee.kind {
                    self.folding.extend(index.iter().filter_map(name_at));
                }
                args.iter().for_each(|arg| self.infer_ranges(&arg.value, scope));
                self.folding.truncate(known);
            }
            E::Unary { value, .. } => self.infer_ranges(value, scope),
            E::Binary { left, right, .. } => {
                self.infer_ranges(left, scope);
                self.infer_ranges(right, scope);
            }
            E::Field { base, .. } => self.infer_ranges(base, scope),
            E::If { cond, .. } => self.infer_ranges(cond, scope),
            _ => {}
        }
    }

    fn infer_index(&mut self, base: &'a ast::Expr, index: &'a [ast::At], scope: &Rc<Scope<'a>>) {
        let mut folded = false;
        names_in(base, &mut |name| {
            folded |= scope.get(name).is_none() && self.folding.contains(&name);
        });
        if folded || self.mentions_index(base, scope) {
            return self.infer_ranges(base, scope);
        }
        let value = self.base_value(base, scope);
        let Val::Tensor(tensor) = value else { return };
        let plain: Vec<usize> = (0..tensor.axes.len()).filter(|a| tensor.axes[*a].index.is_none()).collect();
        let explicit: Vec<&ast::At> =
            index.iter().filter(|at| !matches!(at.kind, ast::AtKind::Rest)).collect();
        if plain.len() < explicit.len() {
            return;
        }
        for (at, axis) in explicit.iter().zip(&plain[plain.len() - explicit.len()..]) {
            let axis = Axis { index: None, ..tensor.axes[*axis].clone() };
            self.infer_at(at, &axis, scope);
        }
    }

    fn infer_at(&mut self, at: &'a ast::At, axis: &Axis, scope: &Rc<Scope<'a>>) {
        match &at.kind {
            ast::AtKind::Expr(ast::Expr { kind: ast::ExprKind::Name(name), .. }) => {
                if let Some(super::values::Binding::Value(Val::Index(var))) = scope.get(&name.text) {
                    let open = self.index_vars[var].range.is_none();
                    if open || self.index_vars[var].axis.is_none() {
                        self.meet_range(var, &axis.size, Some(axis.clone()), at.span);
                    }
                }
            }
            ast::AtKind::Merged(binders) => {
                let mut vars = Vec::new();
                for binder in binders {
                    let Some(super::values::Binding::Value(Val::Index(var))) = scope.get(&binder.name.text)
                    else {
                        return;
                    };
                    if let Some(range) = &binder.range
                        && let Some(size) = self.size(range, scope)
                    {
                        self.meet_range(var, &size, None, binder.span);
                    }
                    vars.push(var);
                }
                if vars.iter().filter(|v| self.index_vars[**v].range.is_none()).count() == 1 {
                    self.solve_split(&axis.size, &vars, at.span);
                }
            }
            _ => {}
        }
    }

    /// The value of a subscripted expression, computed once per definition.
    pub(crate) fn base_value(&mut self, base: &'a ast::Expr, scope: &Rc<Scope<'a>>) -> Val<'a> {
        if matches!(base.kind, ast::ExprKind::Name(_)) {
            return self.expr(base, scope);
        }
        if let Some(known) = self.base_cache.get(&std::ptr::from_ref(base)) {
            return known.clone();
        }
        let value = self.expr(base, scope);
        self.base_cache.insert(std::ptr::from_ref(base), value.clone());
        value
    }

    /// `base[index]` as an expression.
    pub(crate) fn index_expr(
        &mut self,
        base: &'a ast::Expr,
        index: &'a [ast::At],
        scope: &Rc<Scope<'a>>,
        span: Span,
    ) -> Val<'a> {
        let value = if self.mentions_index(base, scope) {
            self.expr(base, scope)
        } else {
            self.base_value(base, scope)
        };
        if let Val::Func(func) = &value {
            return self.with_axes(func, index, scope, span);
        }
        self.subscript(value, index, scope, span)
    }

    /// Whether an index of an open definition occurs in the expression.
    pub(crate) fn mentions_index(&mut self, expr: &'a ast::Expr, scope: &Rc<Scope<'a>>) -> bool {
        let mut found = false;
        names_in(expr, &mut |name| {
            found |= matches!(scope.get(name), Some(super::values::Binding::Value(Val::Index(_))));
        });
        found
    }
}

/// Calls `visit` with every name used as a value or index in `expr`; bodies and lambdas included.
pub(crate) fn names_in(expr: &ast::Expr, visit: &mut dyn FnMut(&str)) {
    use ast::ExprKind as E;
    match &expr.kind {
        E::Name(name) => visit(&name.text),
        E::Lambda { value, .. } => names_in(value, visit),
        E::If { cond, then, other } => {
            names_in(cond, visit);
            names_in_body(then, visit);
            match other.as_deref() {
                Some(ast::Else::If(expr)) => names_in(expr, visit),
                Some(ast::Else::Body(body)) => names_in_body(body, visit),
                None => {}
            }
        }
        E::List(items) => items.iter().for_each(|item| names_in(item, visit)),
        E::ListFor { value, over, .. } => {
            names_in(value, visit);
            names_in(over, visit);
        }
        E::Record(entries) => entries.iter().for_each(|e| names_in(&e.value, visit)),
        E::Unary { value, .. } => names_in(value, visit),
        E::Binary { left, right, .. } | E::Pipe { left, right } => {
            names_in(left, visit);
            names_in(right, visit);
        }
        E::Range { start, end } => {
            names_in(start, visit);
            names_in(end, visit);
        }
        E::Call { callee, args } => {
            names_in(callee, visit);
            args.iter().for_each(|arg| names_in(&arg.value, visit));
        }
        E::Index { base, index } => {
            names_in(base, visit);
            for at in index {
                names_in_at(at, visit);
            }
        }
        E::Field { base, .. } | E::With { base, .. } => names_in(base, visit),
        E::Int(_) | E::Real(_) | E::Text(_) | E::Path(_) | E::Error => {}
    }
}

fn names_in_at(at: &ast::At, visit: &mut dyn FnMut(&str)) {
    match &at.kind {
        ast::AtKind::Expr(expr) => names_in(expr, visit),
        ast::AtKind::Bound { range, .. } => names_in(range, visit),
        ast::AtKind::Merged(binders) => binders.iter().for_each(|b| visit(&b.name.text)),
        ast::AtKind::Rest | ast::AtKind::All => {}
    }
}

fn names_in_body(body: &ast::Body, visit: &mut dyn FnMut(&str)) {
    for stmt in &body.stmts {
        match &stmt.kind {
            ast::StmtKind::Let(bind) => names_in(&bind.value, visit),
            ast::StmtKind::Write(write) => names_in(&write.value, visit),
            ast::StmtKind::Expr(expr) => names_in(expr, visit),
            _ => {}
        }
    }
}

/// Whether `name` stands as an index inside a subscript of `expr`.
pub(crate) fn used_as_index(expr: &ast::Expr, name: &str) -> bool {
    use ast::ExprKind as E;
    let in_body = |body: &ast::Body| {
        body.stmts.iter().any(|stmt| match &stmt.kind {
            ast::StmtKind::Let(bind) => used_as_index(&bind.value, name),
            ast::StmtKind::Expr(expr) => used_as_index(expr, name),
            _ => false,
        })
    };
    match &expr.kind {
        E::Index { base, index } => {
            let mut found = false;
            if !matches!(&base.kind, E::Name(n) if super::builtins::is_fold(&n.text)) {
                index.iter().for_each(|at| names_in_at(at, &mut |n| found |= n == name));
            }
            found || used_as_index(base, name)
        }
        E::Unary { value, .. } => used_as_index(value, name),
        E::Binary { left, right, .. } | E::Pipe { left, right } => {
            used_as_index(left, name) || used_as_index(right, name)
        }
        E::Call { callee, args } => {
            used_as_index(callee, name) || args.iter().any(|arg| used_as_index(&arg.value, name))
        }
        E::Field { base, .. } | E::With { base, .. } => used_as_index(base, name),
        E::If { cond, then, other } => {
            used_as_index(cond, name)
                || in_body(then)
                || match other.as_deref() {
                    Some(ast::Else::If(expr)) => used_as_index(expr, name),
                    Some(ast::Else::Body(body)) => in_body(body),
                    None => false,
                }
        }
        _ => false,
    }
}

/// The name that an element of a subscript is.
pub(super) fn name_at(at: &ast::At) -> Option<&str> {
    match &at.kind {
        ast::AtKind::Expr(ast::Expr { kind: ast::ExprKind::Name(name), .. }) => Some(&name.text),
        ast::AtKind::Bound { name, .. } => Some(&name.text),
        _ => None,
    }
}
