//! What expressions evaluate to while a model is specialized: static values, and tensors of the graph.

use super::axes::Axis;
use nnc_base::Span;
use nnc_grammar::syntax as ast;
use nnc_ir::{Dim, Value};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// A value of the language.
#[derive(Clone, Debug)]
pub enum Val<'a> {
    /// Of a broken expression: fits everything, reports nothing twice.
    Unknown,
    /// `none`.
    None,
    /// A static integer; may mention run-time sizes and loop counters.
    Int(Dim),
    /// A static real number.
    Real(f64),
    /// A static truth value.
    Bool(bool),
    /// A text.
    Text(Rc<str>),
    /// A list; also the value of a tuple.
    List(Rc<Vec<Val<'a>>>),
    /// Named members in order.
    Record(Rc<Vec<(Rc<str>, Val<'a>)>>),
    /// `a..b`.
    Range(Dim, Dim),
    /// A tensor.
    Tensor(Tensor),
    /// An index of an index definition, by number.
    Index(usize),
    /// Axes bound to an axis parameter, or to `..` of a signature.
    Axes(Rc<Vec<Axis>>),
    /// A function.
    Func(Rc<Func<'a>>),
    /// How to make a module.
    Recipe(Rc<Recipe<'a>>),
    /// A made module.
    Module(Rc<Module<'a>>),
    /// `@path`.
    Path(&'a ast::Select),
    /// A sheet with its arguments bound.
    Sheet(Rc<Sheet<'a>>),
}

/// A run-time tensor.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Its value in the graph.
    pub value: Value,
    /// Its axes; as many as the value has.
    pub axes: Vec<Axis>,
    /// For integers: an exclusive upper bound, as `index(n)` states it.
    pub bound: Option<Dim>,
}

/// A function value.
#[derive(Debug)]
pub enum Func<'a> {
    /// `x => e`.
    Lambda {
        /// Parameters.
        params: &'a [ast::Field],
        /// Value.
        value: &'a ast::Expr,
        /// Where it was written.
        scope: Rc<Scope<'a>>,
    },
    /// A declared function, perhaps with its axes given.
    Named {
        /// Its declaration.
        decl: &'a ast::Fn,
        /// The source that declares it.
        source: usize,
        /// Axes given in square brackets.
        axes: Option<Vec<Val<'a>>>,
    },
    /// A primitive, perhaps with a subscript.
    Builtin {
        /// Its name.
        name: &'static str,
        /// Its subscript, and where that was written.
        subscript: Option<(&'a [ast::At], Rc<Scope<'a>>)>,
    },
    /// A residual branch: applying it makes the branch at its place and calls it.
    Branch {
        /// The block it belongs to.
        block: Val<'a>,
        /// Which of its branches; `None` for a block that is one branch.
        branch: Option<&'a ast::Slot>,
        /// Where the block lives.
        path: Rc<str>,
    },
    /// `f |> g` of functions.
    Chain(Vec<Val<'a>>),
    /// `experts[pick]`: the member that data pick.
    Picked {
        /// Blocks or functions that give one type.
        members: Rc<Vec<Val<'a>>>,
        /// Positions below their number.
        pick: Tensor,
    },
}

/// How to make a module.
#[derive(Debug)]
pub enum Recipe<'a> {
    /// A block, model, topology or policy with its arguments.
    Decl {
        /// Its declaration.
        decl: &'a ast::Decl,
        /// The source that declares it.
        source: usize,
        /// Arguments, bound to parameter names.
        args: Vec<(Rc<str>, Val<'a>)>,
        /// Where it was written.
        span: Span,
    },
    /// `A |> B`.
    Chain(Vec<Val<'a>>),
    /// `stack(n, B, join: T)`, `repeat(n, B)`.
    Stack {
        /// How many.
        count: Dim,
        /// Of what.
        block: Val<'a>,
        /// Joined how.
        join: Option<Val<'a>>,
        /// One weight set for all.
        shared: bool,
        /// Where it was written.
        span: Span,
    },
    /// `B with sheet`.
    With {
        /// What is made.
        base: Val<'a>,
        /// What stands beside it.
        sheet: Rc<Sheet<'a>>,
    },
}

/// Lines of a sheet with the scope their expressions live in.
#[derive(Debug)]
pub struct Sheet<'a> {
    /// The lines, in order.
    pub rules: Vec<&'a ast::Rule>,
    /// For the expressions in them.
    pub scope: Rc<Scope<'a>>,
}

/// A made module.
#[derive(Debug)]
pub struct Module<'a> {
    /// What it is.
    pub recipe: Rc<Recipe<'a>>,
    /// Where its slots live: `layer.mlp.up`.
    pub path: Rc<str>,
    /// The rolled loops it was made in.
    pub loops: Vec<usize>,
}

/// What a name is bound to.
#[derive(Clone, Debug)]
pub enum Binding<'a> {
    /// A value that never changes.
    Value(Val<'a>),
    /// A carry: a cell that `:=` changes.
    Cell(usize),
    /// A slot of the model.
    Slot(usize),
    /// A broken binding.
    Broken,
}

/// Names of one body, and where to look for the others.
#[derive(Debug)]
pub struct Scope<'a> {
    /// Names bound here.
    pub names: RefCell<HashMap<Rc<str>, Binding<'a>>>,
    /// The enclosing scope.
    pub parent: Option<Rc<Scope<'a>>>,
    /// The source whose items are visible.
    pub source: usize,
}

impl<'a> Scope<'a> {
    /// An empty scope that sees the items of `source`.
    pub fn root(source: usize) -> Rc<Scope<'a>> {
        Rc::new(Scope { names: RefCell::default(), parent: None, source })
    }

    /// An empty scope inside `parent`.
    pub fn inside(parent: &Rc<Scope<'a>>) -> Rc<Scope<'a>> {
        Rc::new(Scope { names: RefCell::default(), parent: Some(parent.clone()), source: parent.source })
    }

    /// Binds a name here.
    pub fn bind(&self, name: &str, binding: Binding<'a>) {
        self.names.borrow_mut().insert(Rc::from(name), binding);
    }

    /// Binds a name to a value here.
    pub fn set(&self, name: &str, value: Val<'a>) {
        self.bind(name, Binding::Value(value));
    }

    /// What a name is bound to, here or outside.
    pub fn get(&self, name: &str) -> Option<Binding<'a>> {
        if let Some(found) = self.names.borrow().get(name) {
            return Some(found.clone());
        }
        self.parent.as_ref().and_then(|parent| parent.get(name))
    }

    /// Every name bound here or outside.
    pub fn all_names(&self) -> Vec<Rc<str>> {
        let mut names: Vec<Rc<str>> = self.names.borrow().keys().cloned().collect();
        if let Some(parent) = &self.parent {
            names.extend(parent.all_names());
        }
        names
    }
}

impl<'a> Val<'a> {
    /// A static integer.
    pub fn int(value: i64) -> Val<'a> {
        Val::Int(Dim::constant(value))
    }

    /// A text.
    pub fn text(value: &str) -> Val<'a> {
        Val::Text(Rc::from(value))
    }

    /// Whether the expression was broken.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Val::Unknown)
    }

    /// The tensor, if it is one.
    pub fn tensor(&self) -> Option<&Tensor> {
        if let Val::Tensor(tensor) = self { Some(tensor) } else { None }
    }

    /// A static number as a real.
    pub fn as_real(&self) -> Option<f64> {
        match self {
            Val::Int(dim) => dim.as_constant().map(|n| n as f64),
            Val::Real(value) => Some(*value),
            _ => None,
        }
    }

    /// A static integer.
    pub fn as_int(&self) -> Option<&Dim> {
        if let Val::Int(dim) = self { Some(dim) } else { None }
    }

    /// Whether it can be applied to a tensor.
    pub fn is_callable(&self) -> bool {
        matches!(self, Val::Func(_) | Val::Recipe(_) | Val::Module(_))
    }

    /// What it is, for messages.
    pub fn describe(&self) -> String {
        match self {
            Val::Unknown => "an unknown value".into(),
            Val::None => "none".into(),
            Val::Int(dim) => format!("the integer {dim}"),
            Val::Real(value) => format!("the number {value}"),
            Val::Bool(value) => format!("the truth value {value}"),
            Val::Text(text) => format!("the text \"{text}\""),
            Val::List(_) => "a list".into(),
            Val::Record(_) => "a record".into(),
            Val::Range(a, b) => format!("the range {a}..{b}"),
            Val::Tensor(tensor) => format!("a tensor {}", super::axes::describe(&tensor.axes)),
            Val::Index(_) => "an index".into(),
            Val::Axes(_) => "an axis".into(),
            Val::Func(_) => "a function".into(),
            Val::Recipe(recipe) => match &**recipe {
                Recipe::Decl { decl, .. } => format!("the {} `{}`", decl_kind(decl), decl.name.text),
                _ => "a block".into(),
            },
            Val::Module(_) => "a block".into(),
            Val::Path(_) => "a path".into(),
            Val::Sheet(_) => "a sheet".into(),
        }
    }
}

/// The role of a declaration as written.
pub fn decl_kind(decl: &ast::Decl) -> &'static str {
    match decl.kind {
        ast::DeclKind::Block => "block",
        ast::DeclKind::Model => "model",
        ast::DeclKind::Topology => "topology",
        ast::DeclKind::Policy => "policy",
        ast::DeclKind::Sheet => "sheet",
    }
}
