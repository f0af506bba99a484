//! Folds: `sum[j](w[i, j] * x[.., j])`, `mean[H, W](x)`, `max(x)`. Sums of products become contractions.

use super::Elaborator;
use super::axes::{Axis, align};
use super::indices::used_as_index;
use super::values::{Scope, Tensor, Val};
use nnc_base::{Diagnostic, Span};
use nnc_grammar::syntax as ast;
use nnc_ir::ops::{self, Fold};
use nnc_ir::{DType, Dim};
use std::rc::Rc;

/// What a fold runs over.
#[derive(Default)]
pub(crate) struct Over {
    /// Indices.
    indices: Vec<usize>,
    /// Axes by name.
    axes: Vec<(Axis, Span)>,
    /// The leading axes.
    rest: bool,
    /// Everything: no subscript.
    all: bool,
}

impl<'a> Elaborator<'a> {
    /// A fold applied to an argument that may use the indices of its subscript.
    pub(crate) fn fold_call(
        &mut self,
        name: &'static str,
        subscript: Option<&'a [ast::At]>,
        arg: &'a ast::Expr,
        scope: &Rc<Scope<'a>>,
        span: Span,
    ) -> Val<'a> {
        let inner = Scope::inside(scope);
        let Some(over) = self.fold_range(subscript, Some(arg), scope, &inner) else { return Val::Unknown };
        let outer_cache = if over.indices.is_empty() { None } else { Some(self.base_cache.clone()) };
        if !over.indices.is_empty() {
            self.infer_ranges(arg, &inner);
        }
        let result = match (name, &arg.kind) {
            ("sum", ast::ExprKind::Binary { op: ast::BinaryOp::Mul, .. }) => {
                self.sum_of_product(arg, &over, &inner, span)
            }
            _ => {
                let value = self.expr(arg, &inner);
                self.fold_value(name, value, &over, scope, span)
            }
        };
        if let Some(cache) = outer_cache {
            self.base_cache = cache;
        }
        result
    }

    /// A fold of a value: `x |> mean[H, W]`.
    pub(crate) fn fold_applied(
        &mut self,
        name: &'static str,
        subscript: Option<(&'a [ast::At], &Rc<Scope<'a>>)>,
        value: Val<'a>,
        scope: &Rc<Scope<'a>>,
        span: Span,
    ) -> Val<'a> {
        let (ats, written) = subscript.map_or((None, scope), |(ats, written)| (Some(ats), written));
        let inner = Scope::inside(written);
        match self.fold_range(ats, None, written, &inner) {
            Some(over) => self.fold_value(name, value, &over, written, span),
            None => Val::Unknown,
        }
    }

    fn fold_range(
        &mut self,
        subscript: Option<&'a [ast::At]>,
        arg: Option<&'a ast::Expr>,
        scope: &Rc<Scope<'a>>,
        inner: &Rc<Scope<'a>>,
    ) -> Option<Over> {
        let mut over = Over::default();
        let Some(ats) = subscript else { return Some(Over { all: true, ..over }) };
        for at in ats {
            match &at.kind {
                ast::AtKind::Rest => over.rest = true,
                ast::AtKind::Bound { name, range } => {
                    let size = self.size(range, scope)?;
                    let var = self.new_index(name, Some(size), true);
                    inner.set(&name.text, Val::Index(var));
                    over.indices.push(var);
                }
                ast::AtKind::Expr(ast::Expr { kind: ast::ExprKind::Name(name), .. }) => {
                    self.fold_name(name, arg, scope, inner, &mut over);
                }
                _ => {
                    let message = "a fold's subscript holds names of indices or axes";
                    self.report(Diagnostic::error("index::unbound", at.span, message));
                    return None;
                }
            }
        }
        Some(over)
    }

    fn fold_name(
        &mut self,
        name: &'a ast::Name,
        arg: Option<&'a ast::Expr>,
        scope: &Rc<Scope<'a>>,
        inner: &Rc<Scope<'a>>,
        over: &mut Over,
    ) {
        let known = scope.get(&name.text).is_some();
        if !known && arg.is_some_and(|arg| used_as_index(arg, &name.text)) {
            let var = self.new_index(name, None, false);
            inner.set(&name.text, Val::Index(var));
            over.indices.push(var);
            return;
        }
        match if known { self.lookup_quiet(&name.text, scope) } else { None } {
            Some(Val::Index(var)) => over.indices.push(var),
            Some(Val::Axes(axes)) => over.axes.extend(axes.iter().map(|axis| (axis.clone(), name.span))),
            Some(Val::Int(size)) => over.axes.push((Axis::named(&name.text, size), name.span)),
            _ => over.axes.push((Axis::named(&name.text, Dim::constant(-1)), name.span)),
        }
    }

    /// The place of an axis that a subscript names.
    pub(crate) fn find_axis(&mut self, tensor: &Tensor, wanted: &Axis, span: Span) -> Option<usize> {
        if let Some(index) = wanted.index {
            return tensor.axes.iter().position(|a| a.index == Some(index));
        }
        let by_name: Vec<usize> = (0..tensor.axes.len())
            .filter(|a| wanted.name.is_some() && tensor.axes[*a].name == wanted.name)
            .collect();
        if let [one] = by_name.as_slice() {
            return Some(*one);
        }
        let by_size: Vec<usize> =
            (0..tensor.axes.len()).filter(|a| tensor.axes[*a].size == wanted.size).collect();
        if let ([], [one]) = (by_name.as_slice(), by_size.as_slice()) {
            return Some(*one);
        }
        let name = wanted.name.clone().unwrap_or_else(|| Rc::from(wanted.size.to_string()));
        let here = super::axes::describe(&tensor.axes);
        let (code, message) = match by_name.len() {
            0 => ("dim::axis", format!("there is no axis `{name}`; there are {here}")),
            _ => ("dim::label", format!("several axes are called `{name}`: {here}")),
        };
        let several = code == "dim::label";
        let near = crate::nearest(&name, tensor.axes.iter().filter_map(|a| a.name.as_deref()));
        let mut diagnostic = Diagnostic::error(code, span, message);
        if let Some(near) = near.filter(|near| **near != *name) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        } else if several {
            diagnostic =
                diagnostic.help(format!("label them where they are declared: `[to: {name}, from: {name}]`"));
        }
        self.report(diagnostic);
        None
    }

    fn folded_axes(&mut self, tensor: &Tensor, over: &Over, scope: &Rc<Scope<'a>>) -> Option<Vec<usize>> {
        if over.all {
            return Some((0..tensor.axes.len()).filter(|a| tensor.axes[*a].index.is_none()).collect());
        }
        let mut places: Vec<usize> = Vec::new();
        for var in &over.indices {
            places.extend(tensor.axes.iter().position(|a| a.index == Some(*var)));
        }
        for (axis, span) in &over.axes {
            places.push(self.find_axis(tensor, axis, *span)?);
        }
        if over.rest {
            places.extend(self.rest_places(tensor, &places, scope));
        }
        places.sort_unstable();
        places.dedup();
        Some(places)
    }

    /// The leading axes: those of the signature's `..` where the tensor has them, all plain ones inside an index
    /// definition.
    fn rest_places(&mut self, tensor: &Tensor, taken: &[usize], scope: &Rc<Scope<'a>>) -> Vec<usize> {
        let plain: Vec<usize> = (0..tensor.axes.len())
            .filter(|a| tensor.axes[*a].index.is_none() && !taken.contains(a))
            .collect();
        if plain.len() < tensor.axes.len() - taken.len() {
            return plain;
        }
        match self.lookup_quiet("..", scope) {
            Some(Val::Axes(rest)) => plain
                .into_iter()
                .take(rest.len())
                .take_while(|a| rest.iter().any(|r| r.size == tensor.axes[*a].size))
                .collect(),
            _ => plain,
        }
    }

    fn fold_value(
        &mut self,
        name: &'static str,
        value: Val<'a>,
        over: &Over,
        scope: &Rc<Scope<'a>>,
        span: Span,
    ) -> Val<'a> {
        if let Val::List(list) = &value {
            return self.fold_list(name, list, span);
        }
        let Some(tensor) = self.lift(&value, None, span) else { return Val::Unknown };
        let Some(places) = self.folded_axes(&tensor, over, scope) else { return Val::Unknown };
        let missing: Vec<usize> = over
            .indices
            .iter()
            .copied()
            .filter(|var| !tensor.axes.iter().any(|a| a.index == Some(*var)))
            .collect();
        if let Some(var) = missing.first() {
            let info = self.index_vars[*var].clone();
            let message = format!("index `{}` is folded but not used", info.name);
            return self.fail(Diagnostic::error("index::unused", info.span, message).help("remove it"));
        }
        let folded = self.reduce(name, &tensor, places.clone(), span);
        if name == "mean" {
            let count = places.iter().fold(Dim::one(), |product, a| &product * &tensor.axes[*a].size);
            return self.divide_by(folded, &count, span);
        }
        folded
    }

    pub(crate) fn divide_by(&mut self, value: Val<'a>, count: &Dim, span: Span) -> Val<'a> {
        match count.as_constant() {
            Some(n) => self.binary(ast::BinaryOp::Mul, value, Val::Real(1.0 / n as f64), span),
            None => self.binary(ast::BinaryOp::Div, value, Val::Int(count.clone()), span),
        }
    }

    fn fold_list(&mut self, name: &'static str, list: &Rc<Vec<Val<'a>>>, span: Span) -> Val<'a> {
        let op = match name {
            "sum" | "mean" => ast::BinaryOp::Add,
            "any" => ast::BinaryOp::Or,
            "all" => ast::BinaryOp::And,
            _ => {
                let message = format!("`{name}` does not fold a list");
                return self.fail(Diagnostic::error("type::value", span, message));
            }
        };
        let mut items = list.iter().cloned();
        let Some(first) = items.next() else { return Val::int(0) };
        let total = items.fold(first, |sum, item| self.binary(op, sum, item, span));
        if name == "mean" {
            return self.binary(ast::BinaryOp::Div, total, Val::Real(list.len() as f64), span);
        }
        total
    }

    /// Folds axes away.
    pub(crate) fn reduce(
        &mut self,
        name: &'static str,
        tensor: &Tensor,
        places: Vec<usize>,
        span: Span,
    ) -> Val<'a> {
        let dtype = self.dtype(tensor);
        let fold = match name {
            "sum" | "mean" => Fold::Add,
            "prod" => Fold::Mul,
            "max" => Fold::Max,
            "min" => Fold::Min,
            "any" => Fold::Or,
            _ => Fold::And,
        };
        let logical = matches!(fold, Fold::Or | Fold::And);
        if logical != (dtype == DType::Bool) {
            let message =
                format!("`{name}` folds {}, not {dtype}", if logical { "truth values" } else { "numbers" });
            let help = if logical { "compare first: `any(x > 0)`" } else { "convert it: `sum(f32(mask))`" };
            return self.fail(Diagnostic::error("type::dtype", span, message).help(help));
        }
        let tensor = self.mask_dead(tensor, &places, fold.identity(), span);
        if places.is_empty() {
            return Val::Tensor(tensor);
        }
        let axes: Vec<Axis> =
            (0..tensor.axes.len()).filter(|a| !places.contains(a)).map(|a| tensor.axes[a].clone()).collect();
        self.tensor(ops::Reduce { fold, axes: places }, &[tensor.value], axes, span)
    }

    /// Replaces what lies behind the live length of counted axes.
    fn mask_dead(&mut self, tensor: &Tensor, places: &[usize], identity: f64, span: Span) -> Tensor {
        let mut tensor = tensor.clone();
        for place in places {
            let Some(live) = tensor.axes[*place].live else { continue };
            let shape: Vec<Dim> = tensor.axes.iter().map(|a| a.size.clone()).collect();
            let ty = nnc_ir::Type::new(DType::I32, shape.clone());
            let Some(position) = self.node(ops::Iota { ty, axis: *place }, &[], span) else { continue };
            let length = self.b.broadcast(live, shape, Vec::new());
            let kind = nnc_ir::kernel::Compare::Less;
            let alive = self.b.apply(ops::Compare { kind }, &[position, length]);
            let dead = self.b.fill_like(identity, tensor.value);
            tensor.value = self.b.apply(ops::Select, &[alive, tensor.value, dead]);
        }
        tensor
    }

    /// `sum[..](a * b * ..)` as a contraction of its factors.
    fn sum_of_product(
        &mut self,
        arg: &'a ast::Expr,
        over: &Over,
        scope: &Rc<Scope<'a>>,
        span: Span,
    ) -> Val<'a> {
        let mut factors = Vec::new();
        collect_factors(arg, &mut factors);
        let values: Vec<Val<'a>> = factors.iter().map(|factor| self.expr(factor, scope)).collect();
        if values.iter().any(Val::is_unknown) {
            return Val::Unknown;
        }
        let contractible = |this: &Self, v: &Val<'a>| v.tensor().is_some_and(|t| this.dtype(t).is_float());
        let mut tensors: Vec<Tensor> = Vec::new();
        let mut others: Vec<Val<'a>> = Vec::new();
        for value in values {
            match value.tensor() {
                Some(t) if contractible(self, &value) && !t.axes.is_empty() => tensors.push(t.clone()),
                _ => others.push(value),
            }
        }
        let floats = others.iter().all(|v| !matches!(v, Val::Tensor(t) if !self.dtype(t).is_float()));
        if tensors.len() < 2 || !floats {
            let all = tensors.into_iter().map(Val::Tensor).chain(others);
            let product = all.reduce(|a, b| self.binary(ast::BinaryOp::Mul, a, b, arg.span));
            return self.fold_value("sum", product.unwrap_or(Val::Unknown), over, scope, span);
        }
        // Factors that lack axes of another join it; what is left is contracted in pairs.
        while tensors.len() > 2 {
            let (i, j) = mergeable(&tensors).unwrap_or((0, 1));
            let (b, a) = (tensors.remove(i.max(j)), tensors.remove(i.min(j)));
            match self.binary(ast::BinaryOp::Mul, Val::Tensor(a), Val::Tensor(b), arg.span) {
                Val::Tensor(product) => tensors.insert(0, product),
                _ => return Val::Unknown,
            }
        }
        let [a, b] = [tensors[0].clone(), tensors[1].clone()];
        let sum = self.contract(a, b, over, scope, span);
        others.into_iter().fold(sum, |sum, factor| self.binary(ast::BinaryOp::Mul, sum, factor, span))
    }

    fn contract(
        &mut self,
        mut a: Tensor,
        mut b: Tensor,
        over: &Over,
        scope: &Rc<Scope<'a>>,
        span: Span,
    ) -> Val<'a> {
        let common = super::arithmetic::common_type(self.dtype(&a), self.dtype(&b));
        a.value = self.b.cast(a.value, common);
        b.value = self.b.cast(b.value, common);
        let Ok(met) = align(&a.axes, &b.axes) else {
            // Says what does not fit.
            let product = self.elementwise(ops::Mul, &[a, b], span);
            return self.fold_value("sum", product, over, scope, span);
        };
        let union = Tensor { value: a.value, axes: met.axes.clone(), bound: None };
        let Some(places) = self.folded_axes(&union, over, scope) else { return Val::Unknown };
        for var in &over.indices {
            if !met.axes.iter().any(|axis| axis.index == Some(*var)) {
                let info = self.index_vars[*var].clone();
                let message = format!("index `{}` is folded but not used", info.name);
                return self.fail(Diagnostic::error("index::unused", info.span, message).help("remove it"));
            }
        }
        for place in &places {
            if met.axes[*place].live.is_some() {
                let product = self.elementwise(ops::Mul, &[a, b], span);
                return self.fold_value("sum", product, over, scope, span);
            }
        }
        let letters = |map: &[usize]| map.iter().map(|place| *place as u32).collect::<Vec<u32>>();
        let kept: Vec<usize> = (0..met.axes.len()).filter(|place| !places.contains(place)).collect();
        let op = ops::Contract { lhs: letters(&met.left), rhs: letters(&met.right), out: letters(&kept) };
        let axes = kept.iter().map(|place| met.axes[*place].clone()).collect();
        self.tensor(op, &[a.value, b.value], axes, span)
    }
}

fn collect_factors<'a>(expr: &'a ast::Expr, factors: &mut Vec<&'a ast::Expr>) {
    match &expr.kind {
        ast::ExprKind::Binary { op: ast::BinaryOp::Mul, left, right } => {
            collect_factors(left, factors);
            collect_factors(right, factors);
        }
        _ => factors.push(expr),
    }
}

/// Two factors of which one has all axes of the other.
fn mergeable(tensors: &[Tensor]) -> Option<(usize, usize)> {
    for i in 0..tensors.len() {
        for j in i + 1..tensors.len() {
            let most = tensors[i].axes.len().max(tensors[j].axes.len());
            if align(&tensors[i].axes, &tensors[j].axes).is_ok_and(|met| met.axes.len() == most) {
                return Some((i, j));
            }
        }
    }
    None
}
