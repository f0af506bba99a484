//! The same elements in another shape.

use super::*;

/// The elements of the operand, in row-major order, in another shape of equally many.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reshape {
    /// The shape of the result.
    pub shape: Vec<Dim>,
}

impl Operation for Reshape {
    const NAME: &'static str = "reshape";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        let [x] = operands.exactly()?;
        let result = x.with_shape(self.shape.clone());
        if result.size() == x.size() {
            return Ok(vec![result]);
        }
        Err(TypeError::new(format!("makes {} elements of {}: {result} of {x}", result.size(), x.size())))
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        Ok(vec![Array { shape: e.shape(0)?, data: e.operands[0].data.clone() }])
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        let shape = node.b.ty(node.operands[0]).shape.clone();
        Gradient::from([node.b.reshape(node.cotangents[0], shape)])
    }

    /// Runs of axes that cover the same elements are mapped separately, so splits and merges stay readable.
    fn lower(&self, wanted: &Wanted) -> Lowered {
        let from = &wanted.operands[0].shape;
        let mut index = Vec::with_capacity(from.len());
        for (source, target) in runs(from, &self.shape) {
            let place = shape::linear(&wanted.at[target.clone()], &self.shape[target]);
            delinearize(&place, &from[source], wanted.ranges, &mut index);
        }
        Lowered::View { index, guards: Vec::new(), otherwise: 0.0 }
    }

    fn examples() -> Vec<Example> {
        let dims = |values: &[i64]| values.iter().map(|value| Dim::constant(*value)).collect::<Vec<_>>();
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let from = |shape, to: &[i64]| {
            Example::new(Reshape { shape: dims(to) }, &[(shape, &values[..])], &[&values])
        };
        vec![
            from(&[2, 3], &[3, 2]),
            from(&[6], &[1, 2, 3]),
            from(&[2, 1, 3], &[6]),
            from(&[3, 2], &[1, 3, 2, 1]),
        ]
    }
}

type Run = std::ops::Range<usize>;

/// Cuts both shapes into the shortest runs of equally many elements.
fn runs(from: &[Dim], to: &[Dim]) -> Vec<(Run, Run)> {
    let mut runs = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < from.len() || j < to.len() {
        let (first, second) = (i, j);
        let (mut left, mut right) = (Dim::one(), Dim::one());
        loop {
            let grow_left = i < from.len() && (j == to.len() || i == first || divides(&left, &right));
            if grow_left {
                left = &left * &from[i];
                i += 1;
            } else if j < to.len() {
                right = &right * &to[j];
                j += 1;
            }
            if left == right || (i == from.len() && j == to.len()) {
                break;
            }
        }
        runs.push((first..i, second..j));
    }
    runs
}

/// Whether `part` is a proper divisor of `whole`.
fn divides(part: &Dim, whole: &Dim) -> bool {
    part != whole && &whole.floor_div(part) * part == *whole
}

/// Appends the index of the element at row-major `place` in a tensor of these sizes.
fn delinearize(place: &Dim, shape: &[Dim], ranges: &Ranges, index: &mut Vec<Dim>) {
    let mut stride = shape.iter().fold(Dim::one(), |product, size| &product * size);
    let mut rest = place.clone();
    for (axis, size) in shape.iter().enumerate() {
        if size.is_one() {
            index.push(Dim::zero());
            continue;
        }
        if axis > 0 {
            rest = rest.modulo_in(&stride, ranges);
        }
        stride = stride.floor_div(size);
        index.push(rest.floor_div_in(&stride, ranges));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(from: &[Dim], to: &[Dim], at: &[Dim], ranges: &Ranges) -> Vec<Dim> {
        let ty = |shape: &[Dim]| Type::new(DType::F32, shape.to_vec());
        let (operands, results) = ([ty(from)], [ty(to)]);
        let wanted = Wanted { operands: &operands, results: &results, at, ranges };
        match (Reshape { shape: to.to_vec() }).lower(&wanted) {
            Lowered::View { index, .. } => index,
            _ => Vec::new(),
        }
    }

    fn counters(names: &[(&str, Dim)]) -> (Vec<Dim>, Ranges) {
        let mut ranges = Ranges::new();
        names.iter().for_each(|(name, extent)| ranges.counter(&Symbol::new(name), extent));
        (names.iter().map(|(name, _)| Dim::symbol(name)).collect(), ranges)
    }

    #[test]
    fn a_split_of_symbolic_axes_is_linear() {
        let (b, h, e) = (Dim::symbol("B"), Dim::symbol("h"), Dim::symbol("e"));
        let (at, ranges) = counters(&[("i", b.clone()), ("j", h.clone()), ("k", e.clone())]);
        let index = view(&[b.clone(), &h * &e], &[b, h, e.clone()], &at, &ranges);
        assert_eq!(index, [at[0].clone(), &(&at[1] * &e) + &at[2]]);
    }

    #[test]
    fn a_merge_undoes_a_split() {
        let (b, h, e) = (Dim::symbol("B"), Dim::constant(4), Dim::constant(8));
        let (at, ranges) = counters(&[("i", b.clone()), ("j", h.clone()), ("k", e.clone())]);
        let merged = view(&[b.clone(), &h * &e], &[b.clone(), h.clone(), e.clone()], &at, &ranges);
        let index = view(&[b.clone(), h.clone(), e.clone()], &[b, &h * &e], &merged, &ranges);
        assert_eq!(index, at);
    }

    #[test]
    fn axes_of_size_one_cost_nothing() {
        let n = Dim::symbol("n");
        let (at, ranges) = counters(&[("i", n.clone()), ("j", Dim::one())]);
        assert_eq!(view(&[Dim::one(), n.clone()], &[n, Dim::one()], &at, &ranges)[1], at[0]);
    }
}
