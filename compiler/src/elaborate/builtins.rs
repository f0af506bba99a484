//! Primitive functions of the language, by name. Everything else is in the standard library.

use super::axes::Axis;
use super::calls::Given;
use super::values::{Recipe, Scope, Tensor, Val};
use super::{Elaborator, indices};
use nnc_base::{Diagnostic, Span};
use nnc_grammar::syntax as ast;
use nnc_ir::graph::Port;
use nnc_ir::ops::{self, Op};
use nnc_ir::{DType, Dim, Type};
use std::rc::Rc;

/// Name and one line for the manual.
pub const PRIMITIVES: &[(&str, &str)] = &[
    ("sum", "`sum[i](e)`: sum over indices or axes; all axes without a subscript"),
    ("mean", "`mean[a](x)`: sum divided by the number of elements"),
    ("prod", "`prod[a](x)`: product"),
    ("max", "`max[a](x)`: largest; `max(a, b)`: the larger of two"),
    ("min", "`min[a](x)`: smallest; `min(a, b)`: the smaller of two"),
    ("any", "`any[a](x)`: whether some element is true"),
    ("all", "`all[a](x)`: whether every element is true"),
    ("exp", "`exp(x)`: e to the power x"),
    ("log", "`log(x)`: natural logarithm"),
    ("expm1", "`expm1(x)`: exp(x) - 1, exact near 0"),
    ("log1p", "`log1p(x)`: log(1 + x), exact near 0"),
    ("sqrt", "`sqrt(x)`: square root"),
    ("sin", "`sin(x)`: sine"),
    ("cos", "`cos(x)`: cosine"),
    ("tanh", "`tanh(x)`: hyperbolic tangent"),
    ("erf", "`erf(x)`: error function"),
    ("abs", "`abs(x)`: magnitude"),
    ("sign", "`sign(x)`: -1, 0 or 1"),
    ("floor", "`floor(x)`: round down; an integer for static numbers"),
    ("ceil", "`ceil(x)`: round up; an integer for static numbers"),
    ("round", "`round(x)`: round to nearest; an integer for static numbers"),
    ("lgamma", "`lgamma(x)`: log of the gamma function"),
    ("digamma", "`digamma(x)`: derivative of lgamma"),
    ("where", "`where(c, a, b)`: a where c holds, else b"),
    ("f32", "`f32(x)`: as 32-bit real numbers"),
    ("bf16", "`bf16(x)`: as 16-bit real numbers"),
    ("f16", "`f16(x)`: as half-precision numbers"),
    ("f64", "`f64(x)`: as 64-bit real numbers"),
    ("int", "`int(x)`: as integers, toward zero"),
    ("real", "`real(n)`: as real numbers of the network's precision"),
    ("random", "`random(like: x)`: uniform numbers in [0, 1) in the shape of x"),
    ("size", "`size[a](x)`: number of elements along axes; of all without a subscript"),
    ("rank", "`rank(x)`: number of axes"),
    ("longest", "`longest(x)`: size of the longest axis"),
    ("up", "`up(a, b)`: a / b rounded up"),
    (
        "pad",
        "`pad[a](x, n, value: 0)`: n further elements at both ends of axes; `after: m` differs at the end",
    ),
    ("concat", "`concat[a](x, y, ..)`: tensors, or a list of them, one behind the other along an axis"),
    ("stop", "`stop(x)`: x, without gradient"),
    ("scan", "`scan[a](x)`: running sums along an axis"),
    ("top", "`top[a](x, k)`: positions of the k largest along an axis, ties to the lower"),
    ("sort", "`sort[a](x)`: sorted values, ascending"),
    ("solve", "`solve(a, b)`: x with a x = b, for square matrices on the last two axes"),
    ("cholesky", "`cholesky(a)`: lower factor of a positive matrix on the last two axes"),
    ("stack", "`stack(n, block, join: T)`: n copies with own weights, one after the other; stays a loop"),
    ("repeat", "`repeat(n, block)`: one block applied n times; stays a loop"),
    ("last", "`last(list)`: the last element"),
    ("length", "`length(list)`: number of elements; `length[a](x)`: live length of a counted axis"),
    ("append", "`append[a](cache, x)`: the cache with x behind its live part"),
    ("rename", "`rename[a, b](x)`: x whose last axes are called a, b"),
    (
        "pullback",
        "`pullback(f, x)`: the gradient of the scalar f(x) with respect to x, a tensor or a list or record of tensors",
    ),
];

