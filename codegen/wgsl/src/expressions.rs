//! The spelling of scalars in WGSL: one table for all functions. Functions named `x_type` come from `library.wgsl`.

use crate::types::{Kind, kind, register};
use nnc_ir::DType;
use nnc_ir::kernel::cfamily::{Binding, Dialect, Memory};
use nnc_ir::kernel::{Compare, Scalar};

/// The WGSL dialect.
pub(crate) struct Wgsl;

impl Dialect for Wgsl {
    fn index(&self, value: i64) -> Result<String, String> {
        let value = i32::try_from(value).map_err(|_| format!("needs the index {value}, beyond 32 bits"))?;
        Ok(int(value))
    }

    fn quotient(&self, p: &str, q: &str, natural: bool) -> String {
        if natural { format!("({p} / {q})") } else { format!("quotient_i32({p}, {q})") }
    }

    fn remainder(&self, p: &str, q: &str, natural: bool) -> String {
        if natural { format!("({p} % {q})") } else { format!("remainder_i32({p}, {q})") }
    }

    fn larger(&self, p: &str, q: &str) -> String {
        format!("max({p}, {q})")
    }

    fn smaller(&self, p: &str, q: &str) -> String {
        format!("min({p}, {q})")
    }

    fn declare(&self, binding: Binding, name: &str, value: &str) -> String {
        match binding {
            Binding::Index => format!("let {name}: i32 = {value};"),
            Binding::Scalar(dtype) => format!("let {name}: {} = {value};", register(dtype)),
            Binding::Variable(dtype) => format!("var {name}: {} = {value};", register(dtype)),
        }
    }

    fn count(&self, counter: &str, extent: &str) -> String {
        format!("for (var {counter} = 0i; {counter} < {extent}; {counter}++)")
    }

    fn constant(&self, value: f64, dtype: DType) -> Result<String, String> {
        Ok(match kind(dtype)? {
            Kind::Int => int(value as i32),
            Kind::Word if dtype == DType::U8 => format!("{}u", value as u8),
            Kind::Word => format!("{}u", value as u32),
            Kind::Bool => format!("{}", value != 0.0),
            Kind::Float => float(value as f32, dtype),
        })
    }

    fn apply(&self, function: Scalar, dtype: DType, operands: &[String]) -> Result<String, String> {
        let kind = kind(dtype)?;
        let text = match operands {
            [a] => unary(function, kind, dtype, a)?,
            [a, b] => binary(function, kind, a, b),
            [a, b, c] => Some(format!("select({c}, {b}, {a})")),
            _ => None,
        };
        text.ok_or_else(|| format!("applies {function:?} to {dtype}, which has no meaning in WGSL"))
    }

    fn load(&self, memory: &Memory, offset: &str) -> String {
        match memory.dtype {
            DType::Bool => format!("({}[{offset}] != 0u)", memory.name),
            _ => format!("{}[{offset}]", memory.name),
        }
    }

    fn store(&self, memory: &Memory, offset: &str, value: &str) -> String {
        match memory.dtype {
            DType::Bool => format!("{}[{offset}] = select(0u, 1u, {value});", memory.name),
            _ => format!("{}[{offset}] = {value};", memory.name),
        }
    }

    fn number(&self, index: &str, dtype: DType) -> Result<String, String> {
        self.apply(Scalar::Cast(dtype), DType::I32, &[index.to_string()])
    }

    fn position(&self, value: &str, dtype: DType) -> Result<String, String> {
        match kind(dtype)? {
            Kind::Int => Ok(value.to_string()),
            Kind::Word => Ok(format!("i32(min({value}, 2147483647u))")),
            _ => Err(format!("takes an index from a number of type {dtype}")),
        }
    }

    fn uniform(&self, seed: &str, step: &str, index: &str, salt: &str) -> String {
        format!("uniform_f32({seed}, {step}, u32({index}), u32({salt}))")
    }
}

fn unary(function: Scalar, kind: Kind, dtype: DType, a: &str) -> Result<Option<String>, String> {
    if let Scalar::Cast(to) = function {
        return cast(kind, to, a).map(Some);
    }
    Ok(match (function, kind) {
        (Scalar::Neg, Kind::Word) => Some(format!("(0u - {a})")),
        (Scalar::Neg, Kind::Float | Kind::Int) => Some(format!("(-{a})")),
        (Scalar::Abs, Kind::Float | Kind::Int | Kind::Word) => Some(format!("abs({a})")),
        (Scalar::Sign, Kind::Int) => Some(format!("sign({a})")),
        (Scalar::Sign, Kind::Word) => Some(format!("min({a}, 1u)")),
        (Scalar::Floor | Scalar::Round, Kind::Int | Kind::Word) => Some(a.to_string()),
        (Scalar::Not, Kind::Bool) => Some(format!("(!{a})")),
        (Scalar::Not, Kind::Int | Kind::Word) => Some(format!("(~{a})")),
        (Scalar::Popcount, Kind::Int | Kind::Word) => Some(format!("countOneBits({a})")),
        (Scalar::Bitcast(to), _) => bitcast(dtype, to, a),
        (_, Kind::Float) => float_function(function).map(|name| format!("{name}({a})")),
        _ => None,
    })
}

