//! Statements, in scalar code and inside vector loops.

use crate::emitter::{Emitter, Group, Index, LANES, Lanes};
use crate::error::Emit;
use crate::expressions::Pattern;
use crate::visit;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use nnc_ir::kernel::{BufferId, Expr, LoopKind, Statement};
use nnc_ir::{DType, Dim, Symbol};

/// Registers per scalar in the main part of a vector loop.
const GROUP: usize = 4;

impl Emitter<'_, '_> {
    /// Statements in order; what they bind is visible to the later ones.
    pub fn statements(&mut self, body: &[Statement]) -> Emit<()> {
        body.iter().try_for_each(|statement| self.statement(statement))
    }

    fn statement(&mut self, statement: &Statement) -> Emit<()> {
        match statement {
            Statement::For { counter, extent, kind, body } => self.repeat(counter, extent, *kind, body),
            Statement::Let(var, value) => {
                let number = self.expr(value)?;
                self.scope.numbers.insert(*var, number);
                Ok(())
            }
            Statement::Fold { var, fold } => self.declare_fold(*var, *fold),
            Statement::Accumulate { var, value } => self.accumulate(*var, value),
            Statement::Index { symbol, value, bound } => self.index(symbol, value, bound),
            Statement::Store { buffer, offset, value } => self.store(*buffer, offset, value),
            Statement::Guard { dim, bound, body } => self.guard(dim, bound, body),
            Statement::Map { scalar, buffer, offset, len } => self.map(*scalar, *buffer, offset, len),
            Statement::Gemm(gemm) => self.gemm(gemm),
        }
    }

    fn repeat(&mut self, counter: &Symbol, extent: &Dim, kind: LoopKind, body: &[Statement]) -> Emit<()> {
        self.divide_early(&visit::dims(body))?;
        let dtypes: Vec<DType> = self.memory.iter().map(|(dtype, _)| *dtype).collect();
        let vector = kind == LoopKind::Vector && visit::is_vectorizable(body, &self.kernel.scalars, &dtypes);
        let count = self.dim(extent)?;
        if vector {
            return self.vector_loop(counter, count, extent.as_constant(), body);
        }
        let zero = self.b.ins().iconst(types::I64, 0);
        self.scalar_loop(counter, zero, count, body)
    }

    fn scalar_loop(&mut self, counter: &Symbol, from: Value, to: Value, body: &[Statement]) -> Emit<()> {
        self.span(1, from, to, |e, value| {
            e.bind_counter(counter, value);
            e.statements(body)
        })
    }

    /// Binds a loop counter, one loop deeper.
    pub fn bind_counter(&mut self, counter: &Symbol, value: Value) {
        self.forget(counter);
        self.scope.depth += 1;
        self.scope.symbols.insert(counter.clone(), Index::One(value, self.scope.depth));
    }

    /// Groups of sixteen iterations, then of four, then single ones; nothing at all for an empty loop.
    fn vector_loop(
        &mut self,
        counter: &Symbol,
        count: Value,
        constant: Option<i64>,
        body: &[Statement],
    ) -> Emit<()> {
        let any =
            self.b.ins().icmp_imm_s(cranelift_codegen::ir::condcodes::IntCC::SignedGreaterThan, count, 0);
        self.branch(
            any,
            |e| {
                e.load_early(counter, body)?;
                let folds = visit::accumulated(body);
                let zero = e.b.ins().iconst(types::I64, 0);
                let main = e.b.ins().band_imm_s(count, -((GROUP * LANES) as i64));
                let fours = e.b.ins().band_imm_s(count, -(LANES as i64));
                let outer = e.widen_folds(&folds, GROUP)?;
                if constant.is_none_or(|n| n >= (GROUP * LANES) as i64) {
                    e.group_loop(counter, GROUP, zero, main, body)?;
                }
                e.narrow_folds(&folds)?;
                if constant.is_none_or(|n| n % (GROUP * LANES) as i64 >= LANES as i64) {
                    e.group_loop(counter, 1, main, fours, body)?;
                }
                e.close_folds(&folds, outer)?;
                if constant.is_none_or(|n| n % LANES as i64 != 0) {
                    e.scalar_loop(counter, fours, count, body)?;
                }
                Ok(vec![])
            },
            |_| Ok(vec![]),
        )
        .map(|_| ())
    }

