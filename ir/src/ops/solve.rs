//! Linear systems.

use super::*;

/// `x` with `a x = b`: `a` is a stack of square matrices, `b` a stack of as many right sides (`[.., n, k]`). Gauss
/// elimination with row pivots; a singular matrix gives infinities or NaN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Solve;

/// Refuses anything but a stack of square matrices of floats.
pub(super) fn square(ty: &Type) -> Result<&Dim, TypeError> {
    shape::Takes::Float.check(ty.dtype)?;
    match ty.shape.as_slice() {
        [.., rows, columns] if rows == columns => Ok(rows),
        _ => Err(TypeError::new(format!("takes square matrices, receives {ty}"))),
    }
}

/// The transpose of a stack of matrices.
pub(super) fn transpose(b: &mut Builder, x: Value) -> Value {
    let rank = b.ty(x).rank();
    let mut axes: Vec<usize> = (0..rank).collect();
    axes.swap(rank - 2, rank - 1);
    b.permute(x, axes)
}

/// The product of two stacks of matrices.
pub(super) fn product(b: &mut Builder, x: Value, y: Value) -> Value {
    let rank = b.ty(x).rank() as u32;
    let letters = |row, column| (0..rank - 2).chain([row, column]).collect::<Vec<u32>>();
    let op = Contract {
        lhs: letters(rank, rank + 1),
        rhs: letters(rank + 1, rank + 2),
        out: letters(rank, rank + 2),
    };
    b.apply(op, &[x, y])
}

/// Solves one system in place; `a` is n x n, `b` is n x k.
fn eliminate(a: &mut [f64], b: &mut [f64], n: usize, k: usize) {
    for column in 0..n {
        let largest = |p: &usize, q: &usize| a[p * n + column].abs().total_cmp(&a[q * n + column].abs());
        let pivot = (column..n).max_by(largest).unwrap_or(column);
        (0..n).for_each(|j| a.swap(column * n + j, pivot * n + j));
        (0..k).for_each(|j| b.swap(column * k + j, pivot * k + j));
        for row in (0..n).filter(|row| *row != column) {
            let factor = a[row * n + column] / a[column * n + column];
            (column..n).for_each(|j| a[row * n + j] -= factor * a[column * n + j]);
            (0..k).for_each(|j| b[row * k + j] -= factor * b[column * k + j]);
        }
    }
    for row in 0..n {
        (0..k).for_each(|j| b[row * k + j] /= a[row * n + row]);
    }
}

impl Operation for Solve {
    const NAME: &'static str = "solve";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        let [a, b] = operands.exactly()?;
        square(a)?;
        shape::expect("the right side", b, a.dtype)?;
        let rank = a.rank();
        if b.rank() != rank || b.shape[..rank - 1] != a.shape[..rank - 1] {
            return Err(TypeError::new(format!("the right side {b} does not fit the matrices {a}")));
        }
        Ok(vec![shape::dense(b)])
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        let (mut a, mut x) = (e.operands[0].clone(), e.operands[1].clone());
        let [.., n, k] = x.shape[..] else { return Err("a matrix has two axes".into()) };
        if n * k > 0 {
            let systems = a.data.chunks_mut(n * n).zip(x.data.chunks_mut(n * k));
            systems.for_each(|(a, b)| eliminate(a, b, n, k));
        }
        Ok(vec![x])
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        let ([a, _], x, dy, b) = node.binary();
        let turned = transpose(b, a);
        let right = b.apply(Solve, &[turned, dy]);
        let x = transpose(b, x);
        let outer = product(b, right, x);
        Gradient::from([b.neg(outer), right])
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Kernel
    }

    fn examples() -> Vec<Example> {
        let a: (&[usize], &[f64]) = (&[2, 2], &[0.0, 2.0, 4.0, 1.0]);
        let stack: (&[usize], &[f64]) = (&[2, 1, 1], &[2.0, 4.0]);
        vec![
            Example::new(Solve, &[a, (&[2, 1], &[2.0, 5.0])], &[&[1.0, 1.0]]),
            Example::new(Solve, &[stack, (&[2, 1, 2], &[2.0, 4.0, 4.0, 8.0])], &[&[1.0, 2.0, 1.0, 2.0]]),
        ]
    }
}
