//! The gradient of a convolution is a convolution again: windows of a product that are added up where they overlap are a
//! product over windows. So nothing as large as all windows lies in memory, and nothing is added up there. Products of 16-bit
//! numbers are widened before, and stay as they are.

use super::Prepare;
use nnc_ir::graph::Node;
use nnc_ir::ops::{Contract, FoldWindow, Op, Pad, Slice, Window};
use nnc_ir::{Builder, Dim, Value};

impl Prepare<'_> {
    /// `sum[a](p[i - a] q[a])` for `fold_window(p[i] q[a])`, if that alone reads the product.
    pub(super) fn fold_window(&mut self, op: FoldWindow, node: Node, out: &mut Vec<Node>) {
        let operand = node.operands[0];
        let made = out.iter().find(|made| made.results.contains(&operand));
        let turned = match made {
            Some(Node { op: Op::Contract(product), operands, .. }) if self.uses.get(&operand) == Some(&1) => {
                Turned::new(product, operands, &op)
            }
            _ => None,
        };
        let [count, size] = [0, 1].map(|place| self.function.ty(operand).shape[op.axis + place].clone());
        // A window at every place of the border, too, must not be much more work than the windows there are.
        let pays = self.guess.of(&count) >= op.dilation as f64 * (self.guess.of(&size) - 1.0);
        let Some(turned) = turned.filter(|_| self.target.gemm && pays) else { return out.push(node) };
        let source = Source::of(turned.places, out);
        self.replace(&node, out, |b, _| turned.build(b, source, &op, &size));
        let uses = self.uses.get(&node.results[0]).copied().unwrap_or_default();
        self.uses.insert(self.resolve(node.results[0]), uses);
    }
}

/// A product whose windows are added up.
struct Turned {
    product: Contract,
    /// The factor that has the windows' places, with the axis of these.
    places: (Value, usize),
    /// The factor that has the elements of a window, with the axis of these.
    elements: (Value, usize),
    places_are_left: bool,
}

impl Turned {
    /// If one factor has the places, and the other the elements.
    fn new(product: &Contract, operands: &[Value], op: &FoldWindow) -> Option<Turned> {
        let (place, element) = (product.out[op.axis], product.out[op.axis + 1]);
        let has = |letters: &[u32], letter: u32| letters.iter().position(|known| *known == letter);
        let alone = |own: &[u32], other: &[u32], letter: u32| {
            has(own, letter).filter(|_| has(other, letter).is_none())
        };
        let (lhs, rhs) = (&product.lhs, &product.rhs);
        let (product, left, right) = (product.clone(), operands[0], operands[1]);
        if op.stride != 1 {
            return None;
        }
        match (
            alone(lhs, rhs, place),
            alone(rhs, lhs, element),
            alone(rhs, lhs, place),
            alone(lhs, rhs, element),
        ) {
            (Some(i), Some(a), ..) => {
                Some(Turned { product, places: (left, i), elements: (right, a), places_are_left: true })
            }
            (_, _, Some(i), Some(a)) => {
                Some(Turned { product, places: (right, i), elements: (left, a), places_are_left: false })
            }
            _ => None,
        }
    }

    fn build(self, b: &mut Builder, source: Source, op: &FoldWindow, size: &Dim) -> Value {
        let Turned { mut product, places: (_, i), elements: (q, a), places_are_left } = self;
        let (place, element) = (product.out[op.axis], product.out.remove(op.axis + 1));
        let reach = &Dim::constant(op.dilation) * &(size - &Dim::one());
        let padded = source.padded(b, &reach);
        let window = Window { axis: i, size: size.clone(), stride: 1, dilation: op.dilation };
        let windows = b.apply(window, &[padded]);
        let backwards = reversed(b, q, a);
        let letters = if places_are_left { &mut product.lhs } else { &mut product.rhs };
        let at = letters.iter().position(|letter| *letter == place).unwrap_or(i);
        letters.insert(at + 1, element);
        let operands = if places_are_left { [windows, backwards] } else { [backwards, windows] };
        b.apply(product, &operands)
    }
}

/// What a factor is made of: windows along other axes, and a border. A border goes below windows: both are then read
/// where the factor lies in memory.
struct Source {
    base: Value,
    axis: usize,
    border: Option<Pad>,
    /// Innermost first.
    windows: Vec<Window>,
}

impl Source {
    fn of((mut base, mut axis): (Value, usize), nodes: &[Node]) -> Source {
        let mut source = Source { base, axis, border: None, windows: Vec::new() };
        while let Some(node) = nodes.iter().find(|node| node.results.contains(&base)) {
            match &node.op {
                Op::Window(window) if axis != window.axis && axis != window.axis + 1 => {
                    axis -= usize::from(axis > window.axis);
                    source.windows.insert(0, window.clone());
                }
                Op::Pad(pad) if pad.value == 0.0 => {
                    source.border = Some(pad.clone());
                    source.base = node.operands[0];
                    source.axis = axis;
                    return source;
                }
                _ => break,
            }
            base = node.operands[0];
            (source.base, source.axis) = (base, axis);
        }
        source
    }

    /// The factor with `reach` zeros at both ends of the axis.
    fn padded(self, b: &mut Builder, reach: &Dim) -> Value {
        let zeros = vec![Dim::zero(); b.ty(self.base).rank()];
        let mut pad = self.border.unwrap_or(Pad { low: zeros.clone(), high: zeros, value: 0.0 });
        for side in [&mut pad.low, &mut pad.high] {
            side[self.axis] = &side[self.axis] + reach;
        }
        let padded = b.apply(pad, &[self.base]);
        self.windows.into_iter().fold(padded, |x, window| b.apply(window, &[x]))
    }
}

/// `x` with the order of an axis turned.
fn reversed(b: &mut Builder, x: Value, axis: usize) -> Value {
    let shape = b.ty(x).shape.clone();
    let (mut starts, mut steps) = (vec![Dim::zero(); shape.len()], vec![1; shape.len()]);
    starts[axis] = &shape[axis] - &Dim::one();
    steps[axis] = -1;
    b.apply(Slice { starts, sizes: shape, steps }, &[x])
}