    /// Loads of a vector loop that are the same in all iterations. The loop runs at least once, and iterations are
    /// independent, so no store in it can change them.
    fn load_early(&mut self, counter: &Symbol, body: &[Statement]) -> Emit<()> {
        let data = visit::indexed(body);
        for (buffer, offset) in visit::certain_loads(body) {
            let varies = |symbol: &Symbol| symbol == counter || data.contains(&symbol);
            if offset.symbols().iter().any(varies) {
                continue;
            }
            let number = self.expr(&Expr::Load(buffer, offset.clone()))?;
            self.scope.loads.insert((buffer, offset.clone()), number);
        }
        Ok(())
    }

    fn group_loop(
        &mut self,
        counter: &Symbol,
        width: usize,
        from: Value,
        to: Value,
        body: &[Statement],
    ) -> Emit<()> {
        let outer = self.group.take();
        let result = self.span((width * LANES) as i64, from, to, |e, value| {
            e.bind_counter(counter, value);
            e.group = Some(Group { counter: counter.clone(), value, width });
            e.statements(body)
        });
        self.group = outer;
        result
    }

    /// Binds an index that is data, clamped to `0..bound`.
    fn index(&mut self, symbol: &Symbol, value: &Expr, bound: &Dim) -> Emit<()> {
        let number = self.expr(value)?;
        if !number.dtype.is_int() {
            return Err(format!("the index `{symbol}` is {}, not an integer", number.dtype));
        }
        let limit = self.dim(bound)?;
        self.forget(symbol);
        let index = match &number.lanes {
            Lanes::One(value) => Index::One(self.clamped(number.dtype, *value, limit), self.scope.depth),
            Lanes::Many(registers) => {
                let slot = self.slot(registers.len() * LANES * 8);
                let base = self.b.ins().stack_addr(types::I64, slot, 0);
                for (place, register) in registers.iter().enumerate() {
                    for lane in 0..LANES {
                        let one = self.lane(number.dtype, *register, lane);
                        let one = self.clamped(number.dtype, one, limit);
                        let offset = 8 * (place * LANES + lane) as i32;
                        self.b.ins().store(crate::memory::plain(), one, base, offset);
                    }
                }
                Index::Slot(slot)
            }
        };
        self.scope.symbols.insert(symbol.clone(), index);
        Ok(())
    }

    /// An integer as i64, in `0..limit`; 0 where the limit leaves nothing.
    fn clamped(&mut self, dtype: DType, value: Value, limit: Value) -> Value {
        let wide = match dtype {
            DType::I32 => self.b.ins().sextend(types::I64, value),
            _ => self.b.ins().uextend(types::I64, value),
        };
        let last = self.b.ins().iadd_imm_s(limit, -1);
        let zero = self.b.ins().iconst(types::I64, 0);
        let low = self.b.ins().smin(wide, last);
        self.b.ins().smax(low, zero)
    }

    fn store(&mut self, buffer: BufferId, offset: &Dim, value: &Expr) -> Emit<()> {
        let number = self.expr(value)?;
        let (dtype, _) = self.buffer(buffer)?;
        if number.dtype != dtype {
            return Err(format!("a store of {} into a buffer of {dtype}", number.dtype));
        }
        let width = self.width();
        match self.pattern(offset) {
            _ if self.group.is_none() => {
                let at = self.address(buffer, offset)?;
                self.store_one(at, number.values()[0]);
            }
            Pattern::Linear(slope) if slope.is_one() => {
                let (at, values) = (self.address(buffer, offset)?, self.widen(&number, width));
                self.store_many(at, &values);
            }
            Pattern::Linear(slope) => {
                let (at, values) = (self.address(buffer, offset)?, self.widen(&number, width));
                let stride = self.dim(&slope)?;
                let stride = self.scaled(stride, dtype.size() as i64);
                self.store_strided(at, stride, &values);
            }
            Pattern::Uniform | Pattern::Other => {
                self.by_lane(&[number], &[], |e, numbers| {
                    let at = e.address(buffer, offset)?;
                    e.store_one(at, numbers[0].values()[0]);
                    Ok(numbers[0].clone())
                })?;
            }
        }
        Ok(())
    }
}
