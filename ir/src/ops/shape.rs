//! Shape rules that several operations share. Results are dense: a pattern belongs to the tensor that declares it.

use super::*;

/// Which element types an operation takes.
#[derive(Clone, Copy)]
pub(super) enum Takes {
    /// Real numbers.
    Float,
    /// Real numbers and integers.
    Number,
    /// Numbers that can be negative.
    Signed,
    /// Integers and booleans.
    Bits,
    /// 32-bit integers.
    Word,
    /// Whatever there is.
    Any,
}

impl Takes {
    /// Refuses other element types.
    pub(super) fn check(self, dtype: DType) -> Result<(), TypeError> {
        let (fits, what) = match self {
            Takes::Float => (dtype.is_float(), "floats"),
            Takes::Number => (dtype != DType::Bool, "numbers"),
            Takes::Signed => (dtype.is_float() || dtype == DType::I32, "signed numbers"),
            Takes::Bits => (dtype.is_int() || dtype == DType::Bool, "integers or booleans"),
            Takes::Word => (matches!(dtype, DType::I32 | DType::U32), "i32 or u32"),
            Takes::Any => (true, "anything"),
        };
        if fits { Ok(()) } else { Err(TypeError::new(format!("takes {what}, receives {dtype}"))) }
    }
}

/// The longest step that slices and windows take.
pub(super) const LONGEST: i64 = 1 << 31;

/// The same type without a pattern.
pub(super) fn dense(ty: &Type) -> Type {
    Type::new(ty.dtype, ty.shape.clone())
}

/// One operand; the result is like it.
pub(super) fn unary(operands: Operands, takes: Takes) -> Result<Vec<Type>, TypeError> {
    let [x] = operands.exactly()?;
    takes.check(x.dtype)?;
    Ok(vec![dense(x)])
}

/// Two operands of one type; the result is like them.
pub(super) fn binary(operands: Operands, takes: Takes) -> Result<Vec<Type>, TypeError> {
    let [a, b] = operands.exactly()?;
    same(a, b)?;
    takes.check(a.dtype)?;
    Ok(vec![dense(a)])
}

/// Whether two types have the same elements and sizes.
pub(crate) fn alike(a: &Type, b: &Type) -> bool {
    a.dtype == b.dtype && a.shape == b.shape
}

/// Refuses types of different elements or sizes.
pub(super) fn same(a: &Type, b: &Type) -> Result<(), TypeError> {
    if alike(a, b) { Ok(()) } else { Err(TypeError::new(format!("takes equal types, receives {a} and {b}"))) }
}

/// Refuses an element type other than `dtype` for the operand that is called `what`.
pub(super) fn expect(what: &str, ty: &Type, dtype: DType) -> Result<(), TypeError> {
    if ty.dtype == dtype {
        return Ok(());
    }
    Err(TypeError::new(format!("{what} must be {dtype}, not {}", ty.dtype)))
}

/// Refuses an axis that does not exist.
pub(super) fn axis(axis: usize, rank: usize) -> Result<(), TypeError> {
    if axis < rank { Ok(()) } else { Err(TypeError::new(format!("has {rank} axes, so no axis {axis}"))) }
}

/// Refuses lists that are not one per axis.
pub(super) fn per_axis(what: &str, length: usize, rank: usize) -> Result<(), TypeError> {
    if length == rank {
        return Ok(());
    }
    Err(TypeError::new(format!("needs one of `{what}` per axis: {rank}, not {length}")))
}

/// Refuses axes that repeat or do not exist.
pub(super) fn distinct(axes: &[usize], rank: usize) -> Result<(), TypeError> {
    for (place, axis_) in axes.iter().enumerate() {
        axis(*axis_, rank)?;
        if axes[..place].contains(axis_) {
            return Err(TypeError::new(format!("names axis {axis_} twice")));
        }
    }
    Ok(())
}

/// Axes of a tensor of rank `rank` that are not in `axes`, ascending.
pub(super) fn others(axes: &[usize], rank: usize) -> Vec<usize> {
    (0..rank).filter(|axis| !axes.contains(axis)).collect()
}

/// The order of axes that moves `axis` to the end, and the order that moves it back.
pub(super) fn to_last(axis: usize, rank: usize) -> (Vec<usize>, Vec<usize>) {
    let mut there = others(&[axis], rank);
    there.push(axis);
    let back = inverse(&there);
    (there, back)
}

/// The inverse permutation.
pub(super) fn inverse(axes: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; axes.len()];
    for (place, axis) in axes.iter().enumerate() {
        inverse[*axis] = place;
    }
    inverse
}

/// Refuses positions that are not i32.
pub(super) fn positions(ty: &Type) -> Result<(), TypeError> {
    expect("positions", ty, DType::I32)
}

/// The row-major place of `at` in a tensor of these sizes.
pub(super) fn linear(at: &[Dim], shape: &[Dim]) -> Dim {
    at.iter().zip(shape).fold(Dim::zero(), |place, (index, size)| &(&place * size) + index)
}
