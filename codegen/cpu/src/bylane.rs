//! Lane-by-lane code inside a vector loop: for what has no vector instructions. The registers it reads go to the stack,
//! a loop over the lanes runs scalar code, and results come back as registers.

use crate::emitter::{Emitter, FoldState, Index, LANES, Lanes, Number};
use crate::error::Emit;
use crate::memory::plain;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, StackSlot, Type, Value, types};
use nnc_ir::kernel::Var;
use nnc_ir::{DType, Symbol};

impl Emitter<'_, '_> {
    /// A number computed lane by lane from `inputs`; `body` may read the scalars `reads` and the loop counter.
    pub fn by_lane(
        &mut self,
        inputs: &[Number],
        reads: &[Var],
        body: impl FnOnce(&mut Self, &[Number]) -> Emit<Number>,
    ) -> Emit<Number> {
        let group = self.group.clone().ok_or("lane by lane code outside of a vector loop")?;
        let slot = self.slot(group.width * 16);
        let slots: Vec<Option<StackSlot>> = inputs.iter().map(|number| self.spill(number)).collect();
        let mut dtype = None;
        self.lane_loop(reads, &[], |e, lane| {
            let inputs: Vec<Number> =
                inputs.iter().zip(slots).map(|(number, slot)| e.reload(number, slot, lane)).collect();
            let result = body(e, &inputs)?;
            let Lanes::One(value) = result.lanes else { return Err("a lane has one value".to_owned()) };
            dtype = Some(result.dtype);
            e.store_lane(result.dtype, slot, lane, value);
            Ok(())
        })?;
        let dtype = dtype.ok_or("lane by lane code gave no value")?;
        let base = self.b.ins().stack_addr(types::I64, slot, 0);
        let ty = Self::vector_type(dtype);
        let values =
            (0..group.width).map(|place| self.b.ins().load(ty, plain(), base, 16 * place as i32)).collect();
        Ok(Number::many(dtype, values))
    }

    /// Runs `body` for each lane of the group, with the counter and the scalars `reads` bound to those of the lane, and
    /// the folds `vars` in memory.
    pub fn lane_loop(
        &mut self,
        reads: &[Var],
        vars: &[Var],
        body: impl FnOnce(&mut Self, Value) -> Emit<()>,
    ) -> Emit<()> {
        let group = self.group.take().ok_or("lane by lane code outside of a vector loop")?;
        let outer = self.scope.clone();
        let mut slots: Vec<(Var, Number, Option<StackSlot>)> = Vec::new();
        for var in reads {
            let Some(number) = self.scope.numbers.get(var).cloned() else { continue };
            let slot = self.spill(&number);
            slots.push((*var, number, slot));
        }
        let states = vars.iter().map(|var| self.fold_state(*var)).collect::<Emit<Vec<FoldState>>>()?;
        let again = self.b.create_block();
        let after = self.b.create_block();
        let lane = self.b.append_block_param(again, types::I64);
        for var in vars {
            self.spill_fold(*var, lane)?;
        }
        let spilled = vars.iter().map(|var| self.fold_state(*var)).collect::<Emit<Vec<FoldState>>>()?;
        let zero = self.b.ins().iconst(types::I64, 0);
        self.jump(again, &[zero]);
        self.b.switch_to_block(again);
        self.bind_lane(&group.counter, group.value, lane);
        for (var, number, slot) in slots {
            let number = self.reload(&number, slot, lane);
            self.scope.numbers.insert(var, number);
        }
        body(self, lane)?;
        let next = self.b.ins().iadd_imm_s(lane, 1);
        let more = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, next, (group.width * LANES) as i64);
        self.b.ins().brif(more, again, &[next.into()], after, &[]);
        self.b.seal_block(again);
        self.enter(after);
        self.scope = outer;
        self.group = Some(group);
        for (state, spilled) in states.iter().zip(&spilled) {
            self.reload_fold(state, spilled);
        }
        Ok(())
    }

    /// Binds the counter and the indices that are data to those of `lane`. Divisions made for the first lane do not hold.
    fn bind_lane(&mut self, counter: &Symbol, first: Value, lane: Value) {
        let depth = self.scope.depth + 1;
        self.scope.depth = depth;
        let value = self.b.ins().iadd(first, lane);
        self.scope.symbols.insert(counter.clone(), Index::One(value, depth));
        self.forget(counter);
        let slots: Vec<(Symbol, StackSlot)> = self
            .scope
            .symbols
            .iter()
            .filter_map(|(symbol, index)| match index {
                Index::Slot(slot) => Some((symbol.clone(), *slot)),
                Index::One(..) => None,
            })
            .collect();
        for (symbol, slot) in slots {
            let base = self.b.ins().stack_addr(types::I64, slot, 0);
            let offset = self.scaled(lane, 8);
            let place = self.b.ins().iadd(base, offset);
            let value = self.b.ins().load(types::I64, plain(), place, 0);
            self.scope.symbols.insert(symbol, Index::One(value, depth));
        }
    }

    /// Drops divisions and loads that were made with another value of `symbol`.
    pub fn forget(&mut self, symbol: &Symbol) {
        self.scope.atoms.retain(|atom, _| !crate::visit::atom_mentions(atom, symbol));
        self.scope.loads.retain(|(_, offset), _| !offset.mentions(symbol));
    }

    /// Puts a number that differs between lanes on the stack.
    fn spill(&mut self, number: &Number) -> Option<StackSlot> {
        let Lanes::Many(values) = &number.lanes else { return None };
        let slot = self.slot(values.len() * 16);
        self.store_slot(slot, values);
        Some(slot)
    }

    pub fn store_slot(&mut self, slot: StackSlot, values: &[Value]) {
        let base = self.b.ins().stack_addr(types::I64, slot, 0);
        for (place, value) in values.iter().enumerate() {
            self.b.ins().store(plain(), *value, base, 16 * place as i32);
        }
    }

    fn reload(&mut self, number: &Number, slot: Option<StackSlot>, lane: Value) -> Number {
        match slot {
            None => number.clone(),
            Some(slot) => Number::one(number.dtype, self.load_lane(number.dtype, slot, lane)),
        }
    }

    fn lane_place(&mut self, slot: StackSlot, lane: Value) -> Value {
        let base = self.b.ins().stack_addr(types::I64, slot, 0);
        let offset = self.scaled(lane, 4);
        self.b.ins().iadd(base, offset)
    }

    /// One lane of registers in memory, as a scalar.
    pub fn load_lane(&mut self, dtype: DType, slot: StackSlot, lane: Value) -> Value {
        let place = self.lane_place(slot, lane);
        let raw = self.b.ins().load(lane_type(dtype), plain(), place, 0);
        if dtype == DType::Bool { self.truth(raw) } else { raw }
    }

    /// Sets one lane of registers in memory.
    pub fn store_lane(&mut self, dtype: DType, slot: StackSlot, lane: Value, value: Value) {
        let raw = if dtype == DType::Bool { self.mask_bits(value) } else { value };
        let place = self.lane_place(slot, lane);
        self.b.ins().store(plain(), raw, place, 0);
    }
}

fn lane_type(dtype: DType) -> Type {
    if dtype.is_float() { types::F32 } else { types::I32 }
}
