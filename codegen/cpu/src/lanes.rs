//! Instructions that are the same for one scalar and for four: constants, selection, conversion between the two.
//!
//! The register type of the operands decides. A truth value is an I8 of 0 or 1 for a scalar, and an I32X4 mask for four.

use crate::emitter::{Emitter, LANES, Lanes, Number};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{ConstantData, Endianness, InstBuilder, MemFlagsData, Type, Value, types};
use nnc_ir::DType;

impl Emitter<'_, '_> {
    /// `value` in every lane of `ty` (F32 or F32X4).
    pub fn float(&mut self, ty: Type, value: f32) -> Value {
        if ty.is_vector() { self.vector_constant(ty, value.to_bits()) } else { self.b.ins().f32const(value) }
    }

    /// `value` in every lane of `ty` (I32 or I32X4).
    pub fn int(&mut self, ty: Type, value: i32) -> Value {
        if ty.is_vector() {
            return self.vector_constant(ty, value as u32);
        }
        self.b.ins().iconst(ty, i64::from(value as u32))
    }

    fn vector_constant(&mut self, ty: Type, bits: u32) -> Value {
        let bytes = bits.to_le_bytes().repeat(LANES);
        self.words(ty, ConstantData::from(bytes))
    }

    /// The vector constant 0, 1, 2, 3.
    pub fn lane_numbers(&mut self) -> Value {
        let bytes: Vec<u8> = (0..LANES as u32).flat_map(u32::to_le_bytes).collect();
        self.words(types::I32X4, ConstantData::from(bytes))
    }

    fn words(&mut self, ty: Type, data: ConstantData) -> Value {
        let constant = self.b.func.dfg.constants.insert(data);
        self.b.ins().vconst(ty, constant)
    }

    /// `a * b + c`, with one rounding where the level has it.
    pub fn multiply_add(&mut self, a: Value, b: Value, c: Value) -> Value {
        if self.fma {
            return self.b.ins().fma(a, b, c);
        }
        let product = self.b.ins().fmul(a, b);
        self.b.ins().fadd(product, c)
    }

    /// `c - a * b`.
    pub fn negated_multiply_add(&mut self, a: Value, b: Value, c: Value) -> Value {
        if self.fma {
            let a = self.b.ins().fneg(a);
            return self.b.ins().fma(a, b, c);
        }
        let product = self.b.ins().fmul(a, b);
        self.b.ins().fsub(c, product)
    }

    /// The same bits as another type of the same size.
    pub fn bits(&mut self, ty: Type, value: Value) -> Value {
        if self.type_of(value) == ty {
            return value;
        }
        self.b.ins().bitcast(ty, MemFlagsData::new().with_endianness(Endianness::Little), value)
    }

    /// The integer type with the lanes of `ty`.
    pub fn int_like(ty: Type) -> Type {
        if ty.is_vector() { types::I32X4 } else { types::I32 }
    }

    /// The f32 type with the lanes of `ty`.
    pub fn float_like(ty: Type) -> Type {
        if ty.is_vector() { types::F32X4 } else { types::F32 }
    }

    /// `a` where `mask`, else `b`.
    pub fn choose(&mut self, mask: Value, a: Value, b: Value) -> Value {
        let ty = self.type_of(a);
        if !ty.is_vector() {
            return self.b.ins().select(mask, a, b);
        }
        let (a, b) = (self.bits(types::I32X4, a), self.bits(types::I32X4, b));
        let chosen = if cfg!(target_arch = "x86_64") {
            self.b.ins().blendv(mask, a, b)
        } else {
            self.b.ins().bitselect(mask, a, b)
        };
        self.bits(ty, chosen)
    }

    pub fn compare_floats(&mut self, order: FloatCC, a: Value, b: Value) -> Value {
        self.b.ins().fcmp(order, a, b)
    }

    pub fn compare_ints(&mut self, order: IntCC, a: Value, b: Value) -> Value {
        self.b.ins().icmp(order, a, b)
    }

    /// Whether any lane of a truth value is true.
    pub fn any(&mut self, mask: Value) -> Value {
        if self.type_of(mask).is_vector() { self.b.ins().vany_true(mask) } else { mask }
    }

    /// Shift left by a constant.
    pub fn shift_left(&mut self, value: Value, count: i64) -> Value {
        let count = self.b.ins().iconst(types::I32, count);
        self.b.ins().ishl(value, count)
    }

    /// Logical shift right by a constant.
    pub fn shift_right(&mut self, value: Value, count: i64) -> Value {
        let count = self.b.ins().iconst(types::I32, count);
        self.b.ins().ushr(value, count)
    }

    /// Arithmetic shift right by a constant.
    pub fn shift_signed(&mut self, value: Value, count: i64) -> Value {
        let count = self.b.ins().iconst(types::I32, count);
        self.b.ins().sshr(value, count)
    }

    /// `value & bits`.
    pub fn keep(&mut self, value: Value, bits: u32) -> Value {
        let ty = self.type_of(value);
        let bits = self.int(ty, bits as i32);
        self.b.ins().band(value, bits)
    }

    /// A truth value as an integer mask: all bits or none.
    pub fn mask_bits(&mut self, truth: Value) -> Value {
        if self.type_of(truth).is_vector() { truth } else { self.b.ins().bmask(types::I32, truth) }
    }

    /// The truth value of `bits != 0`.
    pub fn truth(&mut self, bits: Value) -> Value {
        let ty = self.type_of(bits);
        let zero = self.int(ty, 0);
        self.b.ins().icmp(IntCC::NotEqual, bits, zero)
    }

    /// One register per four lanes: a uniform number is repeated.
    pub fn widen(&mut self, number: &Number, width: usize) -> Vec<Value> {
        match &number.lanes {
            Lanes::Many(values) => values.clone(),
            Lanes::One(value) => vec![self.splat(number.dtype, *value); width],
        }
    }

    /// One scalar in four lanes.
    pub fn splat(&mut self, dtype: DType, value: Value) -> Value {
        let value = if dtype == DType::Bool { self.b.ins().bmask(types::I32, value) } else { value };
        self.b.ins().splat(Self::vector_type(dtype), value)
    }

    /// Lane `place` of a register, as a scalar.
    pub fn lane(&mut self, dtype: DType, register: Value, place: usize) -> Value {
        let value = self.b.ins().extractlane(register, place as u8);
        if dtype == DType::Bool { self.truth(value) } else { value }
    }
}
