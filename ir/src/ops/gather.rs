//! Looking up slices by position.

use super::*;

/// Operands (table, positions: i32). The first `batch` axes are shared; along `axis` of the table, the slices at
/// `positions` are taken: the result has shape `table[..axis] ++ positions[batch..] ++ table[axis + 1..]`. Positions
/// outside are clamped. The gradient adds up where a slice is taken twice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gather {
    /// The axis of the table that is looked up; at least `batch`.
    pub axis: usize,
    /// How many leading axes table and positions share.
    pub batch: usize,
}

/// The shape of what is looked up in, or written to, a table.
pub(super) fn looked_up(
    table: &Type,
    positions: &Type,
    axis: usize,
    batch: usize,
) -> Result<Type, TypeError> {
    shape::positions(positions)?;
    shape::axis(axis, table.rank())?;
    if batch > axis || batch > positions.rank() || table.shape[..batch] != positions.shape[..batch] {
        return Err(TypeError::new(format!("cannot share {batch} leading axes of {table} and {positions}")));
    }
    let parts = [&table.shape[..axis], &positions.shape[batch..], &table.shape[axis + 1..]];
    Ok(table.with_shape(parts.concat()))
}

/// Where element `index` of the looked-up tensor lies in the table.
pub(super) fn source(
    index: &[usize],
    table: &[usize],
    positions: &Array,
    axis: usize,
    batch: usize,
) -> Result<Vec<usize>, String> {
    let wide = positions.shape.len() - batch;
    let place = [&index[..batch], &index[axis..axis + wide]].concat();
    let last =
        table[axis].checked_sub(1).ok_or_else(|| format!("axis {axis} of the table has no elements"))?;
    let position = positions.at(&place).clamp(0.0, last as f64) as usize;
    Ok([&index[..axis], &[position], &index[axis + wide..]].concat())
}

impl Operation for Gather {
    const NAME: &'static str = "gather";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        let [table, positions] = operands.exactly()?;
        Ok(vec![looked_up(table, positions, self.axis, self.batch)?])
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        let (table, positions) = (&e.operands[0], &e.operands[1]);
        let mut result = Array::filled(e.shape(0)?, 0.0);
        let mut index = vec![0; result.shape.len()];
        for offset in 0..result.data.len() {
            let place = source(&index, &table.shape, positions, self.axis, self.batch)?;
            result.data[offset] = table.at(&place);
            crate::array::advance(&mut index, &result.shape);
        }
        Ok(vec![result])
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        let base = node.b.fill_like(0.0, node.operands[0]);
        let op = Scatter { axis: self.axis, batch: self.batch, kind: ScatterKind::Add };
        let dx = node.b.apply(op, &[base, node.operands[1], node.cotangents[0]]);
        Gradient::Of(vec![Some(dx), None])
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Gather { axis: self.axis, batch: self.batch }
    }

    fn examples() -> Vec<Example> {
        let table: (&[usize], &[f64]) = (&[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let rows = Gather { axis: 0, batch: 0 };
        let columns = Gather { axis: 1, batch: 1 };
        vec![
            Example::new(rows, &[table, (&[3], &[2.0, 0.0, 9.0])], &[&[5.0, 6.0, 1.0, 2.0, 5.0, 6.0]])
                .with(1, DType::I32),
            Example::new(columns, &[table, (&[3, 1], &[0.0, 1.0, -1.0])], &[&[1.0, 4.0, 5.0]])
                .with(1, DType::I32),
            Example::new(Gather { axis: 1, batch: 0 }, &[table, (&[], &[1.0])], &[&[2.0, 4.0, 6.0]])
                .with(1, DType::I32),
        ]
    }
}
