//! What a kernel does at some sizes: operations and bytes, each element of memory counted once.

use nnc_ir::kernel::{BufferId, Expr, Gemm, Kernel, Matrix, Statement};
use nnc_ir::session::Sizes;
use nnc_ir::{Dim, Symbol};
use std::collections::BTreeMap;

/// Bytes of memory that one launch of a kernel touches: of every buffer what its widest access covers. Indices that are
/// data count as all they may be.
pub fn bytes(kernel: &Kernel, sizes: &Sizes) -> f64 {
    let mut walk = Walk { kernel, sizes, extents: BTreeMap::new(), touched: vec![0.0; kernel.buffers.len()] };
    kernel.grid.iter().for_each(|(counter, extent)| walk.bind(counter, extent));
    walk.body(&kernel.body);
    let all = kernel.buffers.iter().zip(&walk.touched);
    all.map(|(buffer, touched)| touched.min(walk.value(&buffer.size)) * buffer.dtype.size() as f64).sum()
}

struct Walk<'k> {
    kernel: &'k Kernel,
    sizes: &'k Sizes,
    /// Values of counters and of indices that are data.
    extents: BTreeMap<Symbol, f64>,
    /// Elements, by buffer.
    touched: Vec<f64>,
}

impl Walk<'_> {
    /// A dim at the sizes, counters being at their first value.
    fn value(&self, dim: &Dim) -> f64 {
        let value = |symbol: &Symbol| Some(self.sizes.get(symbol).copied().unwrap_or(0));
        dim.evaluate(&value).unwrap_or(0).max(0) as f64
    }

    fn bind(&mut self, counter: &Symbol, extent: &Dim) {
        let extent = self.value(extent);
        self.extents.insert(counter.clone(), extent);
    }

    fn body(&mut self, body: &[Statement]) {
        body.iter().for_each(|statement| self.statement(statement));
    }

    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::For { counter, extent, body, .. } => {
                self.bind(counter, extent);
                self.body(body);
            }
            Statement::Guard { body, .. } => self.body(body),
            Statement::Let(_, value) | Statement::Accumulate { value, .. } => self.expr(value),
            Statement::Index { symbol, value, bound } => {
                self.expr(value);
                self.bind(symbol, bound);
            }
            Statement::Store { buffer, offset, value } => {
                self.expr(value);
                self.touch(*buffer, offset, 1.0);
            }
            Statement::Map { buffer, offset, len, .. } => {
                let len = self.value(len);
                self.touch(*buffer, offset, len);
            }
            Statement::Gemm(gemm) => self.gemm(gemm),
            Statement::Fold { .. } => {}
        }
    }

    fn gemm(&mut self, gemm: &Gemm) {
        let Gemm { m, n, k, c, a, b, .. } = gemm;
        for (Matrix { buffer, offset, .. }, rows, columns) in [(c, m, n), (a, m, k), (b, k, n)] {
            let size = self.value(rows) * self.value(columns);
            self.touch(*buffer, offset, size);
        }
    }

    fn expr(&mut self, value: &Expr) {
        match value {
            Expr::Load(buffer, offset) => self.touch(*buffer, offset, 1.0),
            Expr::Apply(_, operands) => operands.iter().for_each(|operand| self.expr(operand)),
            Expr::Guarded { value, .. } => self.expr(value),
            Expr::Random { seed, step, .. } => {
                self.expr(seed);
                self.expr(step);
            }
            Expr::Constant(..) | Expr::Var(_) | Expr::Operand(..) | Expr::Dim(..) => {}
        }
    }

    fn touch(&mut self, buffer: BufferId, offset: &Dim, elements: f64) {
        let place = buffer.0 as usize;
        if place >= self.kernel.buffers.len() {
            return;
        }
        let counts = offset.symbols().into_iter().filter_map(|symbol| self.extents.get(&symbol));
        let covered = elements * counts.product::<f64>();
        self.touched[place] = self.touched[place].max(covered);
    }
}
