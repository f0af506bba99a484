//! What elementwise operations share: reference evaluation by the scalar table, and masks for their gradients.

use super::*;
use crate::kernel::Compare as Relation;

/// Applies a scalar function at every index; all operands have the shape of the result.
pub(super) fn map(scalar: Scalar, e: &Evaluation) -> Result<Vec<Array>, String> {
    let shape = e.shape(0)?;
    let dtype = e.types.last().map_or(DType::F64, |ty| ty.dtype);
    let mut arguments = vec![0.0; e.operands.len()];
    let data = (0..shape.iter().product())
        .map(|place| {
            for (argument, operand) in arguments.iter_mut().zip(e.operands) {
                *argument = operand.data[place];
            }
            scalar.evaluate(&arguments, dtype)
        })
        .collect();
    Ok(vec![Array { shape, data }])
}

/// `a <relation> b` as a mask.
pub(super) fn mask(b: &mut Builder, kind: Relation, x: Value, y: Value) -> Value {
    b.apply(Compare { kind }, &[x, y])
}

/// `x` where the mask holds, 0 elsewhere.
pub(super) fn keep(b: &mut Builder, mask: Value, x: Value) -> Value {
    let zero = b.fill_like(0.0, x);
    b.apply(Select, &[mask, x, zero])
}

/// `x` where the mask fails, 0 elsewhere.
pub(super) fn drop(b: &mut Builder, mask: Value, x: Value) -> Value {
    let zero = b.fill_like(0.0, x);
    b.apply(Select, &[mask, zero, x])
}
