//! The state of printing one kernel: where symbols and scalars live, and the scopes that bind them.
//!
//! A scalar of the kernel is one register in scalar code, and a group of four-lane registers in a vector loop. Scopes
//! are cloned on entry and put back on exit, so a name is never visible outside the block that binds it: every value
//! found in a scope dominates the current place.

use crate::error::Emit;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    Block, InstBuilder, SigRef, StackSlot, StackSlotData, StackSlotKind, Type, Value, types,
};
use cranelift_frontend::{FunctionBuilder, Variable};
use nnc_ir::kernel::{BufferId, Kernel, Var};
use nnc_ir::ops::Fold;
use nnc_ir::{Atom, DType, Dim, Symbol};
use nnc_kernels::host::Signature;
use std::collections::{BTreeMap, HashMap};

/// Lanes of one register.
pub(crate) const LANES: usize = 4;

/// A scalar of the kernel: its element type, and the registers that hold it.
#[derive(Clone, Debug)]
pub(crate) struct Number {
    pub dtype: DType,
    pub lanes: Lanes,
}

/// One value for all iterations of a group, or one per iteration.
#[derive(Clone, Debug)]
pub(crate) enum Lanes {
    One(Value),
    Many(Vec<Value>),
}

impl Number {
    pub fn one(dtype: DType, value: Value) -> Number {
        Number { dtype, lanes: Lanes::One(value) }
    }

    pub fn many(dtype: DType, values: Vec<Value>) -> Number {
        Number { dtype, lanes: Lanes::Many(values) }
    }

    pub fn values(&self) -> &[Value] {
        match &self.lanes {
            Lanes::One(value) => std::slice::from_ref(value),
            Lanes::Many(values) => values,
        }
    }

    pub fn is_one(&self) -> bool {
        matches!(self.lanes, Lanes::One(_))
    }
}

/// Where the value of a symbol is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Index {
    /// In a register; the number is how many loops deep it is bound.
    One(Value, usize),
    /// One per lane, as i64 in memory: an index that is data, inside a vector loop.
    Slot(StackSlot),
}

/// Where the running value of a fold is.
#[derive(Clone, Debug)]
pub(crate) enum Running {
    /// In one register.
    One(Variable),
    /// In the registers of the current vector loop.
    Many(Vec<Variable>),
    /// In memory, at this lane: inside lane-by-lane code of a vector loop.
    Lane(StackSlot, Value),
}

/// A declared fold.
#[derive(Clone, Debug)]
pub(crate) struct FoldState {
    pub fold: Fold,
    pub dtype: DType,
    pub running: Running,
}

/// What is visible at a place.
#[derive(Clone, Default)]
pub(crate) struct Scope {
    pub symbols: BTreeMap<Symbol, Index>,
    pub numbers: HashMap<Var, Number>,
    pub folds: HashMap<Var, FoldState>,
    /// Divisions already made.
    pub atoms: HashMap<Atom, Value>,
    /// Elements already loaded that no statement in this scope changes.
    pub loads: HashMap<(BufferId, Dim), Number>,
    /// Loops around this place.
    pub depth: usize,
}

/// The vector loop being printed.
#[derive(Clone)]
pub(crate) struct Group {
    pub counter: Symbol,
    /// The counter of the first lane.
    pub value: Value,
    /// Registers per scalar.
    pub width: usize,
}

/// Prints one kernel.
pub(crate) struct Emitter<'a, 'k> {
    pub b: FunctionBuilder<'a>,
    pub kernel: &'k Kernel,
    pub fma: bool,
    /// Addresses of buffers, then tiles.
    pub memory: Vec<(DType, Value)>,
    /// Address of the host table.
    pub host: Value,
    pub signatures: HashMap<Signature, SigRef>,
    pub scope: Scope,
    pub group: Option<Group>,
}

impl Emitter<'_, '_> {
    /// The register type of one scalar.
    pub fn scalar_type(dtype: DType) -> Type {
        match dtype {
            DType::F64 => types::F64,
            DType::F32 | DType::Bf16 | DType::F16 => types::F32,
            DType::I32 | DType::U32 | DType::U8 => types::I32,
            DType::Bool => types::I8,
        }
    }

    /// The register type of four scalars. Booleans are masks: all bits or none. F64 has no vectors here.
    pub fn vector_type(dtype: DType) -> Type {
        match dtype {
            DType::F64 | DType::F32 | DType::Bf16 | DType::F16 => types::F32X4,
            DType::I32 | DType::U32 | DType::U8 | DType::Bool => types::I32X4,
        }
    }

    pub fn type_of(&self, value: Value) -> Type {
        self.b.func.dfg.value_type(value)
    }

    /// Runs `body` in a scope of its own.
    pub fn scoped<T>(&mut self, body: impl FnOnce(&mut Self) -> Emit<T>) -> Emit<T> {
        let outer = self.scope.clone();
        let result = body(self);
        self.scope = outer;
        result
    }

    /// Stack memory of `bytes`, 16-byte aligned.
    pub fn slot(&mut self, bytes: usize) -> StackSlot {
        let data = StackSlotData::new(StackSlotKind::ExplicitSlot, bytes as u32, 4);
        self.b.create_sized_stack_slot(data)
    }

    /// `condition ? then : otherwise` with blocks; both sides give values of the same types, in scopes of their own.
    pub fn branch(
        &mut self,
        condition: Value,
        then: impl FnOnce(&mut Self) -> Emit<Vec<Value>>,
        otherwise: impl FnOnce(&mut Self) -> Emit<Vec<Value>>,
    ) -> Emit<Vec<Value>> {
        let (yes, no, after) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        self.b.ins().brif(condition, yes, &[], no, &[]);
        self.enter(yes);
        let values = self.scoped(then)?;
        let types: Vec<Type> = values.iter().map(|value| self.type_of(*value)).collect();
        self.jump(after, &values);
        self.enter(no);
        let values = self.scoped(otherwise)?;
        self.jump(after, &values);
        self.b.switch_to_block(after);
        self.b.seal_block(after);
        Ok(types.into_iter().map(|ty| self.b.append_block_param(after, ty)).collect())
    }

    /// Continues in `block`, whose predecessors are all known.
    pub fn enter(&mut self, block: Block) {
        self.b.switch_to_block(block);
        self.b.seal_block(block);
    }

    pub fn jump(&mut self, block: Block, values: &[Value]) {
        let arguments: Vec<_> = values.iter().map(|value| (*value).into()).collect();
        self.b.ins().jump(block, &arguments);
    }

    /// `for c in from..to step step`, tested before the first iteration. The body has a scope of its own.
    pub fn span(
        &mut self,
        step: i64,
        from: Value,
        to: Value,
        body: impl FnOnce(&mut Self, Value) -> Emit<()>,
    ) -> Emit<()> {
        let (again, after) = (self.b.create_block(), self.b.create_block());
        let counter = self.b.append_block_param(again, types::I64);
        let any = self.b.ins().icmp(IntCC::SignedLessThan, from, to);
        self.b.ins().brif(any, again, &[from.into()], after, &[]);
        self.b.switch_to_block(again);
        self.scoped(|e| body(e, counter))?;
        let next = self.b.ins().iadd_imm_s(counter, step);
        let more = self.b.ins().icmp(IntCC::SignedLessThan, next, to);
        self.b.ins().brif(more, again, &[next.into()], after, &[]);
        self.b.seal_block(again);
        self.enter(after);
        Ok(())
    }
}
