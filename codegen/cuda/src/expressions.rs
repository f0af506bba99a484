//! The spelling of scalars in CUDA C++: one table for all functions. Functions whose name has an underscore come from
//! `library.cu`, the others from CUDA.

use crate::types::{Kind, kind, register};
use nnc_ir::DType;
use nnc_ir::kernel::Scalar;
use nnc_ir::kernel::cfamily::{Binding, Dialect, Memory};

/// The CUDA dialect.
pub(crate) struct Cuda;

impl Dialect for Cuda {
    fn index(&self, value: i64) -> Result<String, String> {
        let text = if i32::try_from(value).is_ok() { value.to_string() } else { format!("{value}LL") };
        Ok(if value < 0 { format!("({text})") } else { text })
    }

    fn quotient(&self, p: &str, q: &str, natural: bool) -> String {
        if natural { format!("({p} / {q})") } else { format!("quotient_index({p}, {q})") }
    }

    fn remainder(&self, p: &str, q: &str, natural: bool) -> String {
        if natural { format!("({p} % {q})") } else { format!("remainder_index({p}, {q})") }
    }

    fn larger(&self, p: &str, q: &str) -> String {
        format!("larger_index({p}, {q})")
    }

    fn smaller(&self, p: &str, q: &str) -> String {
        format!("smaller_index({p}, {q})")
    }

    fn declare(&self, binding: Binding, name: &str, value: &str) -> String {
        match binding {
            Binding::Index => format!("const long long {name} = {value};"),
            Binding::Scalar(dtype) => format!("const {} {name} = {value};", register(dtype)),
            Binding::Variable(dtype) => format!("{} {name} = {value};", register(dtype)),
        }
    }

    fn count(&self, counter: &str, extent: &str) -> String {
        format!("for (long long {counter} = 0; {counter} < {extent}; ++{counter})")
    }

    fn constant(&self, value: f64, dtype: DType) -> Result<String, String> {
        Ok(match kind(dtype) {
            Kind::Int if value as i32 == i32::MIN => "(-2147483647 - 1)".to_string(),
            Kind::Int => self.index(i64::from(value as i32))?,
            Kind::Word if dtype == DType::U8 => format!("{}u", value as u8),
            Kind::Word => format!("{}u", value as u32),
            Kind::Bool => format!("{}", value != 0.0),
            Kind::Double => real(value, format!("{value:?}"), "f64"),
            Kind::Float => {
                let single = value as f32;
                let text = real(f64::from(single), format!("{single:?}f"), "f32");
                let narrow = dtype != DType::F32 && single.to_bits() & 0xffff != 0;
                if narrow { self.narrow(dtype, &text) } else { text }
            }
        })
    }

    fn apply(&self, function: Scalar, dtype: DType, operands: &[String]) -> Result<String, String> {
        let text = match operands {
            [a] => unary(function, dtype, a),
            [a, b] => binary(function, kind(dtype), a, b),
            [a, b, c] => Some(format!("({a} ? {b} : {c})")),
            _ => None,
        };
        text.ok_or_else(|| format!("applies {function:?} to {dtype}, which has no meaning in CUDA"))
    }

    fn load(&self, memory: &Memory, offset: &str) -> String {
        let place = format!("{}[{offset}]", memory.name);
        match memory.dtype {
            DType::Bf16 => format!("f32_of_bf16({place})"),
            DType::F16 => format!("f32_of_f16({place})"),
            DType::Bool => format!("({place} != 0)"),
            DType::U8 => format!("((unsigned){place})"),
            _ => place,
        }
    }

    fn store(&self, memory: &Memory, offset: &str, value: &str) -> String {
        let place = format!("{}[{offset}]", memory.name);
        match memory.dtype {
            DType::Bf16 => format!("{place} = bf16_of_f32({value});"),
            DType::F16 => format!("{place} = f16_of_f32({value});"),
            DType::Bool => format!("{place} = {value} ? 1 : 0;"),
            DType::U8 => format!("{place} = (unsigned char)({value});"),
            _ => format!("{place} = {value};"),
        }
    }

    fn number(&self, index: &str, dtype: DType) -> Result<String, String> {
        Ok(match dtype {
            DType::Bool => format!("({index} != 0)"),
            _ => format!("(({})({index}))", register(dtype)),
        })
    }

    fn position(&self, value: &str, dtype: DType) -> Result<String, String> {
        match kind(dtype) {
            Kind::Int | Kind::Word => Ok(format!("((long long){value})")),
            _ => Err(format!("takes an index from a number of type {dtype}")),
        }
    }

    fn uniform(&self, seed: &str, step: &str, index: &str, salt: &str) -> String {
        format!("uniform_f32({seed}, {step}, (unsigned)({index}), (unsigned)({salt}))")
    }
}

fn unary(function: Scalar, dtype: DType, a: &str) -> Option<String> {
    let call = |name: &str| Some(format!("{name}({a})"));
    match (function, kind(dtype)) {
        (Scalar::Cast(to), from) => Some(cast(from, to, a)),
        (Scalar::Bitcast(to), _) => bitcast(dtype, to, a),
        (Scalar::Neg, Kind::Word) => Some(format!("(0u - {a})")),
        (Scalar::Neg, Kind::Int) => Some(format!("sub_i32(0, {a})")),
        (Scalar::Neg, Kind::Float | Kind::Double) => Some(format!("(-{a})")),
        (Scalar::Abs, Kind::Int) => call("abs_i32"),
        (Scalar::Abs | Scalar::Floor | Scalar::Round, Kind::Word) => Some(a.to_string()),
        (Scalar::Floor | Scalar::Round, Kind::Int) => Some(a.to_string()),
        (Scalar::Sign, Kind::Bool) => None,
        (Scalar::Sign, _) => call("sign_of"),
        (Scalar::Not, Kind::Bool) => Some(format!("(!{a})")),
        (Scalar::Not, Kind::Int | Kind::Word) => Some(format!("(~{a})")),
        (Scalar::Popcount, Kind::Int) => Some(format!("__popc((unsigned){a})")),
        (Scalar::Popcount, Kind::Word) => Some(format!("((unsigned)__popc({a}))")),
        (Scalar::Digamma, Kind::Float) => call("digamma_f32"),
        (Scalar::Digamma, Kind::Double) => call("digamma_f64"),
        (_, Kind::Float) => float_function(function).map(|name| format!("{name}f({a})")),
        (_, Kind::Double) => float_function(function).map(|name| format!("{name}({a})")),
        _ => None,
    }
}

