//! The operations. One file holds all there is to know of one: documentation, shape rule, float64 reference,
//! gradient, lowering, examples. `operations!` below is the one list; text, reference manual and tests come from it.

use crate::array::Array;
use crate::builder::Builder;
use crate::graph::{Block, Function, Value};
use crate::kernel::{Expr, Scalar};
use crate::text::{Field, ParseError, Reader};
use crate::{DType, Dim, Ranges, Symbol, Type};
use serde::{Deserialize, Serialize};

/// Why an operation refuses its operands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeError {
    /// One sentence, without the operation's name.
    pub message: String,
}

impl TypeError {
    /// An error that says `message`.
    pub fn new(message: impl Into<String>) -> TypeError {
        TypeError { message: message.into() }
    }
}

/// What a shape rule sees.
#[derive(Clone, Copy)]
pub struct Operands<'a> {
    /// Types of the operands.
    pub types: &'a [Type],
    /// Bodies, for operations that have some.
    pub blocks: &'a [Block],
    /// The function the bodies belong to.
    pub function: &'a Function,
}

impl<'a> Operands<'a> {
    /// Exactly `N` operands.
    pub fn exactly<const N: usize>(&self) -> Result<[&'a Type; N], TypeError> {
        let types: Vec<&Type> = self.types.iter().collect();
        let found = types.len();
        types.try_into().map_err(|_| TypeError::new(format!("takes {N} operands, receives {found}")))
    }
}

/// What the reference evaluation sees.
pub struct Evaluation<'a> {
    /// Operand values.
    pub operands: &'a [Array],
    /// Operand types.
    pub types: &'a [Type],
    /// Result types.
    pub results: &'a [Type],
    /// Values of the symbols in scope.
    pub symbols: &'a dyn Fn(&Symbol) -> Option<i64>,
}

impl Evaluation<'_> {
    /// The value of a dim.
    pub fn dim(&self, dim: &Dim) -> Result<usize, String> {
        let value = dim.evaluate(self.symbols).ok_or_else(|| format!("`{dim}` has no value here"))?;
        usize::try_from(value).map_err(|_| format!("`{dim}` is negative: {value}"))
    }

    /// The concrete shape of result `place`.
    pub fn shape(&self, place: usize) -> Result<Vec<usize>, String> {
        self.results[place].shape.iter().map(|dim| self.dim(dim)).collect()
    }
}

/// What a gradient rule sees, and where it adds nodes.
pub struct Applied<'a> {
    /// Operands of the node.
    pub operands: &'a [Value],
    /// Its results.
    pub results: &'a [Value],
    /// Cotangents of the results, same types as the results. A result that nothing depends on has a zero one.
    pub cotangents: &'a [Value],
    /// Adds the nodes of the gradient.
    pub b: &'a mut Builder,
}

/// Cotangents of the operands.
pub enum Gradient {
    /// One per operand; `None` for operands without one (integers, positions).
    Of(Vec<Option<Value>>),
    /// There is none, and why. An error if it is a trained weight's only path to the loss.
    Blocked(&'static str),
    /// Bodies: differentiated by the graph transformation itself.
    Structural,
}

impl Gradient {
    /// No operand has a cotangent, by type.
    fn none(operands: usize) -> Gradient {
        Gradient::Of(vec![None; operands])
    }
}

impl<const N: usize> From<[Value; N]> for Gradient {
    fn from(cotangents: [Value; N]) -> Gradient {
        Gradient::Of(cotangents.into_iter().map(Some).collect())
    }
}

impl Applied<'_> {
    /// Operand, result, cotangent, builder.
    fn unary(&mut self) -> (Value, Value, Value, &mut Builder) {
        (self.operands[0], self.results[0], self.cotangents[0], self.b)
    }

    /// Both operands, result, cotangent, builder.
    fn binary(&mut self) -> ([Value; 2], Value, Value, &mut Builder) {
        ([self.operands[0], self.operands[1]], self.results[0], self.cotangents[0], self.b)
    }
}

/// What lowering sees: one node, and the index of the element that is wanted.
pub struct Wanted<'a> {
    /// Types of the operands.
    pub operands: &'a [Type],
    /// Types of the results.
    pub results: &'a [Type],
    /// Index of the wanted element of result 0.
    pub at: &'a [Dim],
    /// Bounds of the loop counters and sizes in `at`.
    pub ranges: &'a Ranges,
}

