//! Folds over axes.

use super::*;
use crate::kernel::Compare as Relation;

/// The fold of all elements along `axes`, which disappear. `max` and `min` give their gradient to the first extreme
/// element.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reduce {
    /// How elements are folded.
    pub fold: Fold,
    /// The axes that disappear.
    pub axes: Vec<usize>,
}

/// Which element types a fold takes.
pub(super) fn check_fold(fold: Fold, dtype: DType) -> Result<(), TypeError> {
    let boolean = matches!(fold, Fold::Or | Fold::And);
    if boolean == (dtype == DType::Bool) {
        return Ok(());
    }
    Err(TypeError::new(format!("cannot fold {dtype} with `{}`", fold.name())))
}

/// Row-major numbers along `axes`, in a tensor of type `ty`.
pub(super) fn places(b: &mut Builder, ty: &Type, axes: &[usize]) -> Value {
    let mut place = None;
    for axis in axes {
        let index = b.apply(Iota { ty: ty.clone(), axis: *axis }, &[]);
        let outer = place.map(|outer| {
            let size = b.dim(ty.shape[*axis].clone(), ty.dtype);
            let size = b.broadcast(size, ty.shape.clone(), Vec::new());
            b.mul(outer, size)
        });
        place = Some(outer.map_or(index, |outer| b.add(outer, index)));
    }
    place.unwrap_or_else(|| b.fill(0.0, ty.clone()))
}

impl Reduce {
    /// A folded value back in the shape of the operand.
    fn spread(&self, b: &mut Builder, folded: Value, shape: &[Dim]) -> Value {
        b.broadcast(folded, shape.to_vec(), shape::others(&self.axes, shape.len()))
    }

    /// To the first element that equals the result.
    fn extreme(&self, node: &mut Applied) -> Value {
        let ([x, y, dy], b) = ([node.operands[0], node.results[0], node.cotangents[0]], &mut *node.b);
        let shape = b.ty(x).shape.clone();
        let ty = Type::new(DType::I32, shape.clone());
        let y = self.spread(b, y, &shape);
        let equal = elementwise::mask(b, Relation::Equal, x, y);
        let mut axes = self.axes.clone();
        axes.sort();
        let place = places(b, &ty, &axes);
        let never = b.fill(f64::from(i32::MAX), ty);
        let place = b.apply(Select, &[equal, place, never]);
        let first = b.apply(Reduce { fold: Fold::Min, axes: self.axes.clone() }, &[place]);
        let first = self.spread(b, first, &shape);
        let first = elementwise::mask(b, Relation::Equal, place, first);
        let first = b.apply(And, &[first, equal]);
        let dy = self.spread(b, dy, &shape);
        elementwise::keep(b, first, dy)
    }

    /// The product of all other elements: exact with one zero or several.
    fn others(&self, node: &mut Applied) -> Value {
        let (x, dy, b) = (node.operands[0], node.cotangents[0], &mut *node.b);
        let shape = b.ty(x).shape.clone();
        let (zero, one) = (b.fill_like(0.0, x), b.fill_like(1.0, x));
        let vanishes = elementwise::mask(b, Relation::Equal, x, zero);
        let safe = b.apply(Select, &[vanishes, one, x]);
        let product = b.apply(self.clone(), &[safe]);
        let product = self.spread(b, product, &shape);
        let counted = b.apply(Select, &[vanishes, one, zero]);
        let zeros = b.sum(counted, self.axes.clone());
        let zeros = self.spread(b, zeros, &shape);
        let elsewhere = b.sub(zeros, counted);
        let alone = elementwise::mask(b, Relation::Equal, elsewhere, zero);
        let rest = b.div(product, safe);
        let slope = elementwise::keep(b, alone, rest);
        let dy = self.spread(b, dy, &shape);
        b.mul(dy, slope)
    }
}

impl Operation for Reduce {
    const NAME: &'static str = "reduce";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        let [x] = operands.exactly()?;
        shape::distinct(&self.axes, x.rank())?;
        check_fold(self.fold, x.dtype)?;
        let kept = shape::others(&self.axes, x.rank());
        Ok(vec![x.with_shape(kept.into_iter().map(|axis| x.shape[axis].clone()).collect())])
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        let (x, dtype) = (&e.operands[0], e.results[0].dtype);
        let kept = shape::others(&self.axes, x.shape.len());
        let mut result = Array::filled(e.shape(0)?, self.fold.identity_of(dtype));
        let mut index = vec![0; x.shape.len()];
        for value in &x.data {
            let place: Vec<usize> = kept.iter().map(|axis| index[*axis]).collect();
            let offset = result.offset(&place);
            result.data[offset] = self.fold.step(result.data[offset], *value, dtype);
            crate::array::advance(&mut index, &x.shape);
        }
        Ok(vec![result])
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        let shape = node.b.ty(node.operands[0]).shape.clone();
        match self.fold {
            Fold::Add => Gradient::from([self.spread(node.b, node.cotangents[0], &shape)]),
            Fold::Max | Fold::Min => Gradient::from([self.extreme(node)]),
            Fold::Mul => Gradient::from([self.others(node)]),
            Fold::Or | Fold::And => Gradient::none(1),
        }
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Reduce(self.fold, self.axes.clone())
    }

    fn examples() -> Vec<Example> {
        let rows: [(&[usize], &[f64]); 1] = [(&[2, 3], &[1.0, 5.0, 2.0, 4.0, 3.0, 6.0])];
        let op = |fold, axes: &[usize]| Reduce { fold, axes: axes.to_vec() };
        let bits: [(&[usize], &[f64]); 1] = [(&[2, 2], &[0.0, 1.0, 1.0, 1.0])];
        vec![
            Example::new(op(Fold::Add, &[1]), &rows, &[&[8.0, 13.0]]),
            Example::new(op(Fold::Max, &[0]), &rows, &[&[4.0, 5.0, 6.0]]),
            Example::new(op(Fold::Max, &[1, 0]), &rows, &[&[6.0]]),
            Example::new(op(Fold::Min, &[1]), &rows, &[&[1.0, 3.0]]),
            Example::new(op(Fold::Mul, &[1]), &[(&[2, 2], &[2.0, 3.0, 0.0, 4.0])], &[&[6.0, 0.0]]),
            Example::new(op(Fold::Or, &[0]), &bits, &[&[1.0, 1.0]]).with(0, DType::Bool),
            Example::new(op(Fold::And, &[0]), &bits, &[&[0.0, 1.0]]).with(0, DType::Bool),
        ]
    }
}
