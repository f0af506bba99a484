//! Square roots of positive matrices.

use super::*;

/// The lower triangular `l` with `l l^T = a`, for a stack of positive definite matrices; `a` is read as
/// `(a + a^T) / 2`. A matrix that is not positive gives NaN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cholesky;

/// One factor, n x n.
fn factor(a: &[f64], l: &mut [f64], n: usize) {
    for row in 0..n {
        for column in 0..=row {
            let known: f64 = (0..column).map(|k| l[row * n + k] * l[column * n + k]).sum();
            let rest = (a[row * n + column] + a[column * n + row]) / 2.0 - known;
            l[row * n + column] = if row == column { rest.sqrt() } else { rest / l[column * n + column] };
        }
    }
}

/// The lower triangle with half the diagonal.
fn half_lower(b: &mut Builder, x: Value) -> Value {
    let ty = shape::dense(&b.ty(x).with_dtype(DType::I32));
    let rank = ty.rank();
    let row = b.apply(Iota { ty: ty.clone(), axis: rank - 2 }, &[]);
    let column = b.apply(Iota { ty, axis: rank - 1 }, &[]);
    let below = elementwise::mask(b, crate::kernel::Compare::Greater, row, column);
    let diagonal = elementwise::mask(b, crate::kernel::Compare::Equal, row, column);
    let half = b.scale(x, 0.5);
    let half = elementwise::keep(b, diagonal, half);
    b.apply(Select, &[below, x, half])
}

impl Operation for Cholesky {
    const NAME: &'static str = "cholesky";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        let [a] = operands.exactly()?;
        super::solve::square(a)?;
        Ok(vec![shape::dense(a)])
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        let a = &e.operands[0];
        let mut l = Array::filled(a.shape.clone(), 0.0);
        let n = a.shape.last().copied().unwrap_or(0);
        if n > 0 {
            a.data.chunks(n * n).zip(l.data.chunks_mut(n * n)).for_each(|(a, l)| factor(a, l, n));
        }
        Ok(vec![l])
    }

    /// With `p` the lower half of `l^T dl`: `l^-T p l^-1`, made symmetric (Murray, "Differentiation of the Cholesky
    /// decomposition", 2016).
    fn gradient(&self, node: &mut Applied) -> Gradient {
        let (_, l, dl, b) = node.unary();
        let turned = super::solve::transpose(b, l);
        let inner = super::solve::product(b, turned, dl);
        let inner = half_lower(b, inner);
        let left = b.apply(Solve, &[turned, inner]);
        let left = super::solve::transpose(b, left);
        let both = b.apply(Solve, &[turned, left]);
        let flipped = super::solve::transpose(b, both);
        let sum = b.add(both, flipped);
        Gradient::from([b.scale(sum, 0.5)])
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Kernel
    }

    fn examples() -> Vec<Example> {
        vec![Example::new(Cholesky, &[(&[2, 2], &[4.0, 2.0, 2.0, 5.0])], &[&[2.0, 0.0, 1.0, 2.0]])]
    }
}