/// How one element of a result is made: the loop-level meaning of an operation.
pub enum Lowered {
    /// A scalar function of the operands at the same index.
    Map(Scalar),
    /// The operand at another index; where a guard `0 <= dim < bound` fails, the value is `otherwise`.
    View {
        /// Index into operand 0.
        index: Vec<Dim>,
        /// Conditions under which the element exists.
        guards: Vec<(Dim, Dim)>,
        /// The value elsewhere.
        otherwise: f64,
    },
    /// A scalar without tensor operands: constants, counters, sizes, random bits. Operands, if any, are scalars
    /// that the expression names `operand0`, `operand1`, ...
    Source(Expr),
    /// A fold of operand 0 over some axes.
    Reduce(Fold, Vec<usize>),
    /// A sum of products of two operands.
    Contract,
    /// The operand at an index that is data: axis `axis` of operand 0 is looked up through operand 1.
    Gather {
        /// The axis looked up.
        axis: usize,
        /// Leading axes shared by table and positions.
        batch: usize,
    },
    /// Needs a kernel of its own (scatter, insert, sort, scan): scheduled by name.
    Kernel,
    /// Has bodies: becomes steps of the plan.
    Structure,
}

/// How elements are folded. The order is fixed by the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Fold {
    /// Sum, in at least f32.
    Add,
    /// Product.
    Mul,
    /// Maximum; -inf of nothing. NaN if any is.
    Max,
    /// Minimum; inf of nothing. NaN if any is.
    Min,
    /// Disjunction.
    Or,
    /// Conjunction.
    And,
}

impl Fold {
    /// The fold of nothing.
    pub fn identity(self) -> f64 {
        match self {
            Fold::Add | Fold::Or => 0.0,
            Fold::Mul | Fold::And => 1.0,
            Fold::Max => f64::NEG_INFINITY,
            Fold::Min => f64::INFINITY,
        }
    }

    /// The fold of no elements of type `dtype`: the smallest or largest integer stands for an infinity.
    pub fn identity_of(self, dtype: DType) -> f64 {
        let infinite = self.identity().is_infinite() && !dtype.is_float();
        if infinite { Scalar::Cast(dtype).evaluate(&[self.identity()], DType::F64) } else { self.identity() }
    }

    /// The element type in which elements of type `dtype` are folded: sums and products of 16-bit floats need more.
    pub fn accumulator(self, dtype: DType) -> DType {
        let grows = matches!(self, Fold::Add | Fold::Mul);
        if grows && dtype.is_half() { DType::F32 } else { dtype }
    }

    /// One step.
    pub fn apply(self, a: f64, b: f64) -> f64 {
        match self {
            Fold::Add => a + b,
            Fold::Mul => a * b,
            Fold::Max if a.is_nan() || b.is_nan() => f64::NAN,
            Fold::Min if a.is_nan() || b.is_nan() => f64::NAN,
            Fold::Max => a.max(b),
            Fold::Min => a.min(b),
            Fold::Or => f64::from(a != 0.0 || b != 0.0),
            Fold::And => f64::from(a != 0.0 && b != 0.0),
        }
    }

    /// One step of a fold of `dtype` elements: integers wrap.
    pub fn step(self, a: f64, b: f64, dtype: DType) -> f64 {
        match self {
            Fold::Add => Scalar::Add.evaluate(&[a, b], dtype),
            Fold::Mul => Scalar::Mul.evaluate(&[a, b], dtype),
            _ => self.apply(a, b),
        }
    }

    /// The scalar function that takes one step.
    pub fn function(self) -> Scalar {
        match self {
            Fold::Add => Scalar::Add,
            Fold::Mul => Scalar::Mul,
            Fold::Max => Scalar::Max,
            Fold::Min => Scalar::Min,
            Fold::Or => Scalar::Or,
            Fold::And => Scalar::And,
        }
    }

    /// Name in the IR text.
    pub fn name(self) -> &'static str {
        match self {
            Fold::Add => "add",
            Fold::Mul => "mul",
            Fold::Max => "max",
            Fold::Min => "min",
            Fold::Or => "or",
            Fold::And => "and",
        }
    }
}

