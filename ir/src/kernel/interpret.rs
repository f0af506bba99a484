//! The reference interpreter of kernels: float64, one instance after the other, every access checked. Tiles start as
//! NaN, so a kernel that reads what it did not write shows it.

use super::{BufferId, Expr, Gemm, Kernel, Matrix, Statement, Var};
use crate::ops::Fold;
use crate::random::uniform;
use crate::{DType, Dim, Symbol};
use std::collections::BTreeMap;

/// Runs all instances of `kernel` on these buffers, which it changes in place.
pub fn interpret(
    kernel: &Kernel,
    sizes: &BTreeMap<Symbol, i64>,
    buffers: &mut [Vec<f64>],
) -> Result<(), String> {
    let mut run = Run::new(kernel, sizes, buffers)?;
    run.grid(&kernel.grid).map_err(|message| format!("kernel `{}`: {message}", kernel.name))
}

struct Run<'a> {
    kernel: &'a Kernel,
    symbols: BTreeMap<Symbol, i64>,
    buffers: &'a mut [Vec<f64>],
    tiles: Vec<Vec<f64>>,
    scalars: Vec<f64>,
    folds: Vec<Option<Fold>>,
}

impl<'a> Run<'a> {
    fn new(
        kernel: &'a Kernel,
        sizes: &BTreeMap<Symbol, i64>,
        buffers: &'a mut [Vec<f64>],
    ) -> Result<Run<'a>, String> {
        let symbols: BTreeMap<Symbol, i64> =
            kernel.sizes.iter().filter_map(|size| Some((size.clone(), *sizes.get(size)?))).collect();
        let count = kernel.scalars.len();
        let (scalars, folds) = (vec![f64::NAN; count], vec![None; count]);
        let run = Run { kernel, symbols, buffers, tiles: Vec::new(), scalars, folds };
        if run.buffers.len() != kernel.buffers.len() {
            return Err(format!("takes {} buffers, receives {}", kernel.buffers.len(), run.buffers.len()));
        }
        for (buffer, data) in kernel.buffers.iter().zip(run.buffers.iter()) {
            let size = run.dim(&buffer.size)?;
            if data.len() as i64 != size {
                return Err(format!("buffer `{}` has {size} elements, receives {}", buffer.name, data.len()));
            }
        }
        Ok(run)
    }

    fn dim(&self, dim: &Dim) -> Result<i64, String> {
        let value = dim.evaluate(&|symbol| self.symbols.get(symbol).copied());
        value.ok_or_else(|| format!("`{dim}` has no value here"))
    }

    fn grid(&mut self, grid: &[(Symbol, Dim)]) -> Result<(), String> {
        let Some(((counter, extent), inner)) = grid.split_first() else { return self.instance() };
        for turn in 0..self.dim(extent)? {
            self.symbols.insert(counter.clone(), turn);
            self.grid(inner)?;
        }
        Ok(())
    }

    fn instance(&mut self) -> Result<(), String> {
        let sizes = self.kernel.tiles.iter().map(|tile| self.dim(&tile.size));
        let sizes = sizes.collect::<Result<Vec<_>, _>>()?;
        self.tiles = sizes.into_iter().map(|size| vec![f64::NAN; size.max(0) as usize]).collect();
        self.statements(&self.kernel.body)
    }

    fn statements(&mut self, statements: &[Statement]) -> Result<(), String> {
        statements.iter().try_for_each(|statement| self.statement(statement))
    }

    fn statement(&mut self, statement: &Statement) -> Result<(), String> {
        match statement {
            Statement::For { counter, extent, body, .. } => {
                for turn in 0..self.dim(extent)? {
                    self.symbols.insert(counter.clone(), turn);
                    self.statements(body)?;
                }
            }
            Statement::Let(var, value) => *self.scalar(*var)? = self.expr(value)?,
            Statement::Fold { var, fold } => {
                let identity = fold.identity_of(self.dtype(*var)?);
                *self.scalar(*var)? = identity;
                self.folds[var.0 as usize] = Some(*fold);
            }
            Statement::Accumulate { var, value } => self.accumulate(*var, value)?,
            Statement::Index { symbol, value, bound } => {
                let (position, bound) = (self.expr(value)?, self.dim(bound)?);
                if bound < 1 {
                    return Err(format!("`{symbol}` indexes nothing"));
                }
                self.symbols.insert(symbol.clone(), (position as i64).clamp(0, bound - 1));
            }
            Statement::Store { buffer, offset, value } => {
                let (value, offset) = (self.expr(value)?, self.dim(offset)?);
                *self.element(*buffer, offset)? = value;
            }
            Statement::Guard { dim, bound, body } => {
                if self.holds(dim, bound)? {
                    self.statements(body)?;
                }
            }
            Statement::Map { scalar, buffer, offset, len } => {
                let dtype = self.kernel.memory(*buffer).map(|memory| memory.dtype);
                let dtype = dtype.ok_or_else(|| format!("b{} does not exist", buffer.0))?;
                let (offset, len) = (self.dim(offset)?, self.dim(len)?);
                for place in offset..offset + len {
                    let element = self.element(*buffer, place)?;
                    *element = scalar.evaluate(&[*element], dtype);
                }
            }
            Statement::Gemm(gemm) => self.gemm(gemm)?,
        }
        Ok(())
    }

    fn holds(&self, dim: &Dim, bound: &Dim) -> Result<bool, String> {
        Ok((0..self.dim(bound)?).contains(&self.dim(dim)?))
    }

    fn dtype(&self, var: Var) -> Result<DType, String> {
        self.kernel.scalars.get(var.0 as usize).copied().ok_or_else(|| format!("v{} has no type", var.0))
    }

    fn scalar(&mut self, var: Var) -> Result<&mut f64, String> {
        self.scalars.get_mut(var.0 as usize).ok_or_else(|| format!("v{} has no type", var.0))
    }

    fn accumulate(&mut self, var: Var, value: &Expr) -> Result<(), String> {
        let value = self.expr(value)?;
        let dtype = self.dtype(var)?;
        let fold = self.folds[var.0 as usize].ok_or_else(|| format!("v{} is no fold", var.0))?;
        let running = self.scalar(var)?;
        *running = fold.step(*running, value, dtype);
        Ok(())
    }

    fn element(&mut self, id: BufferId, offset: i64) -> Result<&mut f64, String> {
        let (place, count) = (id.0 as usize, self.buffers.len());
        let memory = match place.checked_sub(count) {
            None => &mut self.buffers[place],
            Some(tile) => self.tiles.get_mut(tile).ok_or_else(|| format!("b{place} does not exist"))?,
        };
        let size = memory.len();
        let element = usize::try_from(offset).ok().and_then(|offset| memory.get_mut(offset));
        element.ok_or_else(|| format!("element {offset} of b{place}, which has {size}"))
    }

    fn load(&mut self, id: BufferId, offset: &Dim) -> Result<f64, String> {
        let offset = self.dim(offset)?;
        self.element(id, offset).copied()
    }

    fn expr(&mut self, expr: &Expr) -> Result<f64, String> {
        match expr {
            Expr::Constant(value, _) => Ok(*value),
            Expr::Var(var) => self.scalar(*var).copied(),
            Expr::Operand(place, _) => Err(format!("operand {place} was left in a kernel")),
            Expr::Load(buffer, offset) => self.load(*buffer, offset),
            Expr::Dim(dim, dtype) => Ok(super::scalar::wrap(self.dim(dim)?, *dtype)),
            Expr::Apply(scalar, operands) => {
                let dtype = operands.last().and_then(|operand| self.kernel.dtype_of(operand));
                let dtype = dtype.ok_or_else(|| format!("`{}` has no type", scalar.name()))?;
                let values = operands.iter().map(|operand| self.expr(operand));
                Ok(scalar.evaluate(&values.collect::<Result<Vec<_>, _>>()?, dtype))
            }
            Expr::Guarded { guards, value, otherwise } => {
                for (dim, bound) in guards {
                    if !self.holds(dim, bound)? {
                        return Ok(*otherwise);
                    }
                }
                self.expr(value)
            }
            Expr::Random { seed, step, index, salt } => {
                let key = [self.expr(seed)? as u32, self.expr(step)? as u32];
                Ok(uniform(key, [self.dim(index)? as u32, self.dim(salt)? as u32]))
            }
        }
    }

    fn gemm(&mut self, gemm: &Gemm) -> Result<(), String> {
        let [m, n, k] = [self.dim(&gemm.m)?, self.dim(&gemm.n)?, self.dim(&gemm.k)?];
        let (a, b, c) = (self.strides(&gemm.a)?, self.strides(&gemm.b)?, self.strides(&gemm.c)?);
        let at = |matrix: [i64; 3], i: i64, j: i64| matrix[0] + i * matrix[1] + j * matrix[2];
        for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
            let mut sum = 0.0;
            for p in 0..k {
                sum +=
                    *self.element(gemm.a.buffer, at(a, i, p))? * *self.element(gemm.b.buffer, at(b, p, j))?;
            }
            let place = self.element(gemm.c.buffer, at(c, i, j))?;
            *place = if gemm.accumulate { *place + sum } else { sum };
        }
        Ok(())
    }

    fn strides(&self, matrix: &Matrix) -> Result<[i64; 3], String> {
        Ok([self.dim(&matrix.offset)?, self.dim(&matrix.row)?, self.dim(&matrix.column)?])
    }
}
