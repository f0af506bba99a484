//! Finds where a computation first leaves the finite numbers.

use super::Run;
use crate::array::Array;
use crate::graph::{Function, Node, Value};
use crate::kernel::half;
use crate::ops::Op;
use crate::{DType, Symbol};
use nnc_base::Span;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The first result that is not finite although all it is made of is.
#[derive(Clone, Debug, PartialEq)]
pub struct Broken {
    /// The result.
    pub value: Value,
    /// The operation.
    pub op: &'static str,
    /// Where it is in the source.
    pub span: Span,
    /// An element: NaN or an infinity.
    pub number: f64,
    /// Turns of the loops around it, by their counters.
    pub turns: Vec<(Symbol, i64)>,
}

/// Evaluates `function`, every result rounded to its element type so that it overflows where a device does, up to the
/// first operation that turns finite numbers into others. Constants do not count: masks may be infinite.
pub fn first_broken(
    function: &Function,
    params: &[Array],
    symbols: &BTreeMap<Symbol, i64>,
) -> Result<Option<Broken>, String> {
    let mut found: Option<Broken> = None;
    let mut watch =
        |node: &Node, now: &BTreeMap<Symbol, i64>, operands: &[Rc<Array>], results: &mut [Rc<Array>]| {
            for (value, array) in node.results.iter().zip(results) {
                let dtype = function.ty(*value).dtype;
                if !dtype.is_float() || matches!(node.op, Op::Constant(_) | Op::Table(_)) {
                    continue;
                }
                let array = Rc::make_mut(array);
                array.data.iter_mut().for_each(|x| *x = rounded(*x, dtype));
                let bad = array.data.iter().copied().find(|x| !x.is_finite());
                let whole = |array: &Rc<Array>| array.data.iter().all(|x| x.is_finite());
                if let Some(number) = bad.filter(|_| operands.iter().all(whole)) {
                    let turns = now.iter().filter(|(symbol, _)| !symbols.contains_key(symbol));
                    let turns = turns.map(|(symbol, turn)| (symbol.clone(), *turn)).collect();
                    found =
                        Some(Broken { value: *value, op: node.op.name(), span: node.span, number, turns });
                    return Err("found".to_string());
                }
            }
            Ok(())
        };
    let mut run = Run::new(function, params, symbols)?;
    run.watch = Some(&mut watch);
    let end = run.results().map(|_| ());
    drop(run);
    match (found, end) {
        (Some(broken), _) => Ok(Some(broken)),
        (None, end) => end.map(|()| None),
    }
}

fn rounded(x: f64, dtype: DType) -> f64 {
    match dtype {
        DType::F32 => f64::from(x as f32),
        DType::Bf16 => f64::from(f32::from_bits(u32::from(half::bf16_bits(x)) << 16)),
        DType::F16 => half::f16_value(half::f16_bits(x)),
        _ => x,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Exp, Log};
    use crate::{Builder, Dim, Type};

    fn broken(input: [f64; 2], make: impl Fn(&mut Builder, Value) -> Value) -> Option<Broken> {
        let mut b = Builder::new();
        let x = b.param(Type::new(DType::F32, vec![Dim::constant(2)]));
        let y = make(&mut b, x);
        let function = b.finish(vec![y]);
        first_broken(&function, &[Array::new(vec![2], input.to_vec())], &BTreeMap::new()).expect("it runs")
    }

    #[test]
    fn the_operation_that_overflows_is_named_and_not_those_behind_it() {
        let chain = |b: &mut Builder, x| {
            let large = b.apply(Exp, &[x]);
            b.sub(large, large)
        };
        // Finite as float64, not as f32.
        let found = broken([1.0, 100.0], chain).expect("e^100 overflows");
        assert_eq!((found.op, found.number), ("exp", f64::INFINITY));
        assert_eq!(broken([1.0, 2.0], chain), None);
    }

    #[test]
    fn what_comes_in_broken_is_not_the_fault_of_an_operation() {
        let found = broken([f64::NAN, 1.0], |b, x| b.apply(Log, &[x]));
        assert_eq!(found, None);
        assert!(broken([-1.0, 1.0], |b, x| b.apply(Log, &[x])).expect("it has none").number.is_nan());
    }
}
