//! Sums of products.

use super::*;
use std::collections::BTreeMap;

/// Einstein summation of two operands: letters name axes, every letter that is not in `out` is summed. No letter
/// repeats within an operand, every letter of `out` occurs in one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contract {
    /// Letters of the first operand's axes.
    pub lhs: Vec<u32>,
    /// Letters of the second operand's axes.
    pub rhs: Vec<u32>,
    /// Letters of the result's axes.
    pub out: Vec<u32>,
}

impl Contract {
    /// Sizes by letter, or why they disagree.
    fn sizes(&self, lhs: &Type, rhs: &Type) -> Result<BTreeMap<u32, Dim>, TypeError> {
        let mut sizes: BTreeMap<u32, Dim> = BTreeMap::new();
        for (letters, ty) in [(&self.lhs, lhs), (&self.rhs, rhs)] {
            shape::per_axis("letters", letters.len(), ty.rank())?;
            for (letter, size) in letters.iter().zip(&ty.shape) {
                let known = sizes.entry(*letter).or_insert_with(|| size.clone());
                if known != size {
                    return Err(TypeError::new(format!(
                        "cannot contract an axis of {known} with one of {size}"
                    )));
                }
            }
        }
        Ok(sizes)
    }

    /// The cotangent of one operand, whose letters are `own`: the product of `dy` with the other operand, repeated
    /// along letters that only `own` has.
    fn adjoint(&self, b: &mut Builder, dy: Value, own: (&[u32], Value), other: (&[u32], Value)) -> Value {
        let shared: Vec<usize> = (0..own.0.len())
            .filter(|axis| self.out.contains(&own.0[*axis]) || other.0.contains(&own.0[*axis]))
            .collect();
        let out = shared.iter().map(|axis| own.0[*axis]).collect();
        let product = Contract { lhs: self.out.clone(), rhs: other.0.to_vec(), out };
        let product = b.apply(product, &[dy, other.1]);
        let shape = b.ty(own.1).shape.clone();
        b.broadcast(product, shape, shared)
    }
}

fn check_letters(letters: &[u32]) -> Result<(), TypeError> {
    let repeated = letters.iter().enumerate().any(|(place, letter)| letters[..place].contains(letter));
    if repeated { Err(TypeError::new("names one letter for two axes of a tensor")) } else { Ok(()) }
}

impl Operation for Contract {
    const NAME: &'static str = "contract";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        let [lhs, rhs] = operands.exactly()?;
        shape::Takes::Number.check(lhs.dtype)?;
        shape::expect("the second operand", rhs, lhs.dtype)?;
        [&self.lhs, &self.rhs, &self.out].into_iter().try_for_each(|letters| check_letters(letters))?;
        let sizes = self.sizes(lhs, rhs)?;
        let size = |letter: &u32| sizes.get(letter).cloned();
        let shape = self.out.iter().map(size).collect::<Option<Vec<Dim>>>();
        let shape = shape.ok_or_else(|| TypeError::new("a letter of the result occurs in no operand"))?;
        Ok(vec![lhs.with_shape(shape)])
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        let (a, b, dtype) = (&e.operands[0], &e.operands[1], e.results[0].dtype);
        let mut letters = self.out.clone();
        letters.extend(self.lhs.iter().chain(&self.rhs).filter(|letter| !self.out.contains(letter)));
        letters[self.out.len()..].sort();
        let mut seen = std::collections::BTreeSet::new();
        letters.retain(|letter| seen.insert(*letter));
        let place = |own: &[u32]| -> Vec<usize> {
            own.iter().map(|letter| letters.iter().position(|l| l == letter).unwrap_or(0)).collect()
        };
        let (in_a, in_b) = (place(&self.lhs), place(&self.rhs));
        let mut space = vec![1; letters.len()];
        in_a.iter()
            .zip(&a.shape)
            .chain(in_b.iter().zip(&b.shape))
            .for_each(|(axis, size)| space[*axis] = *size);
        let mut result = Array::filled(e.shape(0)?, 0.0);
        let mut index = vec![0; space.len()];
        for _ in 0..space.iter().product() {
            let pick = |axes: &[usize]| axes.iter().map(|axis| index[*axis]).collect::<Vec<_>>();
            let product = Scalar::Mul.evaluate(&[a.at(&pick(&in_a)), b.at(&pick(&in_b))], dtype);
            let offset = result.offset(&index[..self.out.len()]);
            result.data[offset] = Scalar::Add.evaluate(&[result.data[offset], product], dtype);
            crate::array::advance(&mut index, &space);
        }
        Ok(vec![result])
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        let ([x, y], _, dy, b) = node.binary();
        let (lhs, rhs) = ((&self.lhs[..], x), (&self.rhs[..], y));
        Gradient::from([self.adjoint(b, dy, lhs, rhs), self.adjoint(b, dy, rhs, lhs)])
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Contract
    }

    fn examples() -> Vec<Example> {
        let op = |lhs: &[u32], rhs: &[u32], out: &[u32]| Contract {
            lhs: lhs.to_vec(),
            rhs: rhs.to_vec(),
            out: out.to_vec(),
        };
        let a: (&[usize], &[f64]) = (&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
        let b: (&[usize], &[f64]) = (&[2, 2], &[5.0, 6.0, 7.0, 8.0]);
        let v: (&[usize], &[f64]) = (&[2], &[10.0, 20.0]);
        vec![
            Example::new(op(&[0, 1], &[1, 2], &[0, 2]), &[a, b], &[&[19.0, 22.0, 43.0, 50.0]]),
            Example::new(op(&[0, 1], &[2, 1], &[2, 0]), &[a, b], &[&[17.0, 39.0, 23.0, 53.0]]),
            Example::new(op(&[0, 1], &[0, 1], &[0]), &[a, b], &[&[17.0, 53.0]]),
            Example::new(op(&[0], &[1], &[1, 0]), &[v, v], &[&[100.0, 200.0, 200.0, 400.0]]),
            Example::new(op(&[0, 1], &[2], &[1]), &[a, v], &[&[120.0, 180.0]]),
        ]
    }
}
