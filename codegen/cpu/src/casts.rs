//! Conversions between element types, by value and by bits.

use crate::emitter::Emitter;
use crate::error::Emit;
use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{InstBuilder, Type, Value, types};
use nnc_ir::DType;

impl Emitter<'_, '_> {
    /// Conversion between element types.
    pub fn cast(&mut self, from: DType, to: DType, value: Value) -> Value {
        match (from, to) {
            _ if from == to => value,
            (_, DType::Bool) => self.is_nonzero(from, value),
            (DType::Bool, _) => {
                let bits = self.mask_bits(value);
                let bit = self.keep(bits, 1);
                self.cast(DType::U8, to, bit)
            }
            _ if from.is_float() && to.is_float() => self.cast_float(from, to, value),
            _ if from.is_float() => self.float_to_int(to, value),
            _ if to.is_float() => self.int_to_float(from, to, value),
            _ => self.wrap(to, value),
        }
    }

    fn is_nonzero(&mut self, from: DType, value: Value) -> Value {
        if !from.is_float() {
            return self.truth(value);
        }
        let zero = match from {
            DType::F64 => self.b.ins().f64const(0.0),
            _ => {
                let ty = self.type_of(value);
                self.float(ty, 0.0)
            }
        };
        self.compare_floats(FloatCC::NotEqual, value, zero)
    }

    fn cast_float(&mut self, from: DType, to: DType, value: Value) -> Value {
        let value = match (from, to) {
            (DType::F64, _) => self.b.ins().fdemote(types::F32, value),
            (_, DType::F64) => return self.b.ins().fpromote(types::F64, value),
            _ => value,
        };
        let raw = self.encode(to, value);
        self.decode(to, raw)
    }

    fn float_to_int(&mut self, to: DType, value: Value) -> Value {
        let ty = Self::int_like(self.type_of(value));
        match to {
            DType::I32 => self.b.ins().fcvt_to_sint_sat(ty, value),
            DType::U32 => self.b.ins().fcvt_to_uint_sat(ty, value),
            _ => {
                let whole = self.b.ins().fcvt_to_sint_sat(ty, value);
                let (low, high) = (self.int(ty, 0), self.int(ty, 255));
                let whole = self.b.ins().smax(whole, low);
                self.b.ins().smin(whole, high)
            }
        }
    }

    fn int_to_float(&mut self, from: DType, to: DType, value: Value) -> Value {
        let ty: Type = match to {
            DType::F64 => types::F64,
            _ => Self::float_like(self.type_of(value)),
        };
        let float = match from {
            DType::U32 => self.b.ins().fcvt_from_uint(ty, value),
            _ => self.b.ins().fcvt_from_sint(ty, value),
        };
        let raw = self.encode(to, float);
        self.decode(to, raw)
    }

    pub fn bitcast_number(&mut self, from: DType, to: DType, value: Value) -> Emit<Value> {
        if from.size() != to.size() {
            return Err(format!("a bitcast of {from} to {to} changes the size"));
        }
        let raw = self.encode(from, value);
        let ty = if to == DType::F32 { Self::float_like(self.type_of(raw)) } else { self.type_of(raw) };
        let ty = if from == DType::F32 && to != DType::F32 { Self::int_like(ty) } else { ty };
        let raw = self.bits(ty, raw);
        let raw = if to == DType::Bool { self.keep(raw, 1) } else { raw };
        Ok(self.decode(to, raw))
    }
}
