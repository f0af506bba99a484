//! Specialization: runs the static part of a program and builds the tensor IR of what is left.
//!
//! A model is elaborated once per entry (forward, training step, ...). Every function is total: a broken
//! expression reports itself once and becomes [`Val::Unknown`], which fits everywhere.

mod arithmetic;
pub mod axes;
mod bodies;
mod builtins;
pub(crate) mod calls;
mod concat;
pub(crate) mod cuts;
mod expressions;
mod finish;
mod folds;
mod indices;
mod limits;
mod loops;
mod modules;
mod policies;
mod pullback;
pub mod regions;
mod routing;
mod sheets;
pub(crate) mod slots;
mod subscripts;
pub(crate) mod trial;
mod types;
mod updates;
pub mod values;

use crate::program::Program;
use axes::Axis;
pub use builtins::PRIMITIVES;
pub(crate) use builtins::{is_builtin, names as builtin_names};
pub(crate) use finish::{expression_text, select_text, slot_names, slots_of};
use nnc_base::{Diagnostic, Span};
use nnc_ir::graph::Port;
use nnc_ir::ops::Op;
use nnc_ir::{Builder, DType, Dim, Ranges, Type, Value};
use slots::SlotState;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use values::{Scope, Tensor, Val};

/// Nested applications of blocks and functions, at most.
pub const MAX_DEPTH: usize = 96;
/// Copies that `for` and list forms make, at most.
pub const MAX_COPIES: i64 = 4096;
/// Nodes of one entry, at most.
pub const MAX_NODES: usize = 200_000;

/// Findings of one entry, or of what is looked at before, at most.
pub const MAX_FINDINGS: usize = 200;

/// What differs between the entries of one model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// `given training`.
    pub training: bool,
    /// Caches live in slots; otherwise every call is a session.
    pub session: bool,
}

/// One index of an index definition.
#[derive(Clone, Debug)]
pub(crate) struct IndexVar {
    pub name: Rc<str>,
    pub range: Option<Dim>,
    /// The axis it was first met on, or its label.
    pub axis: Option<Axis>,
    pub span: Span,
}

/// A rolled loop that is open.
pub(crate) struct LoopFrame {
    pub id: usize,
    pub count: Dim,
    /// Depth of its body in the builder.
    pub depth: usize,
    /// Slots sliced per iteration: slot, and the parameter that holds the slice.
    pub slices: Vec<(usize, Value)>,
    /// Penalties of one iteration.
    pub penalties: Vec<(String, Value)>,
    /// `let y[t] = ..`: names collected, with the value of one iteration and the place of the loop axis.
    pub collected: Vec<Collected>,
    /// The counter as written.
    pub counter: nnc_ir::Symbol,
    /// The segment of a path that this loop copies: the first one made inside.
    pub segment: usize,
}

/// A value that outlives its loop.
#[derive(Clone)]
pub(crate) struct Collected {
    pub name: Rc<str>,
    pub tensor: Tensor,
    pub axis: usize,
}

/// Names given out in one application, and where its slots live.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frame {
    pub path: Rc<str>,
    pub loops: Vec<usize>,
    pub taken: HashMap<String, usize>,
    /// The frame of a policy: its states are copied as its weight is.
    pub policy: bool,
}

