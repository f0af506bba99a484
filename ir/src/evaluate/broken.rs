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

/// Where `target`, a result of `function` that is not finite, comes from: evaluates the function, every result rounded to
/// its element type so that it overflows where a device does, and follows what is not finite back to the operation that
/// made it of finite numbers. Constants do not count: masks may be infinite.
pub fn first_broken(
    function: &Function,
    params: &[Array],
    symbols: &BTreeMap<Symbol, i64>,
    target: Value,
) -> Result<Option<Broken>, String> {
    let mut trail = Trail { function, symbols, events: Vec::new(), of: BTreeMap::new(), end: None };
    let mut watch =
        |node: &Node, now: &BTreeMap<Symbol, i64>, operands: &[Rc<Array>], results: &mut [Rc<Array>]| {
            let cause = trail.cause(node, operands);
            for (value, array) in node.results.iter().zip(results) {
                trail.see(node, *value, array, cause, now);
                if *value == target {
                    trail.end = Some(trail.of.get(value).copied());
                    return Err("seen".to_string());
                }
            }
            Ok(())
        };
    let mut run = Run::new(function, params, symbols)?;
    run.watch = Some(&mut watch);
    let end = run.results().map(|_| ());
    drop(run);
    let event = match trail.end {
        Some(event) => event,
        // What a loop hands out is seen when the loop is over.
        None => end.map(|()| trail.events.len().checked_sub(1))?,
    };
    Ok(event.and_then(|event| trail.events.into_iter().nth(event)))
}

/// What is not finite, and since when.
struct Trail<'f> {
    function: &'f Function,
    symbols: &'f BTreeMap<Symbol, i64>,
    /// In order.
    events: Vec<Broken>,
    /// The event that a value which is not finite goes back to.
    of: BTreeMap<Value, usize>,
    /// Of the target, once it is known.
    end: Option<Option<usize>>,
}

impl Trail<'_> {
    /// The event behind operands that are not finite; behind what a loop hands on it is the last one.
    fn cause(&self, node: &Node, operands: &[Rc<Array>]) -> Option<usize> {
        let mut broken = node.operands.iter().zip(operands).filter(|(_, array)| !is_finite(array)).peekable();
        broken.peek()?;
        broken.find_map(|(value, _)| self.of.get(value).copied()).or(self.events.len().checked_sub(1))
    }

    fn see(
        &mut self,
        node: &Node,
        value: Value,
        array: &mut Rc<Array>,
        cause: Option<usize>,
        now: &BTreeMap<Symbol, i64>,
    ) {
        self.of.remove(&value);
        let dtype = self.function.ty(value).dtype;
        if !dtype.is_float() || matches!(node.op, Op::Constant(_) | Op::Table(_)) {
            return;
        }
        let array = Rc::make_mut(array);
        array.data.iter_mut().for_each(|x| *x = rounded(*x, dtype));
        let Some(number) = array.data.iter().copied().find(|x| !x.is_finite()) else { return };
        let event = cause.unwrap_or_else(|| {
            let turns = now.iter().filter(|(symbol, _)| !self.symbols.contains_key(symbol));
            let turns = turns.map(|(symbol, turn)| (symbol.clone(), *turn)).collect();
            self.events.push(Broken { value, op: node.op.name(), span: node.span, number, turns });
            self.events.len() - 1
        });
        self.of.insert(value, event);
    }
}

fn is_finite(array: &Array) -> bool {
    array.data.iter().all(|x| x.is_finite())
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
    use crate::kernel::Compare as Relation;
    use crate::ops::{Compare, Exp, Log, Select};
    use crate::{Builder, Dim, Type};

    fn broken(input: [f64; 2], make: impl Fn(&mut Builder, Value) -> Value) -> Option<Broken> {
        let mut b = Builder::new();
        let x = b.param(Type::new(DType::F32, vec![Dim::constant(2)]));
        let y = make(&mut b, x);
        let function = b.finish(vec![y]);
        first_broken(&function, &[Array::new(vec![2], input.to_vec())], &BTreeMap::new(), y).expect("it runs")
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
    fn what_is_not_chosen_is_not_to_blame() {
        let chosen = |b: &mut Builder, x| {
            let logarithm = b.apply(Log, &[x]);
            let zero = b.fill_like(0.0, x);
            let positive = b.apply(Compare { kind: Relation::Greater }, &[x, zero]);
            let y = b.apply(Select, &[positive, logarithm, zero]);
            let y = b.add(y, x);
            b.apply(Exp, &[y])
        };
        assert_eq!(broken([0.0, 100.0], chosen).expect("it overflows").op, "exp");
    }

    #[test]
    fn what_comes_in_broken_is_not_the_fault_of_an_operation() {
        assert!(broken([-1.0, 1.0], |b, x| b.apply(Log, &[x])).expect("it has none").number.is_nan());
        assert_eq!(broken([2.0, 1.0], |b, x| b.apply(Log, &[x])), None);
    }
}
