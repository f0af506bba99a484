//! Types of signatures and slots: binds the sizes they name, checks the others, names the axes.

use super::Elaborator;
use super::axes::{self, Axis};
use super::values::{Scope, Tensor, Val};
use nnc_base::{Diagnostic, Span};
use nnc_grammar::syntax as ast;
use nnc_ir::{DType, Dim, Pattern};
use std::rc::Rc;

/// The axes of a declared type, sizes known.
pub(crate) struct Declared {
    pub dtype: Option<DType>,
    pub bound: Option<Dim>,
    pub axes: Vec<Axis>,
    pub pattern: Pattern,
}

impl<'a> Elaborator<'a> {
    /// Checks `tensor` against `ty`, binding the sizes that `ty` names first, and gives the axes their names.
    pub(crate) fn bind_type(
        &mut self,
        mut tensor: Tensor,
        ty: &'a ast::Type,
        scope: &Rc<Scope<'a>>,
        what: &str,
        span: Span,
    ) -> Val<'a> {
        let ast::TypeKind::Tensor { dtype, axes, .. } = &ty.kind else { return Val::Tensor(tensor) };
        let explicit: Vec<&ast::Axis> =
            axes.iter().filter(|a| !matches!(a.kind, ast::AxisKind::Rest)).collect();
        if let [ast::Axis { kind: ast::AxisKind::Like(_), .. }] = explicit.as_slice() {
            return Val::Tensor(tensor);
        }
        let open = explicit.len() != axes.len();
        let plain: Vec<usize> = (0..tensor.axes.len()).filter(|a| tensor.axes[*a].index.is_none()).collect();
        if plain.len() < explicit.len() || (!open && plain.len() != explicit.len()) {
            let message = format!(
                "{what} has {} axes {}, {} are expected",
                plain.len(),
                axes::describe(&tensor.axes),
                if open { format!("at least {}", explicit.len()) } else { explicit.len().to_string() }
            );
            let diagnostic = Diagnostic::error("dim::rank", span, message).label(ty.span, "expected here");
            return self.fail(if open {
                diagnostic
            } else {
                diagnostic.help("write `..` to allow leading axes")
            });
        }
        let first = plain.len() - explicit.len();
        if open {
            self.bind_rest(&mut tensor, &plain[..first], scope);
        }
        let mut fits = true;
        for (declared, place) in explicit.iter().zip(&plain[first..]) {
            fits &= self.bind_axis(&mut tensor.axes[*place], declared, scope, what, span);
        }
        if let Some(dtype) = dtype {
            fits &= self.check_dtype(&mut tensor, dtype, scope, what, span);
        }
        if fits { Val::Tensor(tensor) } else { Val::Unknown }
    }

    /// `..` is one list of axes per signature: those of another operand take its names.
    fn bind_rest(&mut self, tensor: &mut Tensor, places: &[usize], scope: &Rc<Scope<'a>>) {
        let axes: Vec<Axis> = places.iter().map(|place| tensor.axes[*place].clone()).collect();
        // The longest `..` of a signature is the one it speaks of.
        let known = scope.names.borrow().get("..").cloned();
        if let Some(super::values::Binding::Value(Val::Axes(before))) = known
            && before.len() >= axes.len()
        {
            if before.len() == axes.len() {
                for (place, known) in places.iter().zip(before.iter()) {
                    let axis = &mut tensor.axes[*place];
                    if axis.size == known.size && !(axis.label && known.label) {
                        axis.name = known.name.clone();
                        axis.label = known.label;
                    }
                }
            }
            return;
        }
        scope.set("..", Val::Axes(Rc::new(axes)));
    }

    fn bind_axis(
        &mut self,
        axis: &mut Axis,
        declared: &'a ast::Axis,
        scope: &Rc<Scope<'a>>,
        what: &str,
        span: Span,
    ) -> bool {
        let (label, size) = match &declared.kind {
            ast::AxisKind::Labelled { label, size } => (Some(label), size),
            ast::AxisKind::Size(size) => (None, size),
            ast::AxisKind::Counted { name, cap, .. } => (Some(name), cap),
            ast::AxisKind::Rest | ast::AxisKind::Like(_) => return true,
        };
        if let ast::ExprKind::Name(name) = &size.kind
            && self.lookup_quiet(&name.text, scope).is_none()
        {
            scope.set(&name.text, Val::Int(axis.size.clone()));
            self.name_axis(axis, label, size);
            axis.origin = axis.origin.or(Some(span));
            return true;
        }
        let Some(wanted) = self.size(size, scope) else { return false };
        if !self.same_size(&axis.size, &wanted, size.span) {
            let name = label.map_or_else(|| expr_text(size), |l| l.text.clone());
            let message = format!("{what} has {} along `{name}`, {wanted} is expected", axis.size);
            let mut diagnostic = Diagnostic::error("dim::mismatch", span, message)
                .here(format!("{} here", axis.size))
                .label(declared.span, format!("`{name}` is {wanted}"));
            if let Some(origin) = axis.origin.filter(|o| *o != span) {
                diagnostic = diagnostic.label(origin, format!("{} comes from here", axis.size));
            }
            self.report(diagnostic.help(format!("make both {wanted} or both {}", axis.size)));
            return false;
        }
        self.name_axis(axis, label, size);
        true
    }

    /// Equal sizes, or two run-time sizes that are checked when data arrive.
    fn same_size(&mut self, found: &Dim, wanted: &Dim, span: Span) -> bool {
        if found == wanted {
            return true;
        }
        let open = found.as_constant().is_none() || wanted.as_constant().is_none();
        let gap = (found - wanted).simplify(&self.ranges);
        let _ = (open, span);
        gap.is_zero()
    }

    fn name_axis(&mut self, axis: &mut Axis, label: Option<&ast::Name>, size: &ast::Expr) {
        let text = label.map_or_else(|| expr_text(size), |l| l.text.clone());
        axis.label = label.is_some();
        axis.name = if text.chars().all(|c| c.is_ascii_digit()) { None } else { Some(Rc::from(text)) };
    }

    fn check_dtype(
        &mut self,
        tensor: &mut Tensor,
        dtype: &'a ast::Dtype,
        scope: &Rc<Scope<'a>>,
        what: &str,
        span: Span,
    ) -> bool {
        let found = self.dtype(tensor);
        if dtype.name.text == "index" || dtype.name.text == "int" {
            if !found.is_int() {
                let message = format!("{what} holds {found}, integers are expected");
                self.report(
                    Diagnostic::error("type::dtype", span, message).label(dtype.name.span, "expected here"),
                );
                return false;
            }
            if let Some(bound) = self.index_bound(dtype, scope) {
                let sizes = tensor.bound.as_ref().and_then(Dim::as_constant).zip(bound.as_constant());
                if let Some((has, takes)) = sizes.filter(|(has, takes)| has > takes) {
                    let message = format!("{what} reaches {}, beyond an axis of {takes}", has - 1);
                    let error = Diagnostic::error("index::bounds", span, message);
                    self.report(error.label(dtype.name.span, "the bound is here"));
                    return false;
                }
                tensor.bound = Some(bound);
            }
            return true;
        }
        let Some(wanted) = self.dtype_of(dtype) else { return false };
        let same_kind =
            wanted.is_float() == found.is_float() && (wanted == DType::Bool) == (found == DType::Bool);
        if !same_kind {
            let message = format!("{what} holds {found}, {wanted} is expected");
            self.report(
                Diagnostic::error("type::dtype", span, message)
                    .label(dtype.name.span, "expected here")
                    .help(format!("convert it: `{wanted}(..)`")),
            );
            return false;
        }
        tensor.value = self.b.cast(tensor.value, wanted);
        true
    }

    fn index_bound(&mut self, dtype: &'a ast::Dtype, scope: &Rc<Scope<'a>>) -> Option<Dim> {
        let arg = dtype.args.as_ref()?.first()?;
        if let ast::ExprKind::Name(name) = &arg.value.kind
            && self.lookup_quiet(&name.text, scope).is_none()
        {
            return None;
        }
        self.size(&arg.value, scope)
    }

    /// The element type a name means.
    pub(crate) fn dtype_of(&mut self, dtype: &ast::Dtype) -> Option<DType> {
        match dtype.name.text.as_str() {
            "int" | "index" => Some(DType::I32),
            "real" => Some(self.precision),
            name => DType::from_name(name).or_else(|| {
                let near = crate::nearest(name, DType::ALL.iter().map(|d| d.name()).chain(["index", "int"]));
                let mut diagnostic =
                    Diagnostic::error("type::dtype", dtype.name.span, format!("`{name}` is no element type"));
                if let Some(near) = near {
                    diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
                }
                self.report(diagnostic);
                None
            }),
        }
    }

    /// A declared tensor type with every size known (slots, inputs). Free names become run-time sizes if `open`.
    pub(crate) fn declared(
        &mut self,
        ty: &'a ast::Type,
        scope: &Rc<Scope<'a>>,
        open: bool,
    ) -> Option<Declared> {
        let ast::TypeKind::Tensor { dtype, axes, pattern } = &ty.kind else {
            self.report(Diagnostic::error("type::value", ty.span, "a tensor type is needed: `f32[a, b]`"));
            return None;
        };
        let mut found = Vec::new();
        for axis in axes {
            match &axis.kind {
                ast::AxisKind::Rest => found.extend(self.rest_axes(scope, axis.span)?),
                ast::AxisKind::Like(name) => found.extend(self.like_axes(name, scope)?),
                ast::AxisKind::Labelled { label, size } => {
                    let size_dim = self.declared_size(size, scope, open)?;
                    let mut new = Axis { origin: Some(axis.span), ..Axis::sized(size_dim) };
                    self.name_axis(&mut new, Some(label), size);
                    found.push(new);
                }
                ast::AxisKind::Size(size) => {
                    let size_dim = self.declared_size(size, scope, open)?;
                    let mut new = Axis { origin: Some(axis.span), ..Axis::sized(size_dim) };
                    self.name_axis(&mut new, None, size);
                    found.push(new);
                }
                ast::AxisKind::Counted { name, cap, along } => {
                    if !along.is_empty() {
                        let message = "axes that are ragged along another axis are not built yet";
                        self.report(Diagnostic::error("support::ragged", axis.span, message));
                        return None;
                    }
                    let size = self.size(cap, scope)?;
                    let mut new = Axis { origin: Some(axis.span), ..Axis::sized(size) };
                    new.name = Some(Rc::from(name.text.as_str()));
                    new.label = true;
                    found.push(new);
                }
            }
        }
        let bound =
            dtype.as_ref().filter(|d| d.name.text == "index").and_then(|d| self.index_bound(d, scope));
        let dtype = match dtype {
            Some(dtype) => Some(self.dtype_of(dtype)?),
            None => None,
        };
        let pattern = match pattern {
            Some(pattern) => self.pattern(pattern, &found, scope)?,
            None => Pattern::Dense,
        };
        Some(Declared { dtype, bound, axes: found, pattern })
    }

    fn declared_size(&mut self, size: &'a ast::Expr, scope: &Rc<Scope<'a>>, open: bool) -> Option<Dim> {
        if let ast::ExprKind::Name(name) = &size.kind
            && open
            && self.lookup_quiet(&name.text, scope).is_none()
        {
            let dim = self.run_time_size(&name.text);
            scope.set(&name.text, Val::Int(dim.clone()));
            return Some(dim);
        }
        self.size(size, scope)
    }

    /// A size that is found when data arrive.
    pub(crate) fn run_time_size(&mut self, name: &str) -> Dim {
        let symbol = nnc_ir::Symbol::new(name);
        if !self.symbols.contains(&symbol) {
            self.symbols.push(symbol.clone());
            self.ranges.state(symbol.clone(), Dim::one(), None);
        }
        Dim::from(&symbol)
    }

    fn rest_axes(&mut self, scope: &Rc<Scope<'a>>, span: Span) -> Option<Vec<Axis>> {
        match self.lookup_quiet("..", scope) {
            Some(Val::Axes(axes)) => Some(axes.to_vec()),
            _ => {
                self.report(
                    Diagnostic::error("dim::free", span, "nothing says what `..` stands for here")
                        .help("`..` repeats the leading axes of the block's subject"),
                );
                None
            }
        }
    }

    fn like_axes(&mut self, name: &ast::Name, scope: &Rc<Scope<'a>>) -> Option<Vec<Axis>> {
        match self.read_name(&name.text, name.span, scope) {
            Val::Tensor(tensor) => Some(tensor.axes),
            Val::Unknown => None,
            other => {
                let message = format!("`like {}` needs a tensor, not {}", name.text, other.describe());
                self.report(Diagnostic::error("type::value", name.span, message));
                None
            }
        }
    }

    /// A sparsity pattern with its numbers.
    pub(crate) fn pattern(
        &mut self,
        pattern: &'a ast::Pattern,
        axes: &[Axis],
        scope: &Rc<Scope<'a>>,
    ) -> Option<Pattern> {
        let unit = pattern.unit.as_ref().map_or("any", |unit| unit.name.text.as_str());
        let last = axes.len().saturating_sub(1);
        for quota in &pattern.quotas {
            if let ast::QuotaKind::Ratio { keep, of, along } = &quota.kind {
                let axis = match along {
                    Some(name) => match axes.iter().position(|a| a.name.as_deref() == Some(&name.text)) {
                        Some(axis) => axis,
                        None => {
                            let message =
                                format!("there is no axis `{}` in {}", name.text, axes::describe(axes));
                            self.report(Diagnostic::error("dim::axis", name.span, message));
                            return None;
                        }
                    },
                    None => last,
                };
                let n = self.size(keep, scope)?.as_constant()?;
                let m = self.size(of, scope)?.as_constant()?;
                if n < 1 || m < n || m > 64 {
                    let message = format!("{n}:{m} keeps {n} of {m}");
                    self.report(
                        Diagnostic::error("syntax::pattern", quota.span, message)
                            .help("n:m with 1 <= n <= m <= 64"),
                    );
                    return None;
                }
                let size = axes.get(axis).map(|a| a.size.clone()).unwrap_or_default();
                if size.as_constant().is_none_or(|s| s % m != 0) {
                    let message = format!("{n}:{m} needs a size divisible by {m}; the axis has {size}");
                    self.report(
                        Diagnostic::error("sparse::groups", quota.span, message)
                            .help("exempt this weight, or pad it"),
                    );
                    return None;
                }
                return Some(Pattern::NofM { n: n as u8, m: m as u8, axis });
            }
        }
        let args = pattern.unit.as_ref().and_then(|unit| unit.args.as_deref()).unwrap_or_default();
        match unit {
            "any" => Some(Pattern::Any),
            "row" => Some(Pattern::Slices { axis: 0 }),
            "column" => Some(Pattern::Slices { axis: last }),
            "block" | "group" => {
                let mut sizes = Vec::new();
                for arg in args {
                    sizes.push(self.size(&arg.value, scope)?.as_constant()?);
                }
                let (rows, columns) = match (unit, sizes.as_slice()) {
                    ("block", [r, c]) => (*r, *c),
                    ("group", [g]) => (*g, 1),
                    _ => {
                        let message = format!(
                            "`{unit}` takes {}",
                            if unit == "block" { "two sizes" } else { "one size" }
                        );
                        self.report(Diagnostic::error("syntax::pattern", pattern.span, message));
                        return None;
                    }
                };
                if pattern.quotas.is_empty() {
                    let message = format!("`{unit}` says no density");
                    self.report(
                        Diagnostic::error("sparse::quota", pattern.span, message).help("add `keep 25%`"),
                    );
                    return None;
                }
                let tiles = axes.len() >= 2
                    && axes[axes.len() - 2].size.as_constant().is_some_and(|n| n % rows.max(1) == 0)
                    && axes[last].size.as_constant().is_some_and(|n| n % columns.max(1) == 0);
                if rows < 1 || columns < 1 || !tiles {
                    let message = format!("{rows} x {columns} blocks do not tile {}", axes::describe(axes));
                    self.report(Diagnostic::error("sparse::shape", pattern.span, message));
                    return None;
                }
                Some(Pattern::Block { rows: rows as u32, columns: columns as u32 })
            }
            other => {
                let message = format!("`{other}` is no pattern");
                self.report(
                    Diagnostic::error("syntax::pattern", pattern.span, message)
                        .help("patterns are `n:m`, `any`, `row`, `column`, `group(g)`, `block(r, c)`"),
                );
                None
            }
        }
    }

    /// Evaluates a size: a static integer.
    pub(crate) fn size(&mut self, expr: &'a ast::Expr, scope: &Rc<Scope<'a>>) -> Option<Dim> {
        match self.expr(expr, scope) {
            Val::Int(dim) => Some(dim),
            Val::Real(value) if value.fract() == 0.0 && value.abs() < 1e15 => {
                Some(Dim::constant(value as i64))
            }
            Val::Unknown => None,
            Val::Tensor(_) => {
                let message = "an axis needs a static size; this one is data";
                self.report(
                    Diagnostic::error("dim::static", expr.span, message)
                        .help("use a counted axis: `c <= cap`"),
                );
                None
            }
            other => {
                let message = format!("a size is an integer, not {}", other.describe());
                self.report(Diagnostic::error("dim::static", expr.span, message));
                None
            }
        }
    }
}

/// A size as people wrote it.
pub(crate) fn expr_text(expr: &ast::Expr) -> String {
    match &expr.kind {
        ast::ExprKind::Int(n) => n.to_string(),
        ast::ExprKind::Real(x) => x.to_string(),
        ast::ExprKind::Name(name) => name.text.clone(),
        ast::ExprKind::Field { base, name } => format!("{}.{}", expr_text(base), name.text),
        ast::ExprKind::Binary { op, left, right } => {
            format!("{} {} {}", expr_text(left), super::arithmetic::operator(*op), expr_text(right))
        }
        ast::ExprKind::Call { callee, args } => {
            let args: Vec<String> = args.iter().map(|arg| expr_text(&arg.value)).collect();
            format!("{}({})", expr_text(callee), args.join(", "))
        }
        _ => "..".into(),
    }
}