/// The state of one elaboration.
pub struct Elaborator<'a> {
    pub(crate) program: &'a Program,
    pub(crate) b: Builder,
    pub(crate) diagnostics: Vec<Diagnostic>,
    pub(crate) slots: Vec<SlotState<'a>>,
    pub(crate) by_path: HashMap<String, usize>,
    pub(crate) ports: Vec<Port>,
    pub(crate) cells: Vec<Val<'a>>,
    pub(crate) loops: Vec<LoopFrame>,
    pub(crate) loop_count: usize,
    /// While an initial value is made: the loops that copy its slot.
    pub(crate) drawn: Option<Vec<usize>>,
    /// The loop of each stack, by its path.
    pub(crate) stacks: HashMap<Rc<str>, usize>,
    pub(crate) frames: Vec<Frame>,
    pub(crate) given: Vec<(Rc<str>, Val<'a>)>,
    pub(crate) index_vars: Vec<IndexVar>,
    /// Names of the folds around what ranges are inferred from.
    pub(crate) folding: Vec<&'a str>,
    pub(crate) base_cache: HashMap<*const nnc_grammar::syntax::Expr, Val<'a>>,
    pub(crate) ranges: Ranges,
    pub(crate) symbols: Vec<nnc_ir::Symbol>,
    pub(crate) guards: Vec<(Dim, Span, String)>,
    pub(crate) mode: Mode,
    pub(crate) precision: DType,
    pub(crate) sheets: Vec<(Rc<str>, Rc<values::Sheet<'a>>)>,
    pub(crate) wrapping: Vec<(*const nnc_grammar::syntax::Rule, String)>,
    pub(crate) matched: HashSet<*const nnc_grammar::syntax::Rule>,
    pub(crate) penalties: Vec<(String, Value)>,
    pub(crate) globals: HashMap<(usize, usize), Val<'a>>,
    pub(crate) open_globals: Vec<(usize, usize)>,
    pub(crate) depth: usize,
    pub(crate) sites: i64,
    pub(crate) seed: Option<Value>,
    pub(crate) step: Option<Value>,
    /// Micro-batches per step; above 1 random numbers and `before` follow the entry's input `draw`.
    pub(crate) micro: i64,
    pub(crate) draw: Option<Value>,
    /// Where one of them does not hold, writes keep the old value: elements that do not train, micro-batches but the
    /// first, a broken loss.
    pub(crate) writes_where: Vec<Tensor>,
    /// The weight that is being made: `init` of its policies may change its start.
    pub(crate) making: Option<usize>,
    /// Names of the declarations that have been applied.
    pub(crate) used: HashSet<Span>,
    /// Policies whose `init` has run, by path.
    pub(crate) made_policies: HashSet<Rc<str>>,
    pub(crate) overflow: bool,
    pub(crate) work: usize,
    pub(crate) exhausted: bool,
    pub(crate) regions: Vec<regions::Region>,
    pub(crate) region: Option<usize>,
}

impl<'a> Elaborator<'a> {
    /// Nothing elaborated yet.
    pub fn new(program: &'a Program, mode: Mode, precision: DType) -> Elaborator<'a> {
        Elaborator {
            program,
            b: Builder::new(),
            diagnostics: Vec::new(),
            slots: Vec::new(),
            by_path: HashMap::new(),
            ports: Vec::new(),
            cells: Vec::new(),
            loops: Vec::new(),
            loop_count: 0,
            drawn: None,
            stacks: HashMap::new(),
            frames: vec![Frame { path: Rc::from(""), ..Frame::default() }],
            given: Vec::new(),
            index_vars: Vec::new(),
            folding: Vec::new(),
            base_cache: HashMap::new(),
            ranges: Ranges::new(),
            symbols: Vec::new(),
            guards: Vec::new(),
            mode,
            precision,
            sheets: Vec::new(),
            matched: HashSet::new(),
            wrapping: Vec::new(),
            penalties: Vec::new(),
            globals: HashMap::new(),
            open_globals: Vec::new(),
            depth: 0,
            sites: 0,
            seed: None,
            step: None,
            micro: 1,
            draw: None,
            writes_where: Vec::new(),
            making: None,
            used: HashSet::new(),
            made_policies: HashSet::new(),
            overflow: false,
            work: 0,
            exhausted: false,
            regions: Vec::new(),
            region: None,
        }
    }

    /// Reports, and yields what fits everywhere.
    pub(crate) fn fail(&mut self, diagnostic: Diagnostic) -> Val<'a> {
        self.report(diagnostic);
        Val::Unknown
    }

    /// Whether there is such a finding at this place already.
    pub(crate) fn told(&self, code: &str, place: Option<Span>) -> bool {
        self.diagnostics.iter().any(|d| d.code == code && d.labels.first().map(|l| l.span) == place)
    }

    /// Reports once: the same finding at the same place is not repeated.
    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        let place = diagnostic.labels.first().map(|label| label.span);
        if !self.told(diagnostic.code, place) && !self.told_enough() {
            self.diagnostics.push(diagnostic);
        }
    }

    /// Whether nothing more is reported.
    pub(crate) fn told_enough(&self) -> bool {
        self.diagnostics.len() >= MAX_FINDINGS
    }

    /// Adds a node, or reports why its operands do not fit.
    pub(crate) fn node(&mut self, op: impl Into<Op>, operands: &[Value], span: Span) -> Option<Value> {
        let op = op.into();
        if self.b.function.values.len() > MAX_NODES {
            if !self.overflow {
                self.overflow = true;
                // Nothing is built any more, so nothing more is computed.
                (self.work, self.exhausted) = (usize::MAX, true);
                self.report(
                    Diagnostic::error(
                        "limit::nodes",
                        span,
                        format!("the program needs more than {MAX_NODES} operations"),
                    )
                    .help("use `loop`, `stack` or `repeat` instead of `for`"),
                );
            }
            return None;
        }
        self.b.span = span;
        let name = op.name();
        match self.b.try_apply(op, operands) {
            Ok(value) => {
                let shape = self.b.ty(value).shape.clone();
                self.check_shape(&shape, "this value", span).then_some(value)
            }
            Err(error) => {
                self.report(Diagnostic::error(
                    "type::operation",
                    span,
                    format!("`{name}` {}", error.message),
                ));
                None
            }
        }
    }

    /// A node as a tensor with these axes.
    pub(crate) fn tensor(
        &mut self,
        op: impl Into<Op>,
        operands: &[Value],
        axes: Vec<Axis>,
        span: Span,
    ) -> Val<'a> {
        match self.node(op, operands, span) {
            Some(value) => Val::Tensor(Tensor { value, axes, bound: None }),
            None => Val::Unknown,
        }
    }

    pub(crate) fn ty(&self, value: Value) -> &Type {
        self.b.ty(value)
    }

    pub(crate) fn dtype(&self, tensor: &Tensor) -> DType {
        self.b.ty(tensor.value).dtype
    }

    /// A constant scalar.
    pub(crate) fn scalar(&mut self, value: f64, dtype: DType) -> Tensor {
        let value = self.b.fill(value, Type::scalar(dtype));
        Tensor { value, axes: Vec::new(), bound: None }
    }

    /// Whether `value` is a number of `dtype`; says so if not.
    pub(crate) fn holds(&mut self, dtype: DType, value: f64, span: Span) -> bool {
        if !dtype.holds(value) {
            let message = format!("{value} is no number of type `{dtype}`");
            self.report(
                Diagnostic::error("type::number", span, message).help("write one, or use a real type: `f32`"),
            );
        }
        dtype.holds(value)
    }

    /// A new parameter of the entry.
    pub(crate) fn entry_param(&mut self, port: Port, ty: Type) -> Value {
        self.ports.push(port);
        self.b.param_at(0, ty)
    }

    /// Runs something with names of its own: the index caches of the caller are hidden.
    pub(crate) fn isolated<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> T {
        let cache = std::mem::take(&mut self.base_cache);
        self.depth += 1;
        let result = run(self);
        self.depth -= 1;
        self.base_cache = cache;
        result
    }

    /// Whether nesting has gone too far; reports it.
    pub(crate) fn too_deep(&mut self, span: Span) -> bool {
        if self.depth < MAX_DEPTH {
            return false;
        }
        self.report(
            Diagnostic::error(
                "name::cycle",
                span,
                format!("more than {MAX_DEPTH} applications lie inside each other"),
            )
            .here("applied here")
            .help("a block or function must not contain itself"),
        );
        true
    }

    pub(crate) fn root_scope(&self, source: usize) -> Rc<Scope<'a>> {
        Scope::root(source)
    }
}