/// A worked example: the operation, operand types and values, expected results. Finite differences, every-backend
/// tests and the reference manual use it.
#[derive(Clone, Debug)]
pub struct Example {
    /// The operation with its attributes.
    pub op: Op,
    /// Operand types (constant shapes) and values.
    pub operands: Vec<(Type, Vec<f64>)>,
    /// Expected results.
    pub results: Vec<Vec<f64>>,
}

impl Example {
    /// An example with f32 operands of constant shapes.
    pub fn new(op: impl Into<Op>, operands: &[(&[usize], &[f64])], results: &[&[f64]]) -> Example {
        let ty = |shape: &[usize]| Type::new(DType::F32, shape.iter().map(|n| Dim::from(*n)).collect());
        Example {
            op: op.into(),
            operands: operands.iter().map(|(shape, data)| (ty(shape), data.to_vec())).collect(),
            results: results.iter().map(|data| data.to_vec()).collect(),
        }
    }

    /// The same example with operand `place` of another element type.
    pub fn with(mut self, place: usize, dtype: DType) -> Example {
        self.operands[place].0.dtype = dtype;
        self
    }
}

/// What an operation must say of itself. The doc comment of its struct is its entry in the reference manual.
pub trait Operation: Clone + Into<Op> {
    /// Its name in the IR text.
    const NAME: &'static str;

    /// Result types, or why the operands do not fit.
    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError>;

    /// The judge: float64, obvious rather than fast. Operations with bodies are evaluated by `evaluate`.
    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String>;

    /// Cotangents of the operands. There is no default.
    fn gradient(&self, node: &mut Applied) -> Gradient;

    /// How an element is made.
    fn lower(&self, wanted: &Wanted) -> Lowered;

    /// At least one, unless it has bodies.
    fn examples() -> Vec<Example>;
}

mod dims;
mod elementwise;
mod manual;
pub(crate) mod shape;

macro_rules! operations {
    ($($module:ident :: $op:ident $({ $($field:ident),* })?),* $(,)?) => {
        $(mod $module;)*
        $(pub use $module::$op;)*

        /// Any operation.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub enum Op { $(#[allow(missing_docs)] $op($op)),* }

        $(impl From<$op> for Op {
            fn from(op: $op) -> Op { Op::$op(op) }
        })*

        impl Op {
            /// Its name in the IR text.
            pub fn name(&self) -> &'static str {
                match self { $(Op::$op(_) => <$op as Operation>::NAME),* }
            }

            /// See [`Operation::evaluate`].
            pub fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
                match self { $(Op::$op(op) => op.evaluate(e)),* }
            }

            /// See [`Operation::gradient`]. Without a float operand there is no cotangent to give.
            pub fn gradient(&self, node: &mut Applied) -> Gradient {
                let carries = |v: &Value| node.b.ty(*v).dtype.is_float();
                if !matches!(self, Op::Loop(_) | Op::If(_) | Op::Rule(_)) && !node.operands.iter().any(carries) {
                    return Gradient::none(node.operands.len());
                }
                match self { $(Op::$op(op) => op.gradient(node)),* }
            }

            /// See [`Operation::lower`].
            pub fn lower(&self, wanted: &Wanted) -> Lowered {
                match self { $(Op::$op(op) => op.lower(wanted)),* }
            }

            fn infer_in(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
                match self { $(Op::$op(op) => op.infer(operands)),* }
            }
        }

        impl Op {
            /// Appends the attributes in braces, if there are some.
            pub(crate) fn write_fields(&self, out: &mut String) {
                match self {
                    $(Op::$op($op { $($($field),*)? }) => {
                        let fields: &[NamedField] =
                            &[$($((stringify!($field), &|out: &mut String| Field::write($field, out))),*)?];
                        write_list(fields, out);
                    }),*
                }
            }

            /// Reads the attributes of the operation called `name`.
            pub(crate) fn read_fields(name: &str, reader: &mut Reader) -> Result<Op, ParseError> {
                $(if name == <$op as Operation>::NAME {
                    let mut open = FieldList::begin();
                    $($(let $field = open.read(stringify!($field), reader)?;)*)?
                    open.close(reader)?;
                    return Ok(Op::$op($op { $($($field),*)? }));
                })*
                Err(reader.error_before(format!("`{name}` is no operation")))
            }

            /// Calls `visit` on every size among the attributes.
            pub fn visit_dims(&self, visit: &mut dyn FnMut(&Dim)) {
                let _ = &visit;
                match self {
                    $(Op::$op($op { $($($field),*)? }) => { $($(Field::visit_dims($field, visit);)*)? }),*
                }
            }

            /// Replaces every size among the attributes. The counter of a loop stays.
            pub fn map_dims(&mut self, map: &dyn Fn(&Dim) -> Dim) {
                let _ = map;
                match self {
                    $(Op::$op($op { $($($field),*)? }) => { $($(Field::map_dims($field, map);)*)? }),*
                }
            }
        }

        /// Name and doc comment of every operation, in the order of the list.
        fn documentation() -> Vec<(&'static str, &'static str, &'static str)> {
            vec![$((
                <$op as Operation>::NAME,
                concat!("pub struct ", stringify!($op)),
                include_str!(concat!(stringify!($module), ".rs")),
            )),*]
        }

        /// Name and examples of every operation, in the order of the list.
        pub fn catalog() -> Vec<(&'static str, Vec<Example>)> {
            vec![$((<$op as Operation>::NAME, <$op as Operation>::examples())),*]
        }
    };
}

