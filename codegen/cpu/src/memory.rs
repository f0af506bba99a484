//! Loads and stores: addresses, element formats, contiguous and strided groups.
//!
//! An element is moved in its raw format (an integer of its size, or a float) and decoded in registers, so one decoder
//! serves one element, four, contiguous and gathered ones. Accesses are marked as not trapping, never as aligned.

use crate::emitter::{Emitter, LANES};
use crate::error::Emit;
use cranelift_codegen::ir::{Endianness, InstBuilder, MemFlagsData, Type, Value, types};
use nnc_ir::kernel::BufferId;
use nnc_ir::{DType, Dim};

/// Where an element is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address {
    pub dtype: DType,
    pub base: Value,
    /// Added to the base, in bytes.
    pub offset: i32,
}

/// No trap, no alignment.
pub(crate) fn plain() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

/// The largest constant that is left to the addressing mode.
const NEAR: i64 = 1 << 28;

impl Emitter<'_, '_> {
    /// Where element `offset` is; in a vector loop, that of the first lane.
    pub fn address(&mut self, buffer: BufferId, offset: &Dim) -> Emit<Address> {
        let (dtype, start) = self.buffer(buffer)?;
        let (terms, constant) = self.terms(offset, dtype.size() as i64)?;
        let base = terms.into_iter().fold(start, |base, term| self.b.ins().iadd(base, term));
        if constant.abs() < NEAR {
            return Ok(Address { dtype, base, offset: constant as i32 });
        }
        Ok(Address { dtype, base: self.b.ins().iadd_imm_s(base, constant), offset: 0 })
    }

    pub fn buffer(&self, buffer: BufferId) -> Emit<(DType, Value)> {
        self.memory.get(buffer.0 as usize).copied().ok_or_else(|| format!("there is no buffer {}", buffer.0))
    }

    /// Loads one element.
    pub fn load_one(&mut self, at: Address) -> Value {
        let raw = self.load_raw(at);
        self.decode(at.dtype, raw)
    }

    /// Stores one element.
    pub fn store_one(&mut self, at: Address, value: Value) {
        let raw = if at.dtype == DType::Bool { value } else { self.encode(at.dtype, value) };
        self.store_raw(at, raw);
    }

    /// Loads `width` registers of adjacent elements.
    pub fn load_many(&mut self, at: Address, width: usize) -> Vec<Value> {
        let raws = match at.dtype.size() {
            1 => self.load_bytes(at, width),
            _ => (0..width).map(|register| self.load_four(at, register)).collect(),
        };
        raws.into_iter().map(|raw| self.decode(at.dtype, raw)).collect()
    }

    /// Loads `width` registers of elements `stride` bytes apart.
    pub fn load_strided(&mut self, mut at: Address, stride: Value, width: usize) -> Vec<Value> {
        let mut registers = Vec::new();
        for _ in 0..width {
            let mut register = None;
            for lane in 0..LANES {
                let raw = self.load_raw(at);
                register = Some(match register {
                    None => self.b.ins().splat(raw_vector(at.dtype), raw),
                    Some(register) => self.b.ins().insertlane(register, raw, lane as u8),
                });
                at.base = self.b.ins().iadd(at.base, stride);
            }
            registers.extend(register);
        }
        registers.into_iter().map(|raw| self.decode(at.dtype, raw)).collect()
    }

    /// Stores registers to adjacent elements.
    pub fn store_many(&mut self, at: Address, values: &[Value]) {
        let raws: Vec<Value> = values.iter().map(|value| self.encode(at.dtype, *value)).collect();
        match at.dtype.size() {
            1 => self.store_bytes(at, &raws),
            2 => self.store_halves(at, &raws),
            _ => {
                for (register, raw) in raws.into_iter().enumerate() {
                    self.b.ins().store(plain(), raw, at.base, at.offset + 16 * register as i32);
                }
            }
        }
    }

    /// Stores registers to elements `stride` bytes apart.
    pub fn store_strided(&mut self, mut at: Address, stride: Value, values: &[Value]) {
        for value in values {
            let raw = self.encode(at.dtype, *value);
            for lane in 0..LANES {
                let one = self.b.ins().extractlane(raw, lane as u8);
                self.store_raw(at, one);
                at.base = self.b.ins().iadd(at.base, stride);
            }
        }
    }

    fn load_raw(&mut self, at: Address) -> Value {
        let (flags, Address { base, offset, .. }) = (plain(), at);
        match at.dtype {
            DType::F64 => self.b.ins().load(types::F64, flags, base, offset),
            DType::F32 => self.b.ins().load(types::F32, flags, base, offset),
            DType::I32 | DType::U32 => self.b.ins().load(types::I32, flags, base, offset),
            DType::Bf16 | DType::F16 => self.b.ins().uload16(types::I32, flags, base, offset),
            DType::U8 | DType::Bool => self.b.ins().uload8(types::I32, flags, base, offset),
        }
    }

