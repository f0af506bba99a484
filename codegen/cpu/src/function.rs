//! The frame of a kernel: arguments, addresses of buffers and tiles, and the loop over grid instances.

use crate::emitter::{Emitter, Index, Scope};
use crate::error::Emit;
use crate::visit;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    AbiParam, Function, InstBuilder, MemFlagsData, Signature, UserFuncName, Value, types,
};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use nnc_ir::kernel::Kernel;
use nnc_ir::{DType, Dim};
use nnc_kernels::align::ALIGNMENT;
use nnc_kernels::context::Context;
use std::collections::HashMap;
use std::mem::offset_of;

/// Prints `kernel` as a Cranelift function.
pub(crate) fn print(kernel: &Kernel, isa: &dyn TargetIsa, fma: bool) -> Emit<Function> {
    let mut signature = Signature::new(isa.default_call_conv());
    signature.params.extend([types::I64; 3].map(AbiParam::new));
    let mut function = Function::with_name_signature(UserFuncName::default(), signature);
    let mut memory = FunctionBuilderContext::new();
    let mut b = FunctionBuilder::new(&mut function, &mut memory);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    b.seal_block(entry);
    let [cx, start, end] = [0, 1, 2].map(|place: usize| b.block_params(entry)[place]);
    let host = load_word(&mut b, cx, offset_of!(Context, host));
    let mut emitter = Emitter {
        b,
        kernel,
        fma,
        memory: Vec::new(),
        host,
        signatures: HashMap::new(),
        scope: Scope::default(),
        group: None,
    };
    emitter.bind_sizes(cx);
    emitter.bind_memory(cx)?;
    emitter.instances(start, end)?;
    emitter.b.ins().return_(&[]);
    emitter.b.finalize(isa.frontend_config());
    Ok(function)
}

/// A word of the context, which does not change during a call.
fn load_word(b: &mut FunctionBuilder, base: Value, offset: usize) -> Value {
    let flags = MemFlagsData::trusted().with_readonly().with_can_move();
    b.ins().load(types::I64, flags, base, offset as i32)
}

impl Emitter<'_, '_> {
    fn bind_sizes(&mut self, cx: Value) {
        let sizes = load_word(&mut self.b, cx, offset_of!(Context, sizes));
        for (place, symbol) in self.kernel.sizes.iter().enumerate() {
            let value = load_word(&mut self.b, sizes, place * 8);
            self.scope.symbols.insert(symbol.clone(), Index::One(value, 0));
        }
    }

    fn bind_memory(&mut self, cx: Value) -> Emit<()> {
        let buffers = load_word(&mut self.b, cx, offset_of!(Context, buffers));
        for (place, buffer) in self.kernel.buffers.iter().enumerate() {
            let start = load_word(&mut self.b, buffers, place * size_of::<usize>());
            self.memory.push((buffer.dtype, start));
        }
        if self.kernel.tiles.is_empty() {
            return Ok(());
        }
        let mut next = load_word(&mut self.b, cx, offset_of!(Context, scratch));
        for tile in &self.kernel.tiles {
            self.memory.push((tile.dtype, next));
            let bytes = self.dim(&(&tile.size * &Dim::from(tile.dtype.size())))?;
            let padded = self.b.ins().iadd_imm_s(bytes, ALIGNMENT as i64 - 1);
            let padded = self.b.ins().band_imm_s(padded, -(ALIGNMENT as i64));
            next = self.b.ins().iadd(next, padded);
        }
        Ok(())
    }

    /// The loop over instances: the counters are found by division once and then counted on like the wheels of an
    /// odometer.
    fn instances(&mut self, start: Value, end: Value) -> Emit<()> {
        self.divide_early(&visit::dims(&self.kernel.body))?;
        let extents =
            self.kernel.grid.iter().map(|(_, extent)| self.dim(extent)).collect::<Emit<Vec<Value>>>()?;
        let (again, after) = (self.b.create_block(), self.b.create_block());
        let first = self.b.create_block();
        let any = self.b.ins().icmp(IntCC::SignedLessThan, start, end);
        self.b.ins().brif(any, first, &[], after, &[]);
        self.enter(first);
        let mut state = vec![start];
        state.extend(self.counters_at(start, &extents));
        self.jump(again, &state);
        let parameters: Vec<Value> =
            state.iter().map(|_| self.b.append_block_param(again, types::I64)).collect();
        self.b.switch_to_block(again);
        self.instance(&parameters[1..])?;
        let mut next = vec![self.b.ins().iadd_imm_s(parameters[0], 1)];
        next.extend(self.counted_on(&parameters[1..], &extents));
        let more = self.b.ins().icmp(IntCC::SignedLessThan, next[0], end);
        let arguments: Vec<_> = next.into_iter().map(Into::into).collect();
        self.b.ins().brif(more, again, &arguments, after, &[]);
        self.b.seal_block(again);
        self.enter(after);
        Ok(())
    }

    /// The counters of instance `start`, the last axis fastest.
    fn counters_at(&mut self, start: Value, extents: &[Value]) -> Vec<Value> {
        let (mut rest, mut counters) = (start, Vec::new());
        let one = self.b.ins().iconst(types::I64, 1);
        for (axis, extent) in extents.iter().enumerate().rev() {
            if axis == 0 {
                counters.push(rest);
                break;
            }
            let extent = self.b.ins().smax(*extent, one);
            counters.push(self.b.ins().urem(rest, extent));
            rest = self.b.ins().udiv(rest, extent);
        }
        counters.reverse();
        counters
    }

    /// The counters of the next instance: the last one advances, and each that is full starts again and carries.
    fn counted_on(&mut self, counters: &[Value], extents: &[Value]) -> Vec<Value> {
        let mut next = counters.to_vec();
        let mut carry = self.b.ins().iconst(types::I64, 1);
        let zero = self.b.ins().iconst(types::I64, 0);
        for axis in (0..next.len()).rev() {
            let advanced = self.b.ins().iadd(next[axis], carry);
            if axis == 0 {
                next[0] = advanced;
                break;
            }
            let full = self.b.ins().icmp(IntCC::Equal, advanced, extents[axis]);
            next[axis] = self.b.ins().select(full, zero, advanced);
            carry = self.b.ins().uextend(types::I64, full);
        }
        next
    }

    fn instance(&mut self, counters: &[Value]) -> Emit<()> {
        self.scoped(|e| {
            for ((symbol, _), value) in e.kernel.grid.iter().zip(counters) {
                e.forget(symbol);
                e.scope.symbols.insert(symbol.clone(), Index::One(*value, 1));
            }
            e.scope.depth = 1;
            let kernel = e.kernel;
            e.statements(&kernel.body)
        })
    }
}

/// Bytes of each tile for these sizes, in order.
pub(crate) fn tile_sizes(kernel: &Kernel, sizes: &[i64]) -> Option<Vec<usize>> {
    let value = |symbol: &nnc_ir::Symbol| {
        kernel.sizes.iter().position(|size| size == symbol).and_then(|place| sizes.get(place)).copied()
    };
    let bytes = |elements: i64, dtype: DType| usize::try_from(elements).ok()?.checked_mul(dtype.size());
    kernel.tiles.iter().map(|tile| bytes(tile.size.evaluate(&value)?, tile.dtype)).collect()
}
