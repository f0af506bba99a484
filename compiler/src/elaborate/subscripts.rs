//! `x[.., i, 2 * i + a, (h c), pick[..]]`: what a subscript makes of a tensor, one axis after the other.

use super::Elaborator;
use super::axes::{self, Axis};
use super::values::{Scope, Tensor, Val};
use nnc_base::{Diagnostic, Span};
use nnc_grammar::syntax as ast;
use nnc_ir::{Dim, Value, ops};
use std::rc::Rc;

/// One element of a subscript, evaluated.
enum Place {
    All,
    Index(usize),
    Fixed(Dim),
    Range(Dim, Dim),
    Merged(Vec<usize>),
    /// `scale * outer + step * inner + shift`, both indices: a window.
    Affine {
        terms: Vec<(Dim, usize)>,
        shift: Dim,
    },
    Data(Tensor),
    Broken,
}

impl<'a> Elaborator<'a> {
    /// `base[index]` for a tensor or list.
    pub(crate) fn subscript(
        &mut self,
        base: Val<'a>,
        index: &'a [ast::At],
        scope: &Rc<Scope<'a>>,
        span: Span,
    ) -> Val<'a> {
        match base {
            Val::Unknown => Val::Unknown,
            Val::List(list) => self.list_element(&list, index, scope, span),
            Val::Tensor(tensor) => self.tensor_subscript(tensor, index, scope, span),
            Val::Int(_) | Val::Real(_) if index.iter().all(|at| matches!(at.kind, ast::AtKind::Rest)) => base,
            other => {
                let message = format!("{} takes no index", other.describe());
                self.fail(Diagnostic::error("dim::rank", span, message))
            }
        }
    }

    fn list_element(
        &mut self,
        list: &Rc<Vec<Val<'a>>>,
        index: &'a [ast::At],
        scope: &Rc<Scope<'a>>,
        span: Span,
    ) -> Val<'a> {
        let [ast::At { kind: ast::AtKind::Expr(expr), .. }] = index else {
            return self.fail(Diagnostic::error("dim::rank", span, "a list takes one position"));
        };
        match self.expr(expr, scope) {
            Val::Int(dim) => match dim.as_constant() {
                Some(n) if n >= 0 && (n as usize) < list.len() => list[n as usize].clone(),
                _ => {
                    let message = format!("position {dim} of a list of {}", list.len());
                    self.fail(Diagnostic::error("index::bounds", span, message))
                }
            },
            Val::Range(a, b) => match (a.as_constant(), b.as_constant()) {
                (Some(a), Some(b)) if 0 <= a && a <= b && b as usize <= list.len() => {
                    Val::List(Rc::new(list[a as usize..b as usize].to_vec()))
                }
                _ => self.fail(Diagnostic::error(
                    "index::bounds",
                    span,
                    format!("{a}..{b} of a list of {}", list.len()),
                )),
            },
            Val::Unknown => Val::Unknown,
            Val::Tensor(pick) => self.picked(list, pick, span),
            other => {
                let message = format!("a position is an integer, not {}", other.describe());
                self.fail(Diagnostic::error("type::value", span, message))
            }
        }
    }

    fn tensor_subscript(
        &mut self,
        tensor: Tensor,
        index: &'a [ast::At],
        scope: &Rc<Scope<'a>>,
        span: Span,
    ) -> Val<'a> {
        let Some(first) = self.explicit_start(&tensor, index, span) else { return Val::Unknown };
        let mut current = tensor;
        let mut axis = first.0;
        for at in &index[first.1..] {
            let place = self.place(at, &current, axis, scope);
            match self.address(current, axis, place, at.span) {
                Some((next, next_axis)) => {
                    current = next;
                    axis = next_axis;
                }
                None => return Val::Unknown,
            }
        }
        Val::Tensor(current)
    }

    /// The axis the first explicit element addresses, and its place in the subscript.
    fn explicit_start(&mut self, tensor: &Tensor, index: &[ast::At], span: Span) -> Option<(usize, usize)> {
        let rest = index.iter().position(|at| matches!(at.kind, ast::AtKind::Rest));
        if rest.is_some_and(|r| r != 0) {
            self.report(Diagnostic::error(
                "dim::rank",
                index[rest.unwrap_or(0)].span,
                "`..` stands first in a subscript",
            ));
            return None;
        }
        let explicit = index.len() - usize::from(rest.is_some());
        let plain = tensor.axes.iter().filter(|a| a.index.is_none()).count();
        let enough = if rest.is_some() { plain >= explicit } else { plain == explicit };
        if !enough {
            let message = format!("{explicit} positions for {plain} axes {}", axes::describe(&tensor.axes));
            let help = if plain > explicit {
                "a forgotten axis? `..` stands for all axes in front"
            } else {
                "one position per axis"
            };
            self.report(Diagnostic::error("dim::rank", span, message).help(help));
            return None;
        }
        // Plain axes stand before or between indexed ones: find where the last `explicit` plain ones begin.
        let places: Vec<usize> = (0..tensor.axes.len()).filter(|a| tensor.axes[*a].index.is_none()).collect();
        let start = places.get(plain - explicit).copied().unwrap_or(tensor.axes.len());
        Some((start, usize::from(rest.is_some())))
    }

    fn place(&mut self, at: &'a ast::At, tensor: &Tensor, axis: usize, scope: &Rc<Scope<'a>>) -> Place {
        match &at.kind {
            ast::AtKind::All | ast::AtKind::Rest => Place::All,
            ast::AtKind::Bound { name, range } => {
                // `x[.., i: n]` states the range of an index of the left side again.
                let size = self.size(range, scope);
                match (self.lookup_quiet(&name.text, scope), size) {
                    (Some(Val::Index(var)), Some(size)) => {
                        self.meet_range(var, &size, None, at.span);
                        Place::Index(var)
                    }
                    (_, None) => Place::Broken,
                    _ => self.unbound(name),
                }
            }
            ast::AtKind::Merged(binders) => {
                let mut vars = Vec::new();
                for binder in binders {
                    match self.lookup_quiet(&binder.name.text, scope) {
                        Some(Val::Index(var)) => {
                            if let Some(range) = &binder.range
                                && let Some(size) = self.size(range, scope)
                            {
                                self.meet_range(var, &size, None, binder.span);
                            }
                            vars.push(var);
                        }
                        Some(Val::Unknown) => return Place::Broken,
                        Some(_) => {
                            let message = format!("`{}` is a value here, not a new index", binder.name.text);
                            return self.broken(
                                Diagnostic::error("index::taken", binder.span, message).help("rename it"),
                            );
                        }
                        None => return self.unbound(&binder.name),
                    }
                }
                Place::Merged(vars)
            }
            ast::AtKind::Expr(expr) => self.expr_place(expr, tensor, axis, scope),
        }
    }

    fn broken(&mut self, error: Diagnostic) -> Place {
        self.fail(error);
        Place::Broken
    }

    fn unbound(&mut self, name: &ast::Name) -> Place {
        let message = format!("index `{}` is neither on the left nor folded", name.text);
        self.broken(
            Diagnostic::error("index::unbound", name.span, message)
                .help(format!("`sum[{}](..)` folds it", name.text)),
        )
    }

    fn expr_place(
        &mut self,
        expr: &'a ast::Expr,
        tensor: &Tensor,
        axis: usize,
        scope: &Rc<Scope<'a>>,
    ) -> Place {
        if let ast::ExprKind::Name(name) = &expr.kind
            && self.lookup_quiet(&name.text, scope).is_none()
        {
            return self.unbound(name);
        }
        if let Some((terms, shift)) = self.affine(expr, scope) {
            return match terms.as_slice() {
                [] => Place::Fixed(shift),
                // `x[0 + t]` may run over a part of the axis; a bare index runs over all of it.
                [(scale, var)]
                    if scale.is_one()
                        && shift.is_zero()
                        && (matches!(expr.kind, ast::ExprKind::Name(_))
                            || self.index_vars[*var].range.is_none()
                            || self.index_vars[*var].range.as_ref() == Some(&tensor.axes[axis].size)) =>
                {
                    Place::Index(*var)
                }
                _ => Place::Affine { terms, shift },
            };
        }
        match self.expr(expr, scope) {
            Val::Int(dim) => Place::Fixed(dim),
            Val::Index(var) => Place::Index(var),
            Val::Range(a, b) => Place::Range(a, b),
            Val::Tensor(t) if self.dtype(&t).is_int() => Place::Data(t),
            Val::Tensor(t) => {
                let message = format!("a position is an integer; this tensor holds {}", self.dtype(&t));
                self.broken(Diagnostic::error("type::dtype", expr.span, message))
            }
            Val::Unknown => Place::Broken,
            other => {
                let message =
                    format!("a position is an integer, an index or a range, not {}", other.describe());
                self.broken(Diagnostic::error("type::value", expr.span, message))
            }
        }
    }

    /// `expr` as a sum of static multiples of indices, if it is one.
    fn affine(&mut self, expr: &'a ast::Expr, scope: &Rc<Scope<'a>>) -> Option<(Vec<(Dim, usize)>, Dim)> {
        use ast::{BinaryOp, ExprKind, UnaryOp};
        match &expr.kind {
            ExprKind::Int(n) => Some((Vec::new(), Dim::constant(*n))),
            ExprKind::Name(name) => match self.lookup_quiet(&name.text, scope)? {
                Val::Int(dim) => Some((Vec::new(), dim)),
                Val::Index(var) => Some((vec![(Dim::one(), var)], Dim::zero())),
                _ => None,
            },
            ExprKind::Unary { op: UnaryOp::Neg, value } => {
                let (terms, shift) = self.affine(value, scope)?;
                Some((terms.into_iter().map(|(c, v)| (-&c, v)).collect(), -&shift))
            }
            ExprKind::Binary { op: op @ (BinaryOp::Add | BinaryOp::Sub), left, right } => {
                let (mut terms, shift) = self.affine(left, scope)?;
                let (others, other) = self.affine(right, scope)?;
                let minus = *op == BinaryOp::Sub;
                for (scale, var) in others {
                    let scale = if minus { -&scale } else { scale };
                    match terms.iter_mut().find(|t| t.1 == var) {
                        Some(term) => term.0 = &term.0 + &scale,
                        None => terms.push((scale, var)),
                    }
                }
                terms.retain(|t| !t.0.is_zero());
                Some((terms, if minus { &shift - &other } else { &shift + &other }))
            }
            ExprKind::Binary { op: BinaryOp::Mul, left, right } => {
                let (left, right) = (self.affine(left, scope)?, self.affine(right, scope)?);
                let (factor, (terms, shift)) = match (left.0.is_empty(), right.0.is_empty()) {
                    (true, _) => (left.1, right),
                    (_, true) => (right.1, left),
                    _ => return None,
                };
                Some((terms.into_iter().map(|(c, v)| (&c * &factor, v)).collect(), &shift * &factor))
            }
            ExprKind::Binary { op: BinaryOp::Div | BinaryOp::Rem, .. } => {
                if self.mentions_index(expr, scope) {
                    return None;
                }
                match self.expr(expr, scope) {
                    Val::Int(dim) => Some((Vec::new(), dim)),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Applies one place to an axis; yields the tensor and the axis the next place addresses.
    fn address(&mut self, t: Tensor, axis: usize, place: Place, span: Span) -> Option<(Tensor, usize)> {
        let next = |t: &Tensor, from: usize| {
            (from..t.axes.len()).find(|a| t.axes[*a].index.is_none()).unwrap_or(t.axes.len())
        };
        match place {
            Place::Broken => None,
            Place::All => {
                let after = next(&t, axis + 1);
                Some((t, after))
            }
            Place::Index(var) => {
                let size = t.axes[axis].size.clone();
                let named = Axis { index: None, ..t.axes[axis].clone() };
                let range = self.index_vars[var].range.clone();
                if range.as_ref().is_some_and(|r| *r != size) && t.axes[axis].live.is_none() {
                    return self.shorter_index(t, axis, var, span).map(|t| {
                        let after = next(&t, axis + 1);
                        (t, after)
                    });
                }
                self.meet_range(var, &size, Some(named), span);
                let t = self.set_index(t, axis, var, span)?;
                let after = next(&t, axis.min(t.axes.len()));
                Some((t, after))
            }
            Place::Fixed(dim) => {
                let t = self.fixed(t, axis, &dim, span)?;
                let after = next(&t, axis);
                Some((t, after))
            }
            Place::Range(a, b) => {
                let t = self.sliced(t, axis, &a, &(&b - &a), 1, span)?;
                let after = next(&t, axis + 1);
                Some((t, after))
            }
            Place::Merged(vars) => {
                let count = vars.len();
                let t = self.split(t, axis, &vars, span)?;
                let after = next(&t, axis + count);
                Some((t, after))
            }
            Place::Affine { terms, shift } => {
                let t = self.affine_place(t, axis, &terms, &shift, span)?;
                let after = next(&t, axis);
                Some((t, after))
            }
            Place::Data(positions) => {
                let (t, behind) = self.gather_at(&t, axis, &positions, span)?;
                let after = next(&t, behind);
                Some((t, after))
            }
        }
    }

    /// An index whose range is a prefix of the axis is an error unless both are equal; says both uses.
    fn shorter_index(&mut self, t: Tensor, axis: usize, var: usize, span: Span) -> Option<Tensor> {
        let info = self.index_vars[var].clone();
        let range = info.range.unwrap_or_default();
        let message = format!("index `{}` runs over {range} and over {}", info.name, t.axes[axis].size);
        let mut diagnostic =
            Diagnostic::error("index::range", span, message).label(info.span, format!("{range} here"));
        if let Some(origin) = t.axes[axis].origin {
            diagnostic = diagnostic.label(origin, format!("{} comes from here", t.axes[axis].size));
        }
        self.report(diagnostic.help("an index runs over axes of one size"));
        None
    }

    fn set_index(&mut self, mut t: Tensor, axis: usize, var: usize, span: Span) -> Option<Tensor> {
        if let Some(twin) = t.axes.iter().position(|a| a.index == Some(var)) {
            // The diagonal: look the second axis up with the first index.
            let positions = self.counting(var, span)?;
            let _ = twin;
            return self.gather(&t, axis, &positions, span);
        }
        t.axes[axis].index = Some(var);
        t.bound = t.bound.clone();
        Some(t)
    }

    /// States that an index runs over `size`.
    pub(crate) fn meet_range(&mut self, var: usize, size: &Dim, axis: Option<Axis>, span: Span) {
        let info = &mut self.index_vars[var];
        match &info.range {
            None => {
                info.range = Some(size.clone());
                info.axis = info.axis.clone().or(axis);
            }
            Some(known) if known == size => {
                if info.axis.is_none() {
                    info.axis = axis;
                }
            }
            Some(known) => {
                let message = format!("index `{}` runs over {known} and over {size}", info.name);
                let first = info.span;
                self.report(
                    Diagnostic::error("index::range", span, message)
                        .label(first, "the index")
                        .help("an index runs over axes of one size"),
                );
            }
        }
    }

    /// The slice at one position; the axis disappears.
    pub(crate) fn fixed(&mut self, t: Tensor, axis: usize, at: &Dim, span: Span) -> Option<Tensor> {
        let size = t.axes[axis].size.clone();
        let out = at.simplify(&self.ranges).as_constant().is_some_and(|n| n < 0)
            || (&size - at).simplify(&self.ranges).as_constant().is_some_and(|left| left < 1);
        if out {
            let message = format!("position {at} lies outside an axis of {size}");
            self.report(Diagnostic::error("index::bounds", span, message));
            return None;
        }
        let mut t = self.sliced(t, axis, at, &Dim::one(), 1, span)?;
        t.axes.remove(axis);
        let shape: Vec<Dim> = t.axes.iter().map(|a| a.size.clone()).collect();
        t.value = self.b.reshape(t.value, shape);
        Some(t)
    }

    /// `size` elements from `start` in steps.
    pub(crate) fn sliced(
        &mut self,
        mut t: Tensor,
        axis: usize,
        start: &Dim,
        size: &Dim,
        step: i64,
        span: Span,
    ) -> Option<Tensor> {
        let whole = t.axes[axis].size.clone();
        let last = start + &(&(size - &Dim::one()) * &Dim::constant(step));
        let beyond = (&last - &whole).simplify(&self.ranges).as_constant().is_some_and(|over| over >= 0);
        if start.as_constant().is_some_and(|n| n < 0) || size.as_constant().is_some_and(|n| n < 0) || beyond {
            let message = format!("{start}..{} leaves an axis of {whole}", &last + &Dim::one());
            self.report(Diagnostic::error("index::bounds", span, message).help("pad, or narrow the range"));
            return None;
        }
        if start.is_zero() && *size == whole && step == 1 {
            return Some(t);
        }
        let rank = t.axes.len();
        let mut starts = vec![Dim::zero(); rank];
        let mut sizes: Vec<Dim> = t.axes.iter().map(|a| a.size.clone()).collect();
        let mut steps = vec![1i64; rank];
        starts[axis] = start.clone();
        sizes[axis] = size.clone();
        steps[axis] = step;
        t.value = self.node(ops::Slice { starts, sizes, steps }, &[t.value], span)?;
        t.axes[axis].size = size.clone();
        if !t.axes[axis].label {
            t.axes[axis].name = None;
        }
        Some(t)
    }

    /// `x[(h c)]`: one axis becomes several.
    fn split(&mut self, mut t: Tensor, axis: usize, vars: &[usize], span: Span) -> Option<Tensor> {
        let whole = t.axes[axis].size.clone();
        self.solve_split(&whole, vars, span)?;
        let old = t.axes.remove(axis);
        for (place, var) in vars.iter().enumerate() {
            let info = self.index_vars[*var].clone();
            let size = info.range.clone().unwrap_or_default();
            let mut new = info.axis.clone().unwrap_or_else(|| Axis::named(&info.name, size.clone()));
            new.size = size;
            new.origin = new.origin.or(old.origin);
            if info.axis.is_none() {
                self.index_vars[*var].axis = Some(new.clone());
            }
            t.axes.insert(axis + place, new.indexed(*var));
        }
        let shape: Vec<Dim> = t.axes.iter().map(|a| a.size.clone()).collect();
        t.value = self.node(ops::Reshape { shape }, &[t.value], span)?;
        Some(t)
    }

    /// Finds the one range that is missing among the parts of a split axis.
    pub(crate) fn solve_split(&mut self, whole: &Dim, vars: &[usize], span: Span) -> Option<()> {
        let open: Vec<usize> = vars.iter().copied().filter(|v| self.index_vars[*v].range.is_none()).collect();
        let known = vars
            .iter()
            .filter_map(|v| self.index_vars[*v].range.clone())
            .fold(Dim::one(), |product, range| &product * &range);
        let names: Vec<String> = vars.iter().map(|v| self.index_vars[*v].name.to_string()).collect();
        match open.as_slice() {
            [] if known == *whole => Some(()),
            [] => {
                let message = format!("({}) makes {known}, the axis has {whole}", names.join(" "));
                self.report(Diagnostic::error("dim::split", span, message));
                None
            }
            [one] => {
                if known.is_zero() || !whole.modulo_in(&known, &self.ranges).is_zero() {
                    let message = format!("({}): {whole} is not divisible by {known}", names.join(" "));
                    self.report(
                        Diagnostic::error("dim::split", span, message).help("choose sizes that divide it"),
                    );
                    return None;
                }
                let size = whole.floor_div_in(&known, &self.ranges);
                self.index_vars[*one].range = Some(size);
                Some(())
            }
            several => {
                let names: Vec<String> =
                    several.iter().map(|v| format!("`{}`", self.index_vars[*v].name)).collect();
                let message = format!("nothing says how {whole} splits: {} are free", names.join(" and "));
                self.report(Diagnostic::error("dim::free", span, message).help("write a range: `(h: 4 c)`"));
                None
            }
        }
    }

    fn affine_place(
        &mut self,
        t: Tensor,
        axis: usize,
        terms: &[(Dim, usize)],
        shift: &Dim,
        span: Span,
    ) -> Option<Tensor> {
        if let [(scale, var)] = terms
            && let Some(step) = scale.as_constant().filter(|s| *s > 0)
            && let Some(range) = self.index_vars[*var].range.clone()
        {
            let mut t = self.sliced(t, axis, shift, &range, step, span)?;
            return {
                t.axes[axis].size = range;
                self.set_index(t, axis, *var, span)
            };
        }
        if let [(outer, i), (inner, a)] = terms
            && let (Some(outer), Some(inner)) = (outer.as_constant(), inner.as_constant())
            && outer > 0
            && inner > 0
        {
            return self.windowed(t, axis, (outer, *i), (inner, *a), shift, span);
        }
        let mut positions: Option<Val<'a>> = None;
        for (scale, var) in terms {
            let count = Val::Tensor(self.counting(*var, span)?);
            let term = self.binary(ast::BinaryOp::Mul, Val::Int(scale.clone()), count, span);
            positions = Some(match positions {
                None => term,
                Some(sum) => self.binary(ast::BinaryOp::Add, sum, term, span),
            });
        }
        let sum = self.binary(ast::BinaryOp::Add, positions?, Val::Int(shift.clone()), span);
        let positions = sum.tensor()?.clone();
        self.gather(&t, axis, &positions, span)
    }

    /// `x[stride * i + dilation * a + shift]`.
    fn windowed(
        &mut self,
        t: Tensor,
        axis: usize,
        (stride, i): (i64, usize),
        (dilation, a): (i64, usize),
        shift: &Dim,
        span: Span,
    ) -> Option<Tensor> {
        // The index with a known short range is the one inside the window.
        let (stride, i, dilation, a) = if self.index_vars[a].range.is_some() {
            (stride, i, dilation, a)
        } else {
            (dilation, a, stride, i)
        };
        let Some(size) = self.index_vars[a].range.clone() else {
            let info = self.index_vars[a].clone();
            let message = format!("nothing says how far index `{}` runs", info.name);
            self.report(
                Diagnostic::error("dim::free", span, message)
                    .help(format!("write its range: `{}: n`", info.name)),
            );
            return None;
        };
        let whole = t.axes[axis].size.clone();
        let reach = &Dim::constant(dilation) * &(&size - &Dim::one());
        let count = match self.index_vars[i].range.clone() {
            Some(count) => count,
            None => {
                let free = &(&whole - shift) - &(&reach + &Dim::one());
                let count = &free.floor_div_in(&Dim::constant(stride), &self.ranges) + &Dim::one();
                let named = Axis { size: count.clone(), index: None, ..t.axes[axis].clone() };
                self.meet_range(i, &count, Some(named), span);
                count
            }
        };
        let used = &(&(&Dim::constant(stride) * &(&count - &Dim::one())) + &reach) + &Dim::one();
        if (&(&whole - shift) - &used).simplify(&self.ranges).as_constant().is_some_and(|left| left < 0) {
            let message = format!("windows reach {}, the axis has {whole}", &used + shift);
            self.report(Diagnostic::error("index::bounds", span, message).help("pad, or narrow the range"));
            return None;
        }
        let t = self.sliced(t, axis, shift, &used, 1, span)?;
        let mut t = t;
        t.value = self.node(ops::Window { axis, size: size.clone(), stride, dilation }, &[t.value], span)?;
        let old = t.axes.remove(axis);
        let outer =
            self.index_vars[i].axis.clone().unwrap_or(Axis { size: count.clone(), index: None, ..old });
        let inner = self.index_vars[a].axis.clone().unwrap_or_else(|| Axis::sized(size.clone()));
        t.axes.insert(axis, Axis { size: count, ..outer }.indexed(i));
        t.axes.insert(axis + 1, Axis { size, ..inner }.indexed(a));
        let shape = self.ty(t.value).shape.clone();
        for (axis, size) in t.axes.iter_mut().zip(shape) {
            axis.size = size;
        }
        Some(t)
    }

    /// Looks an axis up through positions that are data. Axes of one index or one name are shared.
    pub(crate) fn gather(
        &mut self,
        t: &Tensor,
        axis: usize,
        positions: &Tensor,
        span: Span,
    ) -> Option<Tensor> {
        self.gather_at(t, axis, positions, span).map(|(tensor, _)| tensor)
    }

    /// The same, and the place of the first axis behind the positions.
    fn gather_at(
        &mut self,
        t: &Tensor,
        axis: usize,
        positions: &Tensor,
        span: Span,
    ) -> Option<(Tensor, usize)> {
        let shared_with = |p: &Axis| {
            (0..t.axes.len()).find(|a| {
                let x = &t.axes[*a];
                let same = match (p.index, x.index) {
                    (Some(i), Some(j)) => i == j,
                    (None, None) => p.name.is_some() && p.name == x.name,
                    _ => false,
                };
                *a != axis && same && x.size == p.size
            })
        };
        let mut table_order = Vec::new();
        let mut position_order = Vec::new();
        for (place, p) in positions.axes.iter().enumerate() {
            if let Some(found) = shared_with(p).filter(|f| !table_order.contains(f)) {
                table_order.push(found);
                position_order.push(place);
            }
        }
        let batch = table_order.len();
        let others: Vec<usize> =
            (0..t.axes.len()).filter(|a| *a != axis && !table_order.contains(a)).collect();
        let extra: Vec<usize> = (0..positions.axes.len()).filter(|p| !position_order.contains(p)).collect();
        // Others in front of the axis stay in front, the rest follow the positions.
        let (front, back): (Vec<usize>, Vec<usize>) = others.into_iter().partition(|a| *a < axis);
        table_order.extend(&front);
        let at = table_order.len();
        table_order.push(axis);
        table_order.extend(&back);
        position_order.extend(&extra);
        let table = self.b.permute(t.value, table_order.clone());
        let index = self.b.permute(positions.value, position_order.clone());
        let index: Value = self.b.cast(index, nnc_ir::DType::I32);
        let value = self.node(ops::Gather { axis: at, batch }, &[table, index], span)?;
        let mut axes: Vec<Axis> = table_order[..at].iter().map(|a| t.axes[*a].clone()).collect();
        axes.extend(extra.iter().map(|p| positions.axes[*p].clone()));
        axes.extend(back.iter().map(|a| t.axes[*a].clone()));
        Some((Tensor { value, axes, bound: t.bound.clone() }, at + extra.len()))
    }
}