fn float_function(function: Scalar) -> Option<&'static str> {
    Some(match function {
        Scalar::Sign => "sign_f32",
        Scalar::Exp => "exp_f32",
        Scalar::Log => "log_f32",
        Scalar::Expm1 => "expm1_f32",
        Scalar::Log1p => "log1p_f32",
        Scalar::Sqrt => "sqrt",
        Scalar::Sin => "sin_f32",
        Scalar::Cos => "cos_f32",
        Scalar::Tanh => "tanh_f32",
        Scalar::Erf => "erf_f32",
        Scalar::Floor => "floor",
        Scalar::Round => "round",
        Scalar::Lgamma => "lgamma_f32",
        Scalar::Digamma => "digamma_f32",
        _ => return None,
    })
}

fn binary(function: Scalar, kind: Kind, a: &str, b: &str) -> Option<String> {
    let infix = |symbol: &str| Some(format!("({a} {symbol} {b})"));
    let call = |name: &str| Some(format!("{name}({a}, {b})"));
    let number = kind != Kind::Bool;
    let whole = matches!(kind, Kind::Int | Kind::Word);
    match function {
        Scalar::Add if number => infix("+"),
        Scalar::Sub if number => infix("-"),
        Scalar::Mul if number => infix("*"),
        Scalar::Div if kind == Kind::Float => infix("/"),
        Scalar::Div if number => call(named("div", kind)),
        Scalar::Rem if number => call(named("rem", kind)),
        Scalar::Min if kind == Kind::Bool => infix("&&"),
        Scalar::Max if kind == Kind::Bool => infix("||"),
        Scalar::Min => call(named("min", kind)),
        Scalar::Max => call(named("max", kind)),
        Scalar::Pow if kind == Kind::Float => call("pow_f32"),
        Scalar::Compare(compare) => Some(comparison(compare, kind, a, b)),
        Scalar::And if whole => infix("&"),
        Scalar::Or if whole => infix("|"),
        Scalar::Xor if whole => infix("^"),
        Scalar::And if kind == Kind::Bool => infix("&&"),
        Scalar::Or if kind == Kind::Bool => infix("||"),
        Scalar::Xor if kind == Kind::Bool => infix("!="),
        Scalar::Shl if whole => Some(format!("({a} << (u32({b}) & 31u))")),
        Scalar::Shr if whole => Some(format!("({a} >> (u32({b}) & 31u))")),
        _ => None,
    }
}

/// Names of functions that differ by kind.
fn named(function: &str, kind: Kind) -> &'static str {
    match (function, kind) {
        ("div", Kind::Int) => "div_i32",
        ("div", _) => "div_u32",
        ("rem", Kind::Float) => "rem_f32",
        ("rem", Kind::Int) => "rem_i32",
        ("rem", _) => "rem_u32",
        ("min", Kind::Float) => "min_f32",
        ("max", Kind::Float) => "max_f32",
        ("min", _) => "min",
        _ => "max",
    }
}

/// `!=` of floats is printed as the negation of `==`: SPIR-V's ordered `!=` would be false for NaN.
fn comparison(compare: Compare, kind: Kind, a: &str, b: &str) -> String {
    match (compare, kind) {
        (Compare::NotEqual, Kind::Float) => format!("(!({a} == {b}))"),
        (Compare::Equal | Compare::NotEqual, _) => format!("({a} {} {b})", compare.symbol()),
        (_, Kind::Bool) => format!("(u32({a}) {} u32({b}))", compare.symbol()),
        _ => format!("({a} {} {b})", compare.symbol()),
    }
}

fn cast(from: Kind, to: DType, a: &str) -> Result<String, String> {
    let target = kind(to)?;
    Ok(match (from, target) {
        (Kind::Float, Kind::Int) => format!("i32_of_f32({a})"),
        (Kind::Float, Kind::Word) if to == DType::U8 => format!("u8_of_f32({a})"),
        (Kind::Float, Kind::Word) => format!("u32_of_f32({a})"),
        (Kind::Float, Kind::Bool) => format!("(!({a} == 0.0f))"),
        (Kind::Int, Kind::Bool) => format!("({a} != 0i)"),
        (Kind::Word, Kind::Bool) => format!("({a} != 0u)"),
        (from, target) if from == target => a.to_string(),
        _ => format!("{}({a})", register(to)),
    })
}

fn bitcast(from: DType, to: DType, a: &str) -> Option<String> {
    if from == to {
        return Some(a.to_string());
    }
    let whole = from.size() == 4 && to.size() == 4;
    whole.then(|| format!("bitcast<{}>({a})", register(to)))
}

fn int(value: i32) -> String {
    match value {
        i32::MIN => "(-2147483647i - 1i)".to_string(),
        value if value < 0 => format!("({value}i)"),
        value => format!("{value}i"),
    }
}

fn float(value: f32, dtype: DType) -> String {
    if value.is_nan() {
        return "nan_f32()".to_string();
    }
    if value.is_infinite() {
        return if value > 0.0 { "infinity_f32()" } else { "(-infinity_f32())" }.to_string();
    }
    let text = if value.is_sign_negative() { format!("({value:?}f)") } else { format!("{value:?}f") };
    match dtype {
        DType::Bf16 if value.to_bits() & 0xffff != 0 => format!("round_bf16({text})"),
        DType::F16 if !is_half(value) => format!("round_f16({text})"),
        _ => text,
    }
}

/// Whether a half holds `value`; numbers below its normal range are not looked into.
fn is_half(value: f32) -> bool {
    value == 0.0 || (value.to_bits() & 0x1fff == 0 && (6.2e-5..65536.0).contains(&value.abs()))
}
