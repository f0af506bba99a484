//! Calls of host functions through the table of the context: the only calls that kernels make.

use crate::emitter::{Emitter, Number};
use crate::error::Emit;
use crate::memory::plain;
use cranelift_codegen::ir::{AbiParam, InstBuilder, MemFlagsData, SigRef, Type, Value, types};
use nnc_ir::kernel::{BufferId, Gemm, Matrix, Scalar};
use nnc_ir::{DType, Dim};
use nnc_kernels::host::{GemmArgs, HostFn, Signature};
use std::mem::offset_of;

/// The host function that computes `function` for this element type, if it is not printed inline.
pub(crate) fn host_function(function: Scalar, dtype: DType) -> Option<HostFn> {
    let wide = dtype == DType::F64;
    let pick = |f32, f64| Some(if wide { f64 } else { f32 });
    match function {
        Scalar::Pow => pick(HostFn::PowF32, HostFn::PowF64),
        Scalar::Expm1 => pick(HostFn::Expm1F32, HostFn::Expm1F64),
        Scalar::Log1p => pick(HostFn::Log1pF32, HostFn::Log1pF64),
        Scalar::Lgamma => pick(HostFn::LgammaF32, HostFn::LgammaF64),
        Scalar::Digamma => pick(HostFn::DigammaF32, HostFn::DigammaF64),
        Scalar::Rem => pick(HostFn::FmodF32, HostFn::FmodF64),
        Scalar::Exp if wide => Some(HostFn::ExpF64),
        Scalar::Log if wide => Some(HostFn::LogF64),
        Scalar::Sin if wide => Some(HostFn::SinF64),
        Scalar::Cos if wide => Some(HostFn::CosF64),
        Scalar::Tanh if wide => Some(HostFn::TanhF64),
        Scalar::Erf if wide => Some(HostFn::ErfF64),
        _ => None,
    }
}

/// The host function that computes `function` in place over a strip.
fn strip_function(function: Scalar, dtype: DType) -> Option<HostFn> {
    let strip = match function {
        Scalar::Exp => HostFn::VexpF32,
        Scalar::Log => HostFn::VlogF32,
        Scalar::Tanh => HostFn::VtanhF32,
        Scalar::Erf => HostFn::VerfF32,
        Scalar::Sin => HostFn::VsinF32,
        Scalar::Cos => HostFn::VcosF32,
        _ => return None,
    };
    (dtype == DType::F32).then_some(strip)
}

impl Emitter<'_, '_> {
    /// Calls `function` with scalars; the result, if it has one.
    pub fn call(&mut self, function: HostFn, arguments: &[Value]) -> Option<Value> {
        let signature = self.signature(function.signature());
        let flags = MemFlagsData::trusted().with_readonly().with_can_move();
        let place = function as usize * size_of::<usize>();
        let address = self.b.ins().load(types::I64, flags, self.host, place as i32);
        let call = self.b.ins().call_indirect(signature, address, arguments);
        self.b.inst_results(call).first().copied()
    }

    /// [`Emitter::call`] of a function that returns a number.
    pub fn call_for_number(&mut self, function: HostFn, arguments: &[Value]) -> Emit<Value> {
        self.call(function, arguments).ok_or_else(|| format!("`{}` returns nothing", function.name()))
    }

    fn signature(&mut self, shape: Signature) -> SigRef {
        if let Some(known) = self.signatures.get(&shape) {
            return *known;
        }
        let (parameters, result): (&[Type], Option<Type>) = match shape {
            Signature::Gemm | Signature::Threefry => (&[types::I64], None),
            Signature::Strip => (&[types::I64, types::I64], None),
            Signature::F32 => (&[types::F32], Some(types::F32)),
            Signature::F32F32 => (&[types::F32, types::F32], Some(types::F32)),
            Signature::F64 => (&[types::F64], Some(types::F64)),
            Signature::F64F64 => (&[types::F64, types::F64], Some(types::F64)),
        };
        let mut signature = cranelift_codegen::ir::Signature::new(self.b.func.signature.call_conv);
        signature.params.extend(parameters.iter().map(|ty| AbiParam::new(*ty)));
        signature.returns.extend(result.map(AbiParam::new));
        let reference = self.b.import_signature(signature);
        self.signatures.insert(shape, reference);
        reference
    }

    /// Calls the host for a strip of elements.
    pub fn map(&mut self, scalar: Scalar, buffer: BufferId, offset: &Dim, len: &Dim) -> Emit<()> {
        let (dtype, _) = self.buffer(buffer)?;
        let function = strip_function(scalar, dtype)
            .ok_or_else(|| format!("`{}` of {dtype} has no routine for strips", scalar.name()))?;
        let at = self.address(buffer, offset)?;
        let first = self.b.ins().iadd_imm_s(at.base, i64::from(at.offset));
        let len = self.dim(len)?;
        self.call(function, &[first, len]);
        Ok(())
    }