    fn store_raw(&mut self, at: Address, raw: Value) {
        let (flags, Address { base, offset, .. }) = (plain(), at);
        match at.dtype {
            DType::Bf16 | DType::F16 => self.b.ins().istore16(flags, raw, base, offset),
            DType::U8 | DType::Bool if self.type_of(raw) != types::I8 => {
                self.b.ins().istore8(flags, raw, base, offset)
            }
            _ => self.b.ins().store(flags, raw, base, offset),
        };
    }

    /// Four elements of two or four bytes each.
    fn load_four(&mut self, at: Address, register: usize) -> Value {
        let offset = at.offset + (register * LANES * at.dtype.size()) as i32;
        if at.dtype.size() == 2 {
            return self.b.ins().uload16x4(plain(), at.base, offset);
        }
        self.b.ins().load(raw_vector(at.dtype), plain(), at.base, offset)
    }

    /// Bytes, widened to 32 bits each.
    fn load_bytes(&mut self, at: Address, width: usize) -> Vec<Value> {
        if width == 1 {
            let word = self.b.ins().load(types::I32, plain(), at.base, at.offset);
            let bytes = self.b.ins().scalar_to_vector(types::I32X4, word);
            let bytes = self.recast(types::I8X16, bytes);
            let halves = self.b.ins().uwiden_low(bytes);
            return vec![self.b.ins().uwiden_low(halves)];
        }
        let bytes = self.b.ins().load(types::I8X16, plain(), at.base, at.offset);
        let halves = [self.b.ins().uwiden_low(bytes), self.b.ins().uwiden_high(bytes)];
        halves.into_iter().flat_map(|h| [self.b.ins().uwiden_low(h), self.b.ins().uwiden_high(h)]).collect()
    }

    fn store_bytes(&mut self, at: Address, raws: &[Value]) {
        let (first, last) = (&raws[..raws.len().div_ceil(2)], &raws[raws.len() / 2..]);
        let low = self.b.ins().snarrow(first[0], first[first.len() - 1]);
        let high = self.b.ins().snarrow(last[0], last[last.len() - 1]);
        let bytes = self.b.ins().unarrow(low, high);
        if raws.len() > 1 {
            self.b.ins().store(plain(), bytes, at.base, at.offset);
            return;
        }
        let words = self.recast(types::I32X4, bytes);
        let word = self.b.ins().extractlane(words, 0);
        self.b.ins().store(plain(), word, at.base, at.offset);
    }

    fn store_halves(&mut self, at: Address, raws: &[Value]) {
        for (place, pair) in raws.chunks(2).enumerate() {
            let halves = self.b.ins().unarrow(pair[0], pair[pair.len() - 1]);
            let offset = at.offset + 16 * place as i32;
            if pair.len() == 2 {
                self.b.ins().store(plain(), halves, at.base, offset);
                continue;
            }
            let words = self.recast(types::I64X2, halves);
            let word = self.b.ins().extractlane(words, 0);
            self.b.ins().store(plain(), word, at.base, offset);
        }
    }

    /// The same register seen with other lanes.
    fn recast(&mut self, ty: Type, value: Value) -> Value {
        self.b.ins().bitcast(ty, MemFlagsData::new().with_endianness(Endianness::Little), value)
    }

    /// Register form of a raw element, or of four.
    pub fn decode(&mut self, dtype: DType, raw: Value) -> Value {
        match dtype {
            DType::Bf16 => self.bf16_to_f32(raw),
            DType::F16 => self.f16_to_f32(raw),
            DType::Bool => self.truth(raw),
            DType::F64 | DType::F32 | DType::I32 | DType::U32 | DType::U8 => raw,
        }
    }

    /// Raw form of a register; the inverse of [`Emitter::decode`], rounding where the format is narrower.
    pub fn encode(&mut self, dtype: DType, value: Value) -> Value {
        match dtype {
            DType::Bf16 => self.f32_to_bf16(value),
            DType::F16 => self.f32_to_f16(value),
            DType::Bool => {
                let bits = self.mask_bits(value);
                self.keep(bits, 1)
            }
            DType::F64 | DType::F32 | DType::I32 | DType::U32 | DType::U8 => value,
        }
    }
}

fn raw_vector(dtype: DType) -> Type {
    if dtype == DType::F32 { types::F32X4 } else { types::I32X4 }
}
