//! Writing slices by position.

use super::*;

/// What becomes of the base at the positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ScatterKind {
    /// Updates are added, in the order of the positions.
    Add,
    /// Updates replace; of several to one place, the last stays.
    Set,
}

impl ScatterKind {
    /// Its name in the IR text.
    pub fn name(self) -> &'static str {
        match self {
            ScatterKind::Add => "add",
            ScatterKind::Set => "set",
        }
    }
}

/// Operands (base, positions: i32, updates): the base with the updates added, or set, at the places where `gather`
/// with the same attributes would look. Positions outside are clamped. Updates to one place are folded in row-major
/// order of the positions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scatter {
    /// The axis of the base that is written along; at least `batch`.
    pub axis: usize,
    /// How many leading axes base and positions share.
    pub batch: usize,
    /// What becomes of the base.
    pub kind: ScatterKind,
}

impl Scatter {
    fn gather(&self) -> Gather {
        Gather { axis: self.axis, batch: self.batch }
    }

    /// Which updates were the last to their place: writes a number for each, and looks which are still there.
    fn stays(&self, node: &mut Applied) -> Value {
        let b = &mut *node.b;
        let base = b.ty(node.operands[0]).with_dtype(DType::I32);
        let base = b.fill(0.0, shape::dense(&base));
        let ids = shape::dense(&b.ty(node.operands[2]).with_dtype(DType::I32));
        let wide = b.ty(node.operands[1]).rank() - self.batch;
        let axes: Vec<usize> = (self.axis..self.axis + wide).collect();
        let ids = reduce::places(b, &ids, &axes);
        let written = b.apply(self.clone(), &[base, node.operands[1], ids]);
        let found = b.apply(self.gather(), &[written, node.operands[1]]);
        elementwise::mask(b, crate::kernel::Compare::Equal, found, ids)
    }
}

impl Operation for Scatter {
    const NAME: &'static str = "scatter";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        let [base, positions, updates] = operands.exactly()?;
        shape::same(&super::gather::looked_up(base, positions, self.axis, self.batch)?, updates)?;
        if self.kind == ScatterKind::Add {
            shape::Takes::Number.check(base.dtype)?;
        }
        Ok(vec![shape::dense(base)])
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        let mut result = e.operands[0].clone();
        let (positions, updates) = (&e.operands[1], &e.operands[2]);
        let dtype = e.results[0].dtype;
        let mut index = vec![0; updates.shape.len()];
        for update in &updates.data {
            let place = super::gather::source(&index, &result.shape, positions, self.axis, self.batch)?;
            let offset = result.offset(&place);
            result.data[offset] = match self.kind {
                ScatterKind::Add => Scalar::Add.evaluate(&[result.data[offset], *update], dtype),
                ScatterKind::Set => *update,
            };
            crate::array::advance(&mut index, &updates.shape);
        }
        Ok(vec![result])
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        let (positions, updates, dy) = (node.operands[1], node.operands[2], node.cotangents[0]);
        let taken = node.b.apply(self.gather(), &[dy, positions]);
        if self.kind == ScatterKind::Add {
            return Gradient::Of(vec![Some(dy), None, Some(taken)]);
        }
        let zero = node.b.fill_like(0.0, updates);
        let base = node.b.apply(self.clone(), &[dy, positions, zero]);
        let stays = self.stays(node);
        let taken = elementwise::keep(node.b, stays, taken);
        Gradient::Of(vec![Some(base), None, Some(taken)])
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Kernel
    }

    fn examples() -> Vec<Example> {
        let base: (&[usize], &[f64]) = (&[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let positions: (&[usize], &[f64]) = (&[3], &[2.0, 0.0, 9.0]);
        let updates: (&[usize], &[f64]) = (&[3, 2], &[10.0, 20.0, 30.0, 40.0, 50.0, 60.0]);
        let example = |kind, result: &[f64]| {
            Example::new(Scatter { axis: 0, batch: 0, kind }, &[base, positions, updates], &[result])
                .with(1, DType::I32)
        };
        vec![
            example(ScatterKind::Add, &[31.0, 42.0, 3.0, 4.0, 65.0, 86.0]),
            example(ScatterKind::Set, &[30.0, 40.0, 3.0, 4.0, 50.0, 60.0]),
        ]
    }
}