operations! {
    // arithmetic
    add::Add, sub::Sub, mul::Mul, div::Div, rem::Rem, neg::Neg, abs::Abs, sign::Sign, minimum::Minimum,
    maximum::Maximum, pow::Pow,
    // transcendental
    exp::Exp, log::Log, expm1::Expm1, log1p::Log1p, sqrt::Sqrt, sin::Sin, cos::Cos, tanh::Tanh, erf::Erf,
    floor::Floor, round::Round, lgamma::Lgamma, digamma::Digamma,
    // bits
    compare::Compare { kind }, and::And, or::Or, not::Not, xor::Xor, shl::Shl, shr::Shr, popcount::Popcount,
    select::Select, cast::Cast { dtype }, bitcast::Bitcast { dtype },
    // sources
    constant::Constant { value, ty }, table::Table { values, ty }, iota::Iota { ty, axis },
    dim_value::DimValue { dim, dtype }, random::Random { shape, salt },
    // movement
    reshape::Reshape { shape }, permute::Permute { axes }, broadcast::Broadcast { shape, axes },
    slice::Slice { starts, sizes, steps }, pad::Pad { low, high, value }, insert::Insert { starts, axis },
    gather::Gather { axis, batch }, scatter::Scatter { axis, batch, kind },
    window::Window { axis, size, stride, dilation }, fold_window::FoldWindow { axis, length, stride, dilation },
    // folds and products
    reduce::Reduce { fold, axes }, scan::Scan { fold, axis, reverse }, contract::Contract { lhs, rhs, out },
    // small matrices
    solve::Solve, cholesky::Cholesky,
    // selectors
    sort::Sort { axis, descending }, top_k::TopK { axis, k },
    // control
    repeat::Loop { counter, count, reverse, carried, sliced }, branch::If, rule::Rule, stop::Stop,
}

pub use manual::reference;
pub use scatter::ScatterKind;

/// An attribute's name, and what appends its value.
type NamedField<'a> = (&'a str, &'a dyn Fn(&mut String));

fn write_list(fields: &[NamedField], out: &mut String) {
    for (place, (name, write)) in fields.iter().enumerate() {
        *out += if place > 0 { ", " } else { " {" };
        *out += name;
        *out += ": ";
        write(out);
    }
    *out += if fields.is_empty() { "" } else { "}" };
}

/// Attributes being read: `{name: value, ..}`.
struct FieldList {
    begun: bool,
}

impl FieldList {
    fn begin() -> FieldList {
        FieldList { begun: false }
    }

    fn read<T: Field>(&mut self, name: &str, reader: &mut Reader) -> Result<T, ParseError> {
        reader.expect(if self.begun { "," } else { "{" })?;
        self.begun = true;
        reader.expect_word(name)?;
        reader.expect(":")?;
        T::read(reader)
    }

    fn close(&mut self, reader: &mut Reader) -> Result<(), ParseError> {
        if self.begun { reader.expect("}") } else { Ok(()) }
    }
}

/// Result types of `op`.
pub fn infer(op: &Op, types: &[Type], blocks: &[Block], function: &Function) -> Result<Vec<Type>, TypeError> {
    op.infer_in(Operands { types, blocks, function })
}
