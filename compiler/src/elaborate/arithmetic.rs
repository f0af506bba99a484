//! Operators and elementwise functions: static values are computed, tensors become nodes. Operands are aligned by
//! name, or by index inside an index definition.

use super::Elaborator;
use super::axes::{self, Axis, Misfit, align};
use super::values::{Tensor, Val};
use nnc_base::{Diagnostic, Span};
use nnc_grammar::syntax::{BinaryOp, UnaryOp};
use nnc_ir::kernel::Compare;
use nnc_ir::ops::{self, Op};
use nnc_ir::{DType, Dim, Type};

impl<'a> Elaborator<'a> {
    /// `left op right`.
    pub(crate) fn binary(&mut self, op: BinaryOp, left: Val<'a>, right: Val<'a>, span: Span) -> Val<'a> {
        use Val::{Bool, Int, List, Real, Text, Unknown};
        match (&left, &right) {
            (Unknown, _) | (_, Unknown) => Unknown,
            (Int(a), Int(b)) => self.integers(op, a, b, span),
            (Int(_) | Real(_), Int(_) | Real(_)) => match (left.as_real(), right.as_real()) {
                (Some(a), Some(b)) => self.reals(op, a, b, span),
                _ => self.lifted(op, &left, &right, span),
            },
            (Bool(a), Bool(b)) => self.booleans(op, *a, *b, span),
            (Text(a), Text(b)) if matches!(op, BinaryOp::Eq | BinaryOp::Ne) => {
                Bool((a == b) == (op == BinaryOp::Eq))
            }
            (List(a), List(b)) if op == BinaryOp::Add => {
                List(std::rc::Rc::new([a.as_slice(), b.as_slice()].concat()))
            }
            (Val::None, other) | (other, Val::None) if matches!(op, BinaryOp::Eq | BinaryOp::Ne) => {
                Bool(matches!(other, Val::None) == (op == BinaryOp::Eq))
            }
            (Bool(a), _) if op == BinaryOp::And => {
                if *a {
                    right
                } else {
                    Bool(false)
                }
            }
            (_, Bool(b)) if op == BinaryOp::And => {
                if *b {
                    left
                } else {
                    Bool(false)
                }
            }
            (Bool(a), _) if op == BinaryOp::Or => {
                if *a {
                    Bool(true)
                } else {
                    right
                }
            }
            (_, Bool(b)) if op == BinaryOp::Or => {
                if *b {
                    Bool(true)
                } else {
                    left
                }
            }
            _ => self.lifted(op, &left, &right, span),
        }
    }

    fn integers(&mut self, op: BinaryOp, a: &Dim, b: &Dim, span: Span) -> Val<'a> {
        let dim = match op {
            BinaryOp::Add => a + b,
            BinaryOp::Sub => a - b,
            BinaryOp::Mul => a * b,
            BinaryOp::Div | BinaryOp::Rem if b.as_constant().is_some_and(|b| b <= 0) => {
                let message = format!("an integer is divided by {b}");
                return self
                    .fail(Diagnostic::error("type::number", span, message).help("divisors are positive"));
            }
            BinaryOp::Div => a.floor_div_in(b, &self.ranges),
            BinaryOp::Rem => a.modulo_in(b, &self.ranges),
            BinaryOp::Pow => return self.power(a, b, span),
            BinaryOp::And | BinaryOp::Or => return self.wrong_operands(op, "integers", span),
            _ => return self.compare_dims(op, a, b, span),
        };
        if dim.is_poisoned() {
            return self.fail(
                Diagnostic::error("limit::number", span, "this integer is too large")
                    .help("integers have 64 bits; `1.0 * n` is a real number"),
            );
        }
        if dim.exceeds(super::limits::MAX_SYMBOLS) {
            let message = "this size mentions too many run-time sizes";
            return self.fail(
                Diagnostic::error("limit::number", span, message).help("make them settings of the model"),
            );
        }
        Val::Int(dim)
    }

    fn power(&mut self, a: &Dim, b: &Dim, span: Span) -> Val<'a> {
        let (Some(base), Some(exponent)) = (a.as_constant(), b.as_constant()) else {
            return self.fail(Diagnostic::error(
                "dim::static",
                span,
                "a power of a run-time size is not a size",
            ));
        };
        if exponent < 0 {
            return Val::Real((base as f64).powf(exponent as f64));
        }
        match u32::try_from(exponent).ok().and_then(|e| base.checked_pow(e)) {
            Some(value) => Val::int(value),
            None => self.fail(Diagnostic::error("limit::number", span, "this integer is too large")),
        }
    }

    /// Decides a comparison of dims, or makes it a scalar of the graph.
    fn compare_dims(&mut self, op: BinaryOp, a: &Dim, b: &Dim, span: Span) -> Val<'a> {
        let kind = comparison(op);
        let gap = (a - b).simplify(&self.ranges);
        if let Some(gap) = gap.as_constant() {
            return Val::Bool(kind.apply(gap as f64, 0.0));
        }
        let (low, high) = (gap.lower_bound(&self.ranges), (-&gap).lower_bound(&self.ranges).map(|n| -n));
        let decided = match op {
            BinaryOp::Lt => low.filter(|l| *l >= 0).map(|_| false).or(high.filter(|h| *h < 0).map(|_| true)),
            BinaryOp::Le => low.filter(|l| *l > 0).map(|_| false).or(high.filter(|h| *h <= 0).map(|_| true)),
            BinaryOp::Gt => high.filter(|h| *h <= 0).map(|_| false).or(low.filter(|l| *l > 0).map(|_| true)),
            BinaryOp::Ge => high.filter(|h| *h < 0).map(|_| false).or(low.filter(|l| *l >= 0).map(|_| true)),
            BinaryOp::Eq if low.is_some_and(|l| l > 0) || high.is_some_and(|h| h < 0) => Some(false),
            BinaryOp::Ne if low.is_some_and(|l| l > 0) || high.is_some_and(|h| h < 0) => Some(true),
            _ => None,
        };
        match decided {
            Some(truth) => Val::Bool(truth),
            None => {
                let left = self.b.dim(a.clone(), DType::I32);
                let right = self.b.dim(b.clone(), DType::I32);
                self.tensor(ops::Compare { kind }, &[left, right], Vec::new(), span)
            }
        }
    }

    fn reals(&mut self, op: BinaryOp, a: f64, b: f64, span: Span) -> Val<'a> {
        Val::Real(match op {
            BinaryOp::Add => a + b,
            BinaryOp::Sub => a - b,
            BinaryOp::Mul => a * b,
            BinaryOp::Div => a / b,
            BinaryOp::Rem => a - b * (a / b).floor(),
            BinaryOp::Pow => a.powf(b),
            BinaryOp::And | BinaryOp::Or => return self.wrong_operands(op, "numbers", span),
            _ => return Val::Bool(comparison(op).apply(a, b)),
        })
    }

    fn booleans(&mut self, op: BinaryOp, a: bool, b: bool, span: Span) -> Val<'a> {
        Val::Bool(match op {
            BinaryOp::And => a && b,
            BinaryOp::Or => a || b,
            BinaryOp::Eq => a == b,
            BinaryOp::Ne => a != b,
            _ => return self.wrong_operands(op, "truth values", span),
        })
    }

    fn wrong_operands(&mut self, op: BinaryOp, what: &str, span: Span) -> Val<'a> {
        let message = format!("`{}` does not take {what}", operator(op));
        self.fail(Diagnostic::error("type::dtype", span, message))
    }

    /// Both operands as tensors of the graph.
    fn lifted(&mut self, op: BinaryOp, left: &Val<'a>, right: &Val<'a>, span: Span) -> Val<'a> {
        let like = |v: &Val<'a>, this: &Self| v.tensor().map(|t| this.dtype(t));
        let (left_type, right_type) = (like(left, self), like(right, self));
        let (Some(mut a), Some(mut b)) =
            (self.lift(left, right_type, span), self.lift(right, left_type, span))
        else {
            return Val::Unknown;
        };
        let logical = matches!(op, BinaryOp::And | BinaryOp::Or);
        if logical {
            if self.dtype(&a) != DType::Bool || self.dtype(&b) != DType::Bool {
                let message = format!("`{}` needs truth values", operator(op));
                return self
                    .fail(Diagnostic::error("type::dtype", span, message).help("compare first: `x > 0`"));
            }
        } else {
            let equality = matches!(op, BinaryOp::Eq | BinaryOp::Ne);
            for side in [&a, &b] {
                if self.dtype(side) == DType::Bool && !equality {
                    let message = format!("`{}` needs numbers; one side is bool", operator(op));
                    return self.fail(
                        Diagnostic::error("type::dtype", span, message).help("convert it: `f32(mask)`"),
                    );
                }
            }
            let common = common_type(self.dtype(&a), self.dtype(&b));
            a.value = self.b.cast(a.value, common);
            b.value = self.b.cast(b.value, common);
        }
        let node: Op = match op {
            BinaryOp::Add => ops::Add.into(),
            BinaryOp::Sub => ops::Sub.into(),
            BinaryOp::Mul => ops::Mul.into(),
            BinaryOp::Div => ops::Div.into(),
            BinaryOp::Rem => ops::Rem.into(),
            BinaryOp::Pow => return self.pow(a, b, right.as_real(), span),
            BinaryOp::And => ops::And.into(),
            BinaryOp::Or => ops::Or.into(),
            _ => ops::Compare { kind: comparison(op) }.into(),
        };
        self.elementwise(node, &[a, b], span)
    }

    /// Small whole powers are products: exact, and cheap everywhere.
    fn pow(&mut self, a: Tensor, b: Tensor, exponent: Option<f64>, span: Span) -> Val<'a> {
        if self.dtype(&a).is_float() {
            if exponent == Some(2.0) {
                return self.elementwise(ops::Mul, &[a.clone(), a], span);
            }
            if exponent == Some(0.5) {
                return self.elementwise(ops::Sqrt, &[a], span);
            }
            return self.elementwise(ops::Pow, &[a, b], span);
        }
        let message = "a power needs real numbers";
        self.fail(Diagnostic::error("type::dtype", span, message).help("convert it: `f32(n) ^ 2`"))
    }

    /// A static value as a scalar tensor; `like` says which kind of number its partner is.
    pub(crate) fn lift(&mut self, value: &Val<'a>, like: Option<DType>, span: Span) -> Option<Tensor> {
        match value {
            Val::Tensor(tensor) => Some(tensor.clone()),
            Val::Int(dim) => {
                let dtype = like.filter(|d| *d != DType::Bool).unwrap_or(DType::I32);
                let value = match dim.as_constant() {
                    Some(n) if !self.holds(dtype, n as f64, span) => return None,
                    Some(n) => self.b.fill(n as f64, Type::scalar(dtype)),
                    None => self.b.dim(dim.clone(), dtype),
                };
                Some(Tensor { value, axes: Vec::new(), bound: None })
            }
            Val::Real(value) => {
                Some(self.scalar(*value, like.filter(|d| d.is_float()).unwrap_or(self.precision)))
            }
            Val::Bool(value) => Some(self.scalar(f64::from(*value), DType::Bool)),
            Val::Index(var) => self.counting(*var, span),
            Val::Unknown => None,
            other => {
                let message = format!("a number or tensor is needed here, not {}", other.describe());
                self.report(Diagnostic::error("type::value", span, message));
                None
            }
        }
    }

    /// An index as a value: a tensor that counts along it.
    pub(crate) fn counting(&mut self, var: usize, span: Span) -> Option<Tensor> {
        let info = self.index_vars[var].clone();
        let Some(range) = info.range else {
            let message = format!("nothing says how far index `{}` runs", info.name);
            let help = format!("write its range: `{}: n`", info.name);
            self.report(
                Diagnostic::error("dim::free", span, message).label(info.span, "the index").help(help),
            );
            return None;
        };
        let ty = Type::new(DType::I32, vec![range.clone()]);
        let value = self.node(ops::Iota { ty, axis: 0 }, &[], span)?;
        let axis = info.axis.unwrap_or_else(|| Axis::sized(range.clone()));
        Some(Tensor { value, axes: vec![Axis { size: range, live: None, ..axis }.indexed(var)], bound: None })
    }

    /// An elementwise operation on aligned operands; scalars fit everywhere.
    pub(crate) fn elementwise(&mut self, op: impl Into<Op>, operands: &[Tensor], span: Span) -> Val<'a> {
        let Some((values, axes)) = self.aligned(operands, span) else { return Val::Unknown };
        self.tensor(op, &values, axes, span)
    }

    /// Brings operands to one shape.
    pub(crate) fn aligned(
        &mut self,
        operands: &[Tensor],
        span: Span,
    ) -> Option<(Vec<nnc_ir::Value>, Vec<Axis>)> {
        let mut axes = operands[0].axes.clone();
        for next in &operands[1..] {
            match align(&axes, &next.axes) {
                Ok(found) => axes = found.axes,
                Err(misfit) => {
                    self.misfit(misfit, &axes, &next.axes, span);
                    return None;
                }
            }
        }
        let mut values = Vec::new();
        for operand in operands {
            values.push(self.spread(operand, &axes, span)?);
        }
        Some((values, axes))
    }

    /// A tensor in the shape of `axes`, which hold all of its own.
    pub(crate) fn spread(&mut self, tensor: &Tensor, axes: &[Axis], span: Span) -> Option<nnc_ir::Value> {
        let found = match align(axes, &tensor.axes) {
            Ok(found) if found.axes.len() == axes.len() => found,
            Ok(_) => {
                let foreign = tensor
                    .axes
                    .iter()
                    .find(|a| !axes.iter().any(|b| a.index.is_some() && a.index == b.index));
                let name = foreign.map(|a| self.axis_name(a)).unwrap_or_default();
                let message = format!("index `{name}` is not on the left and not folded");
                self.report(
                    Diagnostic::error("index::unbound", span, message)
                        .help(format!("fold it: `sum[{name}](..)`")),
                );
                return None;
            }
            Err(misfit) => {
                self.misfit(misfit, axes, &tensor.axes, span);
                return None;
            }
        };
        let places = &found.right;
        let mut order: Vec<usize> = (0..places.len()).collect();
        order.sort_by_key(|axis| places[*axis]);
        let sorted: Vec<usize> = order.iter().map(|axis| places[*axis]).collect();
        let value = self.b.permute(tensor.value, order);
        let shape: Vec<Dim> = axes.iter().map(|axis| axis.size.clone()).collect();
        if self.ty(value).shape == shape {
            return Some(value);
        }
        self.node(ops::Broadcast { shape, axes: sorted }, &[value], span)
    }

    pub(crate) fn axis_name(&self, axis: &Axis) -> String {
        match axis.index {
            Some(var) => self.index_vars[var].name.to_string(),
            None => axis.describe(),
        }
    }

    fn misfit(&mut self, misfit: Misfit, left: &[Axis], right: &[Axis], span: Span) {
        let (l, r) = (axes::describe(left), axes::describe(right));
        let diagnostic = match misfit {
            Misfit::Size { left: a, right: b } => {
                let (a, b) = (left.get(a).cloned(), right.get(b).cloned());
                let (name_a, name_b) =
                    (a.as_ref().map(|x| self.axis_name(x)), b.as_ref().map(|x| self.axis_name(x)));
                let (name_a, name_b) = (name_a.unwrap_or_default(), name_b.unwrap_or_default());
                let indexed = a.as_ref().is_some_and(|x| x.index.is_some());
                let sizes = (a.as_ref().map(|x| x.size.to_string()), b.as_ref().map(|x| x.size.to_string()));
                let code = match (indexed, sizes.0 == sizes.1) {
                    (true, _) => "index::range",
                    (false, true) => "dim::label",
                    (false, false) => "dim::mismatch",
                };
                let message = if indexed {
                    format!(
                        "index `{name_a}` runs over {} and over {}",
                        sizes.0.unwrap_or_default(),
                        sizes.1.unwrap_or_default()
                    )
                } else {
                    format!("`{name_a}` meets `{name_b}`: {l} and {r} do not fit")
                };
                let mut diagnostic = Diagnostic::error(code, span, message);
                for axis in [a, b].into_iter().flatten() {
                    if let Some(origin) = axis.origin {
                        diagnostic = diagnostic.label(origin, format!("{} comes from here", axis.size));
                    }
                }
                diagnostic.help("sizes and labels of axes that meet must agree")
            }
            Misfit::Foreign { right: is_right, place } => {
                let axis = if is_right { &right[place] } else { &left[place] };
                let (axis, others) = (self.axis_name(axis), if is_right { l } else { r });
                Diagnostic::error("dim::broadcast", span, format!("axis `{axis}` is not in {others}")).help(
                    "an outer product needs an index definition: `let y[.., i, j] = a[.., i] * b[.., j]`",
                )
            }
            Misfit::Ambiguous => {
                Diagnostic::error("dim::label", span, format!("{r} fits into {l} in several ways"))
                    .help("give the axes labels, or say it with indices")
            }
        };
        self.report(diagnostic);
    }

    /// `-x` and `not x`.
    pub(crate) fn unary(&mut self, op: UnaryOp, value: Val<'a>, span: Span) -> Val<'a> {
        match (op, &value) {
            (_, Val::Unknown) => Val::Unknown,
            (UnaryOp::Neg, Val::Int(dim)) => Val::Int(-dim),
            (UnaryOp::Neg, Val::Real(x)) => Val::Real(-x),
            (UnaryOp::Not, Val::Bool(x)) => Val::Bool(!x),
            _ => match self.lift(&value, None, span) {
                None => Val::Unknown,
                Some(tensor) => {
                    let is_bool = self.dtype(&tensor) == DType::Bool;
                    match (op, is_bool) {
                        (UnaryOp::Neg, false) => self.elementwise(ops::Neg, &[tensor], span),
                        (UnaryOp::Not, true) => self.elementwise(ops::Not, &[tensor], span),
                        (UnaryOp::Neg, true) => self.fail(
                            Diagnostic::error("type::dtype", span, "`-` needs a number")
                                .help("`not` negates truth"),
                        ),
                        (UnaryOp::Not, false) => self.fail(
                            Diagnostic::error("type::dtype", span, "`not` needs a truth value")
                                .help("compare first: `x == 0`"),
                        ),
                    }
                }
            },
        }
    }

    /// `where(condition, a, b)`.
    pub(crate) fn choose(&mut self, cond: Val<'a>, a: Val<'a>, b: Val<'a>, span: Span) -> Val<'a> {
        if let Val::Bool(truth) = cond {
            return if truth { a } else { b };
        }
        let like = |v: &Val<'a>, this: &Self| v.tensor().map(|t| this.dtype(t));
        let (ta, tb) = (like(&a, self), like(&b, self));
        let whole = |v: &Val<'a>| matches!(v, Val::Int(_) | Val::Index(_));
        let fallback = if whole(&a) && whole(&b) { Some(DType::I32) } else { Some(self.precision) };
        let fallback =
            if matches!((&a, &b), (Val::Bool(_), _) | (_, Val::Bool(_))) { None } else { fallback };
        let (Some(c), Some(mut x), Some(mut y)) = (
            self.lift(&cond, None, span),
            self.lift(&a, tb.or(fallback), span),
            self.lift(&b, ta.or(fallback), span),
        ) else {
            return Val::Unknown;
        };
        if self.dtype(&c) != DType::Bool {
            return self.fail(Diagnostic::error("type::dtype", span, "the condition is not a truth value"));
        }
        let common = common_type(self.dtype(&x), self.dtype(&y));
        if (common == DType::Bool) != (self.dtype(&x) == DType::Bool && self.dtype(&y) == DType::Bool) {
            return self.fail(Diagnostic::error(
                "type::branch",
                span,
                "one side is a number, the other a truth value",
            ));
        }
        x.value = self.b.cast(x.value, common);
        y.value = self.b.cast(y.value, common);
        self.elementwise(ops::Select, &[c, x, y], span)
    }
}

/// The type two numbers are computed in: the wider float, a float before an integer.
pub(crate) fn common_type(a: DType, b: DType) -> DType {
    let rank = |d: DType| match d {
        DType::F64 => 7,
        DType::F32 => 6,
        DType::Bf16 => 5,
        DType::F16 => 4,
        DType::I32 => 3,
        DType::U32 => 2,
        DType::U8 => 1,
        DType::Bool => 0,
    };
    match (a, b) {
        (DType::Bf16, DType::F16) | (DType::F16, DType::Bf16) => DType::F32,
        _ if rank(a) >= rank(b) => a,
        _ => b,
    }
}

fn comparison(op: BinaryOp) -> Compare {
    match op {
        BinaryOp::Eq => Compare::Equal,
        BinaryOp::Ne => Compare::NotEqual,
        BinaryOp::Lt => Compare::Less,
        BinaryOp::Le => Compare::LessEqual,
        BinaryOp::Gt => Compare::Greater,
        _ => Compare::GreaterEqual,
    }
}

/// An operator as written.
pub(crate) fn operator(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Or => "or",
        BinaryOp::And => "and",
        BinaryOp::Eq => "==",
        BinaryOp::Ne => "!=",
        BinaryOp::Lt => "<",
        BinaryOp::Le => "<=",
        BinaryOp::Gt => ">",
        BinaryOp::Ge => ">=",
        BinaryOp::Add => "+",
        BinaryOp::Sub => "-",
        BinaryOp::Mul => "*",
        BinaryOp::Div => "/",
        BinaryOp::Rem => "%",
        BinaryOp::Pow => "^",
    }
}
