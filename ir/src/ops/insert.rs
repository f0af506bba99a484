//! Overwriting a part of a tensor.

use super::*;

/// Operands (base, update): the base with the update written from `starts` on. With `axis`, a third operand `i32[]`
/// is added to the start along that axis, and the sum is clamped so that the update fits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Insert {
    /// Where the update begins, per axis.
    pub starts: Vec<Dim>,
    /// The axis whose start is data.
    pub axis: Option<usize>,
}

impl Insert {
    fn start(&self, e: &Evaluation, axis: usize) -> Result<usize, String> {
        let stated = &self.starts[axis];
        let mut start = stated.evaluate(e.symbols).ok_or_else(|| format!("`{stated}` has no value here"))?;
        let (size, length) = (e.operands[0].shape[axis] as i64, e.operands[1].shape[axis] as i64);
        if self.axis == Some(axis) && length <= size {
            start = (start + e.operands[2].data[0] as i64).clamp(0, size - length);
        }
        if start < 0 || start + length > size {
            return Err(format!("{length} elements from {start} on leave axis {axis} of {size} elements"));
        }
        Ok(start as usize)
    }

    /// The part of `dy` that the update covered.
    fn covered(&self, node: &mut Applied, dy: Value) -> Value {
        let sizes = node.b.ty(node.operands[1]).shape.clone();
        let steps = vec![1; sizes.len()];
        let Some(axis) = self.axis else {
            return node.b.apply(Slice { starts: self.starts.clone(), sizes, steps }, &[dy]);
        };
        let size = node.b.ty(dy).shape[axis].clone();
        let (mut starts, mut part) = (self.starts.clone(), sizes.clone());
        (starts[axis], part[axis]) = (Dim::zero(), size.clone());
        let band = node.b.apply(Slice { starts, sizes: part, steps }, &[dy]);
        let positions = self.positions(node, axis, &size, &sizes[axis]);
        node.b.apply(Gather { axis, batch: 0 }, &[band, positions])
    }

    /// The indices along `axis` that the update covered.
    fn positions(&self, node: &mut Applied, axis: usize, size: &Dim, length: &Dim) -> Value {
        let b = &mut *node.b;
        let stated = b.dim(self.starts[axis].clone(), DType::I32);
        let last = b.dim(size - length, DType::I32);
        let zero = b.fill_like(0.0, stated);
        let start = b.add(stated, node.operands[2]);
        let start = b.apply(Minimum, &[start, last]);
        let start = b.apply(Maximum, &[start, zero]);
        let ty = Type::new(DType::I32, vec![length.clone()]);
        let start = b.broadcast(start, ty.shape.clone(), Vec::new());
        let count = b.apply(Iota { ty, axis: 0 }, &[]);
        b.add(start, count)
    }
}

impl Operation for Insert {
    const NAME: &'static str = "insert";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        let (base, update) = match self.axis {
            None => operands.exactly().map(|[base, update]| (base, update))?,
            Some(axis) => {
                let [base, update, start] = operands.exactly()?;
                shape::axis(axis, base.rank())?;
                shape::same(start, &Type::scalar(DType::I32))?;
                (base, update)
            }
        };
        shape::expect("the update", update, base.dtype)?;
        shape::per_axis("starts", self.starts.len(), base.rank())?;
        if update.rank() != base.rank() {
            return Err(TypeError::new(format!("takes operands of one rank, receives {base} and {update}")));
        }
        for (axis, (size, length)) in base.shape.iter().zip(&update.shape).enumerate() {
            let end = &self.starts[axis] + length;
            if self.axis != Some(axis) && (size - &end).as_constant().is_some_and(|left| left < 0) {
                return Err(TypeError::new(format!(
                    "writes up to {end} of axis {axis}, which has {size} elements"
                )));
            }
        }
        Ok(vec![shape::dense(base)])
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        let starts: Vec<usize> =
            (0..self.starts.len()).map(|axis| self.start(e, axis)).collect::<Result<_, _>>()?;
        let mut result = e.operands[0].clone();
        let update = &e.operands[1];
        let mut index = vec![0; starts.len()];
        for value in &update.data {
            let place: Vec<usize> = index.iter().zip(&starts).map(|(i, start)| i + start).collect();
            let offset = result.offset(&place);
            result.data[offset] = *value;
            crate::array::advance(&mut index, &update.shape);
        }
        Ok(vec![result])
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        let dy = node.cotangents[0];
        let zero = node.b.fill_like(0.0, node.operands[1]);
        let operands: Vec<Value> = [dy, zero].into_iter().chain(node.operands.get(2).copied()).collect();
        let base = node.b.apply(self.clone(), &operands);
        let update = self.covered(node, dy);
        let start = self.axis.map(|_| None);
        Gradient::Of([Some(base), Some(update)].into_iter().chain(start).collect())
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Kernel
    }

    fn examples() -> Vec<Example> {
        let base: (&[usize], &[f64]) = (&[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let update: (&[usize], &[f64]) = (&[2, 1], &[8.0, 9.0]);
        let fixed = Insert { starts: vec![Dim::zero(), Dim::one()], axis: None };
        let moving = Insert { starts: vec![Dim::zero(), Dim::zero()], axis: Some(1) };
        vec![
            Example::new(fixed, &[base, update], &[&[0.0, 8.0, 2.0, 3.0, 9.0, 5.0]]),
            Example::new(moving, &[base, update, (&[], &[7.0])], &[&[0.0, 1.0, 8.0, 3.0, 4.0, 9.0]])
                .with(2, DType::I32),
        ]
    }
}