/// The C name for doubles; that for floats ends in `f`.
fn float_function(function: Scalar) -> Option<&'static str> {
    Some(match function {
        Scalar::Abs => "fabs",
        Scalar::Exp => "exp",
        Scalar::Log => "log",
        Scalar::Expm1 => "expm1",
        Scalar::Log1p => "log1p",
        Scalar::Sqrt => "sqrt",
        Scalar::Sin => "sin",
        Scalar::Cos => "cos",
        Scalar::Tanh => "tanh",
        Scalar::Erf => "erf",
        Scalar::Floor => "floor",
        Scalar::Round => "rint",
        Scalar::Lgamma => "lgamma",
        _ => return None,
    })
}

fn binary(function: Scalar, kind: Kind, a: &str, b: &str) -> Option<String> {
    let infix = |symbol: &str| Some(format!("({a} {symbol} {b})"));
    let call = |name: &str| Some(format!("{name}({a}, {b})"));
    let float = kind.is_float();
    let whole = matches!(kind, Kind::Int | Kind::Word);
    match (function, kind) {
        (Scalar::Add, Kind::Int) => call("add_i32"),
        (Scalar::Sub, Kind::Int) => call("sub_i32"),
        (Scalar::Mul, Kind::Int) => call("mul_i32"),
        (Scalar::Div, Kind::Int) => call("div_i32"),
        (Scalar::Rem, Kind::Int) => call("rem_i32"),
        (Scalar::Div, Kind::Word) => call("div_u32"),
        (Scalar::Rem, Kind::Word) => call("rem_u32"),
        (Scalar::Rem, Kind::Float) => call("rem_f32"),
        (Scalar::Rem, Kind::Double) => call("rem_f64"),
        (Scalar::Pow, Kind::Float) => call("powf"),
        (Scalar::Pow, Kind::Double) => call("pow"),
        (Scalar::Add, _) if float || whole => infix("+"),
        (Scalar::Sub, _) if float || whole => infix("-"),
        (Scalar::Mul, _) if float || whole => infix("*"),
        (Scalar::Div, _) if float => infix("/"),
        (Scalar::Min, Kind::Bool) | (Scalar::And, Kind::Bool) => infix("&&"),
        (Scalar::Max, Kind::Bool) | (Scalar::Or, Kind::Bool) => infix("||"),
        (Scalar::Xor, Kind::Bool) => infix("!="),
        (Scalar::Min, _) => call(if float { "min_float" } else { "min_int" }),
        (Scalar::Max, _) => call(if float { "max_float" } else { "max_int" }),
        (Scalar::Compare(compare), _) => infix(compare.symbol()),
        (Scalar::And, _) if whole => infix("&"),
        (Scalar::Or, _) if whole => infix("|"),
        (Scalar::Xor, _) if whole => infix("^"),
        (Scalar::Shl, Kind::Int) => Some(format!("((int)((unsigned){a} << ({b} & 31)))")),
        (Scalar::Shl, Kind::Word) => Some(format!("({a} << ({b} & 31))")),
        (Scalar::Shr, _) if whole => Some(format!("({a} >> ({b} & 31))")),
        _ => None,
    }
}

fn cast(from: Kind, to: DType, a: &str) -> String {
    let target = kind(to);
    match (from.is_float(), target) {
        (true, Kind::Int) => format!("i32_of_float({a})"),
        (true, Kind::Word) if to == DType::U8 => format!("u8_of_float({a})"),
        (true, Kind::Word) => format!("u32_of_float({a})"),
        (_, Kind::Bool) if from == Kind::Bool => a.to_string(),
        (_, Kind::Bool) => format!("({a} != 0)"),
        _ if from == target => a.to_string(),
        _ => format!("(({})({a}))", register(to)),
    }
}

fn bitcast(from: DType, to: DType, a: &str) -> Option<String> {
    match (from, to) {
        _ if from == to => Some(a.to_string()),
        (DType::F32, DType::I32) => Some(format!("__float_as_int({a})")),
        (DType::F32, DType::U32) => Some(format!("__float_as_uint({a})")),
        (DType::I32, DType::F32) => Some(format!("__int_as_float({a})")),
        (DType::U32, DType::F32) => Some(format!("__uint_as_float({a})")),
        (DType::I32, DType::U32) => Some(format!("((unsigned){a})")),
        (DType::U32, DType::I32) => Some(format!("((int){a})")),
        _ => None,
    }
}

/// A literal, or a call where C has none.
fn real(value: f64, literal: String, dtype: &str) -> String {
    if value.is_nan() {
        return format!("nan_{dtype}()");
    }
    match (value.is_infinite(), value.is_sign_negative()) {
        (true, false) => format!("infinity_{dtype}()"),
        (true, true) => format!("(-infinity_{dtype}())"),
        (false, true) => format!("({literal})"),
        (false, false) => literal,
    }
}