const FOLDS: &[&str] = &["sum", "mean", "prod", "max", "min", "any", "all"];

/// The primitive called `name`.
pub(crate) fn find(name: &str) -> Option<&'static str> {
    PRIMITIVES.iter().map(|p| p.0).find(|p| *p == name)
}

/// Whether the language itself knows a name.
pub(crate) fn is_builtin(name: &str) -> bool {
    names().any(|known| known == name)
}

/// Names of all primitives and constants.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    PRIMITIVES.iter().map(|p| p.0).chain(["pi", "inf", "true", "false", "none"])
}

/// Whether the primitive folds axes.
pub(crate) fn is_fold(name: &str) -> bool {
    FOLDS.contains(&name)
}

/// Named constants.
pub(crate) fn constant<'a>(name: &str) -> Option<Val<'a>> {
    Some(match name {
        "pi" => Val::Real(std::f64::consts::PI),
        "inf" => Val::Real(f64::INFINITY),
        "true" => Val::Bool(true),
        "false" => Val::Bool(false),
        "none" => Val::None,
        _ => return None,
    })
}

type Subscript<'a> = Option<(&'a [ast::At], Rc<Scope<'a>>)>;

impl<'a> Elaborator<'a> {
    /// Calls a primitive.
    pub(crate) fn primitive(
        &mut self,
        name: &'static str,
        subscript: Subscript<'a>,
        args: Vec<Given<'a>>,
        span: Span,
    ) -> Val<'a> {
        if args.iter().any(|arg| arg.value.is_unknown()) {
            return Val::Unknown;
        }
        if let Some(value) = self.elementary(name, &args, span) {
            return value;
        }
        match name {
            "max" | "min" => self.extreme(name, &args, span),
            "where" => match args.as_slice() {
                [c, a, b] => self.choose(c.value.clone(), a.value.clone(), b.value.clone(), span),
                _ => self.argument_count(name, 3, &args, span),
            },
            "f32" | "bf16" | "f16" | "f64" | "int" | "real" => {
                let dtype = match name {
                    "int" => DType::I32,
                    "real" => self.precision,
                    _ => DType::from_name(name).unwrap_or(DType::F32),
                };
                match args.as_slice() {
                    [x] => self.convert(x.value.clone(), dtype, span),
                    _ => self.argument_count(name, 1, &args, span),
                }
            }
            "stop" => match args.as_slice() {
                [x] => match &x.value {
                    Val::Tensor(t) => self.tensor(ops::Stop, &[t.value], t.axes.clone(), span),
                    other => other.clone(),
                },
                _ => self.argument_count(name, 1, &args, span),
            },
            "random" => self.random(&args, span),
            "size" => self.size_of(&subscript, &args, span),
            "rank" | "longest" => match args.as_slice() {
                [Given { value: Val::Tensor(x), .. }] if name == "rank" => Val::int(x.axes.len() as i64),
                [Given { value: Val::Tensor(x), .. }] => {
                    Val::Int(x.axes.iter().fold(Dim::one(), |most, a| most.maximum(&a.size)))
                }
                _ => self.argument_count(name, 1, &args, span),
            },
            "up" => match args.as_slice() {
                [Given { value: Val::Int(a), .. }, Given { value: Val::Int(b), .. }] => {
                    Val::Int(a.ceil_div(b))
                }
                _ => self.argument_count(name, 2, &args, span),
            },
            "pad" => self.pad(&subscript, &args, span),
            "concat" => self.concat(&subscript, &args, span),
            "scan" | "top" | "sort" => self.along(name, &subscript, &args, span),
            "solve" => self.solve(&args, span),
            "cholesky" => match args.as_slice() {
                [Given { value: Val::Tensor(a), .. }] => {
                    self.tensor(ops::Cholesky, &[a.value], a.axes.clone(), span)
                }
                _ => self.argument_count(name, 1, &args, span),
            },
            "stack" | "repeat" => self.stack_recipe(name == "repeat", &args, span),
            "last" => match args.as_slice() {
                [Given { value: Val::List(list), .. }] if !list.is_empty() => list[list.len() - 1].clone(),
                _ => {
                    self.fail(Diagnostic::error("type::value", span, "`last` needs a list that is not empty"))
                }
            },
            "length" => self.length(&subscript, &args, span),
            "append" => self.append(&subscript, &args, span),
            "rename" => self.rename(&subscript, &args, span),
            "pullback" => self.pullback(&args, span),
            _ => self.fail(Diagnostic::error(
                "name::argument",
                span,
                format!("`{name}` cannot be called like this"),
            )),
        }
    }

    pub(crate) fn argument_count(
        &mut self,
        name: &str,
        wanted: usize,
        args: &[Given<'a>],
        span: Span,
    ) -> Val<'a> {
        let about = PRIMITIVES.iter().find(|p| p.0 == name).map_or("", |p| p.1);
        let message = format!("`{name}` takes {wanted} arguments of its kind, {} are given", args.len());
        self.fail(Diagnostic::error("name::argument", span, message).help(about.to_string()))
    }

    /// Functions of one number.
    fn elementary(&mut self, name: &str, args: &[Given<'a>], span: Span) -> Option<Val<'a>> {
        let (op, f): (Op, fn(f64) -> f64) = match name {
            "exp" => (ops::Exp.into(), f64::exp),
            "log" => (ops::Log.into(), f64::ln),
            "expm1" => (ops::Expm1.into(), f64::exp_m1),
            "log1p" => (ops::Log1p.into(), f64::ln_1p),
            "sqrt" => (ops::Sqrt.into(), f64::sqrt),
            "sin" => (ops::Sin.into(), f64::sin),
            "cos" => (ops::Cos.into(), f64::cos),
            "tanh" => (ops::Tanh.into(), f64::tanh),
            "abs" => (ops::Abs.into(), f64::abs),
            "sign" => (ops::Sign.into(), |x| if x == 0.0 { 0.0 } else { x.signum() }),
            "floor" => (ops::Floor.into(), f64::floor),
            "ceil" => (ops::Neg.into(), f64::ceil),
            "round" => (ops::Round.into(), f64::round_ties_even),
            "erf" | "lgamma" | "digamma" => {
                let op: Op = match name {
                    "erf" => ops::Erf.into(),
                    "lgamma" => ops::Lgamma.into(),
                    _ => ops::Digamma.into(),
                };
                return Some(match args {
                    [x] => self.map_tensor(op, &x.value, span),
                    _ => self.argument_count(name, 1, args, span),
                });
            }
            _ => return None,
        };
        let [x] = args else { return Some(self.argument_count(name, 1, args, span)) };
        let whole = matches!(name, "floor" | "ceil" | "round");
        Some(match &x.value {
            Val::Int(dim) if whole => Val::Int(dim.clone()),
            Val::Int(dim) if name == "abs" && dim.as_constant().is_some() => {
                Val::int(dim.as_constant().unwrap_or(0).saturating_abs())
            }
            value @ (Val::Int(_) | Val::Real(_)) if value.as_real().is_some() => {
                let result = f(value.as_real().unwrap_or(0.0));
                if whole && result.abs() < 1e15 { Val::int(result as i64) } else { Val::Real(result) }
            }
            Val::Tensor(t) if !self.dtype(t).is_float() && !matches!(name, "abs" | "sign") => {
                let message = format!("`{name}` needs real numbers; this tensor holds {}", self.dtype(t));
                self.fail(Diagnostic::error("type::dtype", x.span, message).help("convert it: `f32(x)`"))
            }
            value if name == "ceil" => {
                // ceil(x) = -floor(-x)
                let minus = self.map_tensor(ops::Neg, value, span);
                let down = self.map_tensor(ops::Floor, &minus, span);
                self.map_tensor(ops::Neg, &down, span)
            }
            value => self.map_tensor(op, value, span),
        })
    }

    fn extreme(&mut self, name: &str, args: &[Given<'a>], span: Span) -> Val<'a> {
        let [a, b] = args else { return self.argument_count(name, 2, args, span) };
        match (&a.value, &b.value) {
            (Val::Int(x), Val::Int(y)) => Val::Int(if name == "max" { x.maximum(y) } else { x.minimum(y) }),
            (x, y) if x.as_real().is_some() && y.as_real().is_some() => {
                let (x, y) = (x.as_real().unwrap_or(0.0), y.as_real().unwrap_or(0.0));
                Val::Real(if name == "max" { x.max(y) } else { x.min(y) })
            }
            (x, y) => {
                let (tx, ty) = (x.tensor().map(|t| self.dtype(t)), y.tensor().map(|t| self.dtype(t)));
                let (Some(mut p), Some(mut q)) = (self.lift(x, ty, a.span), self.lift(y, tx, b.span)) else {
                    return Val::Unknown;
                };
                let common = super::arithmetic::common_type(self.dtype(&p), self.dtype(&q));
                p.value = self.b.cast(p.value, common);
                q.value = self.b.cast(q.value, common);
                let op: Op = if name == "max" { ops::Maximum.into() } else { ops::Minimum.into() };
                self.elementwise(op, &[p, q], span)
            }
        }
    }

    /// `random(like: x)`: its site is its place in the program, so order never changes numbers.
    fn random(&mut self, args: &[Given<'a>], span: Span) -> Val<'a> {
        let [Given { value: Val::Tensor(like), .. }] = args else {
            return self.argument_count("random", 1, args, span);
        };
        let shape = self.ty(like.value).shape.clone();
        let axes = like.axes.clone();
        let (seed, step) = self.random_key();
        self.sites += 1;
        let mut salt = Dim::constant(self.sites);
        // A weight differs between the copies that its own loops make, not between the turns of others.
        let own = self.drawn.clone();
        for frame in self.loops.iter().filter(|f| own.as_ref().is_none_or(|own| own.contains(&f.id))) {
            salt = &(&salt * &Dim::constant(1009)) + &Dim::from(&frame.counter);
        }
        let value = self.node(ops::Random { shape, salt }, &[seed, step], span);
        match value {
            Some(value) => Val::Tensor(Tensor { value, axes, bound: None }),
            None => Val::Unknown,
        }
    }

    fn random_key(&mut self) -> (nnc_ir::Value, nnc_ir::Value) {
        let seed = match self.seed {
            Some(seed) => seed,
            None => self.entry_param(Port::Named("seed".into()), Type::scalar(DType::U32)),
        };
        self.seed = Some(seed);
        let step = if self.micro > 1 { self.draw_value() } else { self.step_value() };
        let step = self.b.cast(step, DType::U32);
        (seed, step)
    }

    /// The number of the micro-batch since training began, an `i32[]`.
    pub(crate) fn draw_value(&mut self) -> nnc_ir::Value {
        let draw = match self.draw {
            Some(draw) => draw,
            None => self.entry_param(Port::Named("draw".into()), Type::scalar(DType::I32)),
        };
        self.draw = Some(draw);
        draw
    }

    /// The number of the training step, an `i32[]`.
    pub(crate) fn step_value(&mut self) -> nnc_ir::Value {
        let step = match self.step {
            Some(step) => step,
            None => self.entry_param(Port::Named("step".into()), Type::scalar(DType::I32)),
        };
        self.step = Some(step);
        step
    }

    /// Places of the axes a subscript names.
    fn named_axes(&mut self, tensor: &Tensor, subscript: &Subscript<'a>) -> Option<Vec<usize>> {
        let Some((ats, written)) = subscript else { return None };
        let mut places = Vec::new();
        for at in *ats {
            match &at.kind {
                ast::AtKind::Expr(ast::Expr { kind: ast::ExprKind::Name(name), .. }) => {
                    let known = written.get(&name.text).is_some();
                    match if known { self.lookup_quiet(&name.text, written) } else { None } {
                        Some(Val::Axes(axes)) => {
                            for axis in axes.iter() {
                                places.push(self.find_axis(tensor, axis, name.span)?);
                            }
                        }
                        Some(Val::Index(var)) => {
                            places.extend(tensor.axes.iter().position(|a| a.index == Some(var)));
                        }
                        Some(Val::Int(size)) => {
                            places.push(self.find_axis(tensor, &Axis::named(&name.text, size), name.span)?);
                        }
                        _ => {
                            let axis = Axis::named(&name.text, Dim::constant(-1));
                            places.push(self.find_axis(tensor, &axis, name.span)?);
                        }
                    }
                }
                ast::AtKind::Rest => {
                    let rest = match self.lookup_quiet("..", written) {
                        Some(Val::Axes(axes)) => axes.len(),
                        _ => tensor.axes.len().saturating_sub(ats.len() - 1),
                    };
                    places.extend(0..rest.min(tensor.axes.len()));
                }
                _ => {
                    self.report(Diagnostic::error("dim::axis", at.span, "an axis is given by its name"));
                    return None;
                }
            }
        }
        places.sort_unstable();
        places.dedup();
        Some(places)
    }

    fn size_of(&mut self, subscript: &Subscript<'a>, args: &[Given<'a>], span: Span) -> Val<'a> {
        let [Given { value: Val::Tensor(x), .. }] = args else {
            return self.argument_count("size", 1, args, span);
        };
        let places = match subscript {
            None => (0..x.axes.len()).collect(),
            Some(_) => match self.named_axes(x, subscript) {
                Some(places) => places,
                None => return Val::Unknown,
            },
        };
        Val::Int(places.iter().fold(Dim::one(), |product, a| &product * &x.axes[*a].size))
    }

    fn pad(&mut self, subscript: &Subscript<'a>, args: &[Given<'a>], span: Span) -> Val<'a> {
        let named = |name: &str| {
            args.iter().find(|a| a.name.is_some_and(|n| n.text == name)).map(|a| a.value.clone())
        };
        let [Given { value: Val::Tensor(x), .. }, Given { value: Val::Int(before), .. }, ..] = args else {
            return self.argument_count("pad", 2, args, span);
        };
        let after = match named("after") {
            Some(Val::Int(after)) => after,
            _ => before.clone(),
        };
        let value = named("value").and_then(|v| v.as_real()).unwrap_or(0.0);
        let Some(places) = self.named_axes(x, subscript) else {
            return self.fail(Diagnostic::error(
                "dim::axis",
                span,
                "`pad` needs its axes: `pad[H, W](x, 1)`",
            ));
        };
        let mut low = vec![Dim::zero(); x.axes.len()];
        let mut high = low.clone();
        let mut axes = x.axes.clone();
        for place in places {
            low[place] = before.clone();
            high[place] = after.clone();
            axes[place].size = &(&axes[place].size + before) + &after;
        }
        self.tensor(ops::Pad { low, high, value }, &[x.value], axes, span)
    }

    fn concat(&mut self, subscript: &Subscript<'a>, args: &[Given<'a>], span: Span) -> Val<'a> {
        let values: Vec<Val<'a>> = match args {
            [Given { value: Val::List(list), .. }] => list.to_vec(),
            several => several.iter().map(|arg| arg.value.clone()).collect(),
        };
        let parts: Vec<Tensor> = values.iter().filter_map(|value| value.tensor().cloned()).collect();
        if parts.is_empty() || parts.len() != values.len() {
            return self.argument_count("concat", 2, args, span);
        }
        match self.named_axes(&parts[0], subscript).as_deref() {
            Some([axis]) => self.concatenated(&parts, *axis, span),
            _ => self.fail(
                Diagnostic::error("dim::axis", span, "`concat` needs one axis")
                    .help("write `concat[a](x, y)`"),
            ),
        }
    }

    fn along(&mut self, name: &str, subscript: &Subscript<'a>, args: &[Given<'a>], span: Span) -> Val<'a> {
        let Some(Given { value: Val::Tensor(x), .. }) = args.first() else {
            return self.argument_count(name, 1, args, span);
        };
        let axis = match self.named_axes(x, subscript).as_deref() {
            Some([axis]) => *axis,
            _ => {
                return self.fail(Diagnostic::error(
                    "dim::axis",
                    span,
                    format!("`{name}` needs one axis: `{name}[a](x)`"),
                ));
            }
        };
        let mut axes = x.axes.clone();
        match name {
            "scan" => {
                self.tensor(ops::Scan { fold: ops::Fold::Add, axis, reverse: false }, &[x.value], axes, span)
            }
            "sort" => {
                self.b.span = span;
                match self.b.try_apply_blocks(
                    ops::Sort { axis, descending: false }.into(),
                    &[x.value],
                    Vec::new(),
                ) {
                    Ok(values) => Val::Tensor(Tensor { value: values[0], axes, bound: None }),
                    Err(error) => self.fail(Diagnostic::error("type::operation", span, error.message)),
                }
            }
            _ => {
                let Some(k) = args.get(1).and_then(|a| a.value.as_int().cloned()) else {
                    return self.argument_count(name, 2, args, span);
                };
                let bound = axes[axis].size.clone();
                axes[axis] = Axis { index: axes[axis].index, ..Axis::sized(k.clone()) };
                self.b.span = span;
                match self.b.try_apply_blocks(ops::TopK { axis, k }.into(), &[x.value], Vec::new()) {
                    Ok(values) => Val::Tensor(Tensor { value: values[1], axes, bound: Some(bound) }),
                    Err(error) => self.fail(Diagnostic::error("type::operation", span, error.message)),
                }
            }
        }
    }

    fn solve(&mut self, args: &[Given<'a>], span: Span) -> Val<'a> {
        let [Given { value: Val::Tensor(a), .. }, Given { value: Val::Tensor(b), .. }] = args else {
            return self.argument_count("solve", 2, args, span);
        };
        self.tensor(ops::Solve, &[a.value, b.value], b.axes.clone(), span)
    }

    fn stack_recipe(&mut self, shared: bool, args: &[Given<'a>], span: Span) -> Val<'a> {
        let name = if shared { "repeat" } else { "stack" };
        let named = |name: &str| {
            args.iter().find(|a| a.name.is_some_and(|n| n.text == name)).map(|a| a.value.clone())
        };
        let (Some(Given { value: Val::Int(count), .. }), Some(block)) = (args.first(), args.get(1)) else {
            return self.argument_count(name, 2, args, span);
        };
        if count.as_constant().is_none_or(|n| n < 0) && !shared {
            let message = format!("a stack of {count} layers: the number must be known and not negative");
            return self.fail(Diagnostic::error("dim::static", span, message));
        }
        if !block.value.is_callable() {
            let message = format!("`{name}` repeats a block, not {}", block.value.describe());
            return self.fail(Diagnostic::error("role::wrong", block.span, message));
        }
        Val::Recipe(Rc::new(Recipe::Stack {
            count: count.clone(),
            block: block.value.clone(),
            join: named("join"),
            shared,
            span,
        }))
    }

    fn length(&mut self, subscript: &Subscript<'a>, args: &[Given<'a>], span: Span) -> Val<'a> {
        match args {
            [Given { value: Val::List(list), .. }] => Val::int(list.len() as i64),
            [Given { value: Val::Tensor(x), .. }] => match self.named_axes(x, subscript).as_deref() {
                Some([axis]) => match x.axes[*axis].live {
                    Some(live) => Val::Tensor(Tensor { value: live, axes: Vec::new(), bound: None }),
                    None => Val::Int(x.axes[*axis].size.clone()),
                },
                _ => self.argument_count("length", 1, args, span),
            },
            _ => self.argument_count("length", 1, args, span),
        }
    }

    /// Elements behind the live part of a counted axis. An empty cache becomes what is appended.
    fn append(&mut self, subscript: &Subscript<'a>, args: &[Given<'a>], span: Span) -> Val<'a> {
        let [Given { value: Val::Tensor(cache), .. }, Given { value: Val::Tensor(x), .. }] = args else {
            return self.argument_count("append", 2, args, span);
        };
        let Some([axis]) = self
            .named_axes(cache, subscript)
            .as_deref()
            .map(<[usize]>::to_vec)
            .as_deref()
            .map(|p| {
                let mut one = [usize::MAX];
                if p.len() == 1 {
                    one[0] = p[0];
                }
                one
            })
            .filter(|one| one[0] != usize::MAX)
        else {
            return self.fail(Diagnostic::error(
                "dim::axis",
                span,
                "`append` needs one axis: `append[n](cache, x)`",
            ));
        };
        if x.axes.len() != cache.axes.len() {
            let message = format!("a cache of {} axes receives {}", cache.axes.len(), x.axes.len());
            return self.fail(Diagnostic::error("dim::rank", span, message));
        }
        let count = x.axes[axis].size.clone();
        let cap = cache.axes[axis].size.clone();
        let Some(live) = cache.axes[axis].live else {
            // Nothing is in it yet: the appended part is all there is.
            if let (Some(n), Some(c)) = (count.as_constant(), cap.as_constant())
                && n > c
            {
                let message = format!("{n} elements do not fit into a cache of {c}");
                return self
                    .fail(Diagnostic::error("dim::capacity", span, message).help("raise its capacity"));
            }
            let mut axes = x.axes.clone();
            axes[axis].name = cache.axes[axis].name.clone();
            axes[axis].label = true;
            return Val::Tensor(Tensor { value: x.value, axes, bound: None });
        };
        let starts = vec![Dim::zero(); cache.axes.len()];
        let dtype = self.dtype(cache);
        let update = self.b.cast(x.value, dtype);
        let Some(value) =
            self.node(ops::Insert { starts, axis: Some(axis) }, &[cache.value, update, live], span)
        else {
            return Val::Unknown;
        };
        let added = self.b.dim(count, DType::I32);
        let total = self.b.add(live, added);
        let mut axes = cache.axes.clone();
        axes[axis].live = Some(total);
        Val::Tensor(Tensor { value, axes, bound: None })
    }

    fn rename(&mut self, subscript: &Subscript<'a>, args: &[Given<'a>], span: Span) -> Val<'a> {
        let ([Given { value: Val::Tensor(x), .. }], Some((ats, _))) = (args, subscript) else {
            return self.argument_count("rename", 1, args, span);
        };
        let mut axes = x.axes.clone();
        if ats.len() > axes.len() {
            return self.fail(Diagnostic::error("dim::rank", span, "more names than axes"));
        }
        let first = axes.len() - ats.len();
        for (at, axis) in ats.iter().zip(&mut axes[first..]) {
            let mut name = None;
            if let ast::AtKind::Expr(expr) = &at.kind {
                indices::names_in(expr, &mut |n| name = Some(Rc::from(n)));
            }
            axis.name = name;
            axis.label = true;
        }
        Val::Tensor(Tensor { axes, ..x.clone() })
    }
}