    /// Fills the arguments of a product on the stack and calls the host.
    pub fn gemm(&mut self, gemm: &Gemm) -> Emit<()> {
        let function = self.gemm_function(gemm)?;
        let slot = self.slot(size_of::<GemmArgs>());
        let base = self.b.ins().stack_addr(types::I64, slot, 0);
        let mut fields = Vec::new();
        for (offset, dim) in [
            (offset_of!(GemmArgs, m), &gemm.m),
            (offset_of!(GemmArgs, n), &gemm.n),
            (offset_of!(GemmArgs, k), &gemm.k),
        ] {
            fields.push((offset, self.dim(dim)?));
        }
        fields.push((
            offset_of!(GemmArgs, accumulate),
            self.b.ins().iconst(types::I64, i64::from(gemm.accumulate)),
        ));
        fields.push((offset_of!(GemmArgs, alpha), self.b.ins().f64const(1.0)));
        for (matrix, offsets) in [
            (&gemm.c, [offset_of!(GemmArgs, c), offset_of!(GemmArgs, c_rs), offset_of!(GemmArgs, c_cs)]),
            (&gemm.a, [offset_of!(GemmArgs, a), offset_of!(GemmArgs, a_rs), offset_of!(GemmArgs, a_cs)]),
            (&gemm.b, [offset_of!(GemmArgs, b), offset_of!(GemmArgs, b_rs), offset_of!(GemmArgs, b_cs)]),
        ] {
            fields.extend(offsets.into_iter().zip(self.matrix(matrix)?));
        }
        for (offset, value) in fields {
            self.b.ins().store(plain(), value, base, offset as i32);
        }
        self.call(function, &[base]);
        Ok(())
    }

    fn gemm_function(&self, gemm: &Gemm) -> Emit<HostFn> {
        let dtype = |matrix: &Matrix| self.buffer(matrix.buffer).map(|(dtype, _)| dtype);
        let dtypes = [dtype(&gemm.a)?, dtype(&gemm.b)?, dtype(&gemm.c)?];
        match dtypes {
            [DType::F32, DType::F32, DType::F32] => Ok(HostFn::GemmF32),
            [DType::F64, DType::F64, DType::F64] => Ok(HostFn::GemmF64),
            [a, b, c] => Err(format!(
                "a product of {a} and {b} into {c} has no micro-kernel on this target: convert the operands to f32"
            )),
        }
    }

    /// First element, row stride and column stride.
    fn matrix(&mut self, matrix: &Matrix) -> Emit<[Value; 3]> {
        let at = self.address(matrix.buffer, &matrix.offset)?;
        let first = self.b.ins().iadd_imm_s(at.base, i64::from(at.offset));
        Ok([first, self.dim(&matrix.row)?, self.dim(&matrix.column)?])
    }

    /// The remainder with the sign of the divisor, from the one with the sign of the dividend.
    pub fn float_remainder(&mut self, dtype: DType, a: Value, b: Value) -> Emit<Value> {
        use cranelift_codegen::ir::condcodes::FloatCC;
        let function = host_function(Scalar::Rem, dtype).ok_or("no remainder for this type")?;
        let rest = self.call_for_number(function, &[a, b])?;
        let zero = self.zero(dtype);
        let below = self.b.ins().fcmp(FloatCC::LessThan, rest, zero);
        let divisor_below = self.b.ins().fcmp(FloatCC::LessThan, b, zero);
        let differ = self.b.ins().bxor(below, divisor_below);
        let any = self.b.ins().fcmp(FloatCC::NotEqual, rest, zero);
        let moves = self.b.ins().band(differ, any);
        let moved = self.b.ins().fadd(rest, b);
        Ok(self.b.ins().select(moves, moved, rest))
    }

    /// Zero as a scalar register of `dtype`.
    pub fn zero(&mut self, dtype: DType) -> Value {
        self.constant(0.0, dtype).values()[0]
    }

    /// A constant, as one scalar.
    pub fn constant(&mut self, value: f64, dtype: DType) -> Number {
        let register = match dtype {
            DType::F64 => self.b.ins().f64const(value),
            DType::F32 => self.b.ins().f32const(value as f32),
            DType::Bf16 | DType::F16 => self.b.ins().f32const(rounded(value as f32, dtype)),
            DType::I32 => self.int(types::I32, value as i32),
            DType::U32 => self.int(types::I32, value as u32 as i32),
            DType::U8 => self.int(types::I32, i32::from(value as u8)),
            DType::Bool => self.b.ins().iconst(types::I8, i64::from(value != 0.0)),
        };
        Number::one(dtype, register)
    }
}

/// `value` rounded to a 16-bit format, ties to even.
fn rounded(value: f32, dtype: DType) -> f32 {
    let (kept, smallest) = if dtype == DType::Bf16 { (8, -133) } else { (11, -24) };
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let value = f64::from(value);
    let exponent = ((value.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    let place = f64::powi(2.0, (exponent - kept + 1).max(smallest));
    let rounded = (value / place).round_ties_even() * place;
    let limit = if dtype == DType::Bf16 { f64::from(f32::MAX) } else { 65504.0 };
    if rounded.abs() > limit { f32::INFINITY.copysign(rounded as f32) } else { rounded as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_round_to_their_format() {
        assert_eq!(rounded(1.0 + 1.0 / 256.0, DType::Bf16), 1.0);
        assert_eq!(rounded(1.0 + 3.0 / 256.0, DType::Bf16), 1.0 + 1.0 / 64.0);
        assert_eq!(rounded(65519.0, DType::F16), 65504.0);
        assert_eq!(rounded(65520.0, DType::F16), f32::INFINITY);
        assert_eq!(rounded(f32::powi(2.0, -25) * 1.5, DType::F16), f32::powi(2.0, -24));
        assert_eq!(rounded(-f32::MAX, DType::Bf16), f32::NEG_INFINITY);
    }
}
