//! The syntax tree: what a file says, with the precedence of operators settled
//! and nothing resolved. Every node owns its text and knows its span. A tree is
//! always complete: where the text is broken stands an `Error` node, and its
//! depth is bounded by [`crate::limits`], so it may be walked by recursion.

use nnc_base::{Diagnostic, Span};

/// A file.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Syntax {
    /// The `//!` lines.
    pub about: Vec<Doc>,
    /// The items, in the order of the file.
    pub items: Vec<Item>,
    /// The `//` comments; they belong to no node.
    pub comments: Vec<Span>,
    /// What is wrong with the text, in the order of the file.
    pub errors: Vec<Diagnostic>,
}

/// An identifier where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Name {
    /// The identifier.
    pub text: String,
    /// Where.
    pub span: Span,
}

/// One line of documentation, without its slashes and the blank behind them.
#[derive(Clone, Debug, PartialEq)]
pub struct Doc {
    /// What it says.
    pub text: String,
    /// The whole line, with slashes.
    pub span: Span,
}

/// A string literal.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    /// What stands between the quotes.
    pub text: String,
    /// With the quotes.
    pub span: Span,
}

/// A top-level declaration with its documentation.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The `///` lines above it.
    pub docs: Vec<Doc>,
    /// What is declared.
    pub kind: ItemKind,
    /// Without the docs.
    pub span: Span,
}

/// The kinds of items.
#[derive(Clone, Debug, PartialEq)]
pub enum ItemKind {
    /// `use std::{Linear, relu}`.
    Use(Use),
    /// `let half = 50%`.
    Let(Bind),
    /// `fn f(x) = x`.
    Fn(Fn),
    /// A block, model, topology, policy or sheet.
    Decl(Decl),
    /// `train Gpt() with Half { .. }`.
    Train(Train),
    /// A broken item; the names it would have bound.
    Error(Vec<Name>),
}

/// `use a::b` or `use a::{b, c}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Use {
    /// The path in front of the braces, or the whole path without braces.
    pub path: Vec<Name>,
    /// The names in braces.
    pub names: Option<Vec<Name>>,
}

/// `fn name[axes](params) -> result requires .. code backward(..) { .. }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Fn {
    /// Its name.
    pub name: Name,
    /// The axes a caller gives in square brackets.
    pub axes: Option<Vec<Name>>,
    /// Its parameters.
    pub params: Vec<Field>,
    /// The declared result.
    pub result: Option<Type>,
    /// The conditions callers owe.
    pub requires: Vec<Expr>,
    /// What it computes.
    pub code: Code,
    /// Its own gradient rule.
    pub backward: Option<Backward>,
}

/// `backward(dy) { .. }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Backward {
    /// The cotangents it receives.
    pub params: Vec<Field>,
    /// Its value is a record of gradients.
    pub body: Body,
    /// From `backward` to the brace.
    pub span: Span,
}

/// The code of a function or an entry.
#[derive(Clone, Debug, PartialEq)]
pub enum Code {
    /// `= expr`.
    Expr(Expr),
    /// `{ .. }`.
    Body(Body),
}

/// The roles of modules that are declared by a head and a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeclKind {
    /// A layer.
    Block,
    /// A block with named inputs and outputs.
    Model,
    /// How branches are joined.
    Topology,
    /// What happens to a weight or an axis.
    Policy,
    /// Lines that select paths.
    Sheet,
}

/// `block Name(params) on subject given fields -> result requires .. { .. }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Decl {
    /// Its role.
    pub kind: DeclKind,
    /// Its name.
    pub name: Name,
    /// Its settings; `None` without round brackets.
    pub params: Option<Vec<Field>>,
    /// What it stands on.
    pub subject: Option<Subject>,
    /// What it asks its surroundings for.
    pub given: Vec<Field>,
    /// The declared result.
    pub result: Option<Type>,
    /// The conditions its users owe.
    pub requires: Vec<Expr>,
    /// What it holds.
    pub body: Body,
}

/// `train model { .. }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Train {
    /// What is trained: usually a call, perhaps `with` a sheet.
    pub model: Expr,
    /// The host program.
    pub body: Body,
}

/// What stands behind `on`.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there is one per declaration")]
pub enum Subject {
    /// `on (q: [..], k: [..])`.
    Fields(Vec<Field>),
    /// `on x: [.., d]`, `on w as p`, `on h: axis`.
    One {
        /// The name of the subject.
        name: Name,
        /// Its type; a pattern behind the type is moved to `pattern`.
        ty: Option<Type>,
        /// How it is stored.
        pattern: Option<Pattern>,
        /// All of it.
        span: Span,
    },
}

/// `name: type = default`.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: Name,
    /// Its type.
    pub ty: Option<Type>,
    /// Its default.
    pub default: Option<Expr>,
    /// All of it.
    pub span: Span,
}

/// `{ .. }`: statements; the value is the last, if it is an expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Body {
    /// The statements in order.
    pub stmts: Vec<Stmt>,
    /// With the braces.
    pub span: Span,
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    /// What it says.
    pub kind: StmtKind,
    /// All of it.
    pub span: Span,
}

/// The kinds of statements.
#[derive(Clone, Debug, PartialEq)]
pub enum StmtKind {
    /// A `///` line; it documents the next statement.
    Doc(Doc),
    /// `weight w: [out, n] = 0`.
    Slot(Slot),
    /// `penalty name = value`.
    Penalty(Penalty),
    /// `let y = value`.
    Let(Bind),
    /// `loop t in 0..T { .. }`, `for c in copies { .. }`.
    Loop(Loop),
    /// `fit 2000 { .. }`.
    Fit(Fit),
    /// `**.w : 2:4 by SrSte()`.
    Rule(Rule),
    /// `h[.., t, c] := value`.
    Write(Write),
    /// `name = value`, `name(params) { .. }`, `name { .. }`.
    Entry(Entry),
    /// An expression.
    Expr(Expr),
    /// A broken statement; the names it would have bound.
    Error(Vec<Name>),
}

/// The kinds of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SlotKind {
    /// Trained.
    Weight,
    /// Remembered.
    State,
    /// Lasts a session.
    Cache,
    /// Lasts a call.
    Carry,
    /// A named input of a model.
    Input,
    /// A named output of a model.
    Output,
    /// A residual branch.
    Branch,
}

/// `weight w[i, j]: type = init was "old"`.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// Its kind.
    pub kind: SlotKind,
    /// Its name.
    pub name: Name,
    /// The indices its initial value is written with.
    pub index: Option<Vec<At>>,
    /// Its type.
    pub ty: Option<Type>,
    /// Its initial value; for a branch, the branch.
    pub init: Option<Expr>,
    /// Its key in older checkpoints.
    pub was: Option<Text>,
}

/// `penalty name = value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Penalty {
    /// The name it is reported by.
    pub name: Name,
    /// What joins the losses.
    pub value: Expr,
}

/// `place: type = value`, behind `let`.
#[derive(Clone, Debug, PartialEq)]
pub struct Bind {
    /// What is named.
    pub place: Place,
    /// Its type.
    pub ty: Option<Type>,
    /// Its value.
    pub value: Expr,
}

/// What a `let`, a loop or a write names.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Its form.
    pub kind: PlaceKind,
    /// All of it.
    pub span: Span,
}

/// The forms of places.
#[derive(Clone, Debug, PartialEq)]
pub enum PlaceKind {
    /// `(u, s, v)`.
    Tuple(Vec<Name>),
    /// `h[.., t, c]`, `w.mask`, `x`: a path of at least one name.
    Path {
        /// The names between the dots.
        path: Vec<Name>,
        /// The indices.
        index: Option<Vec<At>>,
    },
}

/// `loop place in over { .. }` or `for place in over { .. }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Loop {
    /// `loop` stays a loop; `for` makes copies.
    pub rolled: bool,
    /// The counter or element.
    pub place: Place,
    /// What it runs over.
    pub over: Expr,
    /// What is repeated.
    pub body: Body,
}

/// `fit count { .. }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// How many steps.
    pub count: Expr,
    /// Its settings.
    pub body: Body,
}

/// A line of a sheet.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// What it selects.
    pub selects: Vec<Select>,
    /// What it says of it.
    pub settings: Vec<Setting>,
}

/// One property in a sheet line.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// What is set.
    pub kind: SettingKind,
    /// All of it.
    pub span: Span,
}

/// The forms of settings.
#[derive(Clone, Debug, PartialEq)]
pub enum SettingKind {
    /// `frozen`.
    Frozen,
    /// `init = critical`.
    Set {
        /// The property.
        name: Name,
        /// Its value.
        value: Expr,
    },
    /// `by A() then B()`.
    By(Vec<Expr>),
    /// `2:4 by SrSte()`; a block's name in place of the pattern wraps.
    Pattern {
        /// The pattern, or the wrapper as a unit without quotas.
        pattern: Pattern,
        /// The policies behind `by`, in order; empty without.
        by: Vec<Expr>,
    },
}

/// `**.mlp.*.layer[0..4].w/h`.
#[derive(Clone, Debug, PartialEq)]
pub struct Select {
    /// The segments between the dots.
    pub segs: Vec<Seg>,
    /// An axis of what is selected.
    pub axis: Option<Name>,
    /// All of it.
    pub span: Span,
}

/// One segment of a selection.
#[derive(Clone, Debug, PartialEq)]
pub struct Seg {
    /// What it matches.
    pub kind: SegKind,
    /// All of it.
    pub span: Span,
}

/// What a segment matches.
#[derive(Clone, Debug, PartialEq)]
pub enum SegKind {
    /// `**`: any number of segments.
    Many,
    /// `*`: one segment.
    Any,
    /// `layer` or `layer[0..4]`.
    Name {
        /// The name.
        name: Name,
        /// The copies: a number or a range.
        range: Option<Box<Expr>>,
    },
}

/// `place := value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// The slot, or a part of it.
    pub place: Place,
    /// Its new value.
    pub value: Expr,
}

/// `name = value`, `name(params) { .. }`, `name[index] = value`, `name { .. }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its name.
    pub name: Name,
    /// What stands between name and code.
    pub head: EntryHead,
    /// Its code.
    pub code: Code,
}

/// What stands between the name and the code of an entry.
#[derive(Clone, Debug, PartialEq)]
pub enum EntryHead {
    /// Nothing.
    Plain,
    /// `(g, t)`.
    Params(Vec<Field>),
    /// `[.., c]`.
    Index(Vec<At>),
}

/// A type.
#[derive(Clone, Debug, PartialEq)]
pub struct Type {
    /// Its form.
    pub kind: TypeKind,
    /// All of it.
    pub span: Span,
}

/// The forms of types.
#[derive(Clone, Debug, PartialEq)]
pub enum TypeKind {
    /// `fn(int, int) -> bool`.
    Fn {
        /// What it takes.
        params: Vec<Type>,
        /// What it gives.
        result: Box<Type>,
    },
    /// `{ n: int, map }`.
    Record(Vec<Field>),
    /// `f32[.., d] as p`, `index(k)[B]`, `[like w]`.
    Tensor {
        /// The element type; `None` means the model's precision.
        dtype: Option<Dtype>,
        /// The axes; none for a scalar.
        axes: Vec<Axis>,
        /// How it is stored.
        pattern: Option<Box<Pattern>>,
    },
    /// `int`, `schedule`, `axis`, `mesh`.
    Name(Name),
}

/// `f32`, `index(k)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Dtype {
    /// Its name.
    pub name: Name,
    /// Its arguments; `None` without round brackets.
    pub args: Option<Vec<Arg>>,
}

/// One axis of a type.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Its form.
    pub kind: AxisKind,
    /// All of it.
    pub span: Span,
}

/// The forms of axes.
#[derive(Clone, Debug, PartialEq)]
pub enum AxisKind {
    /// `..`: the leading axes.
    Rest,
    /// `like w`: the axes of `w`.
    Like(Name),
    /// `from: n`.
    Labelled {
        /// Its label.
        label: Name,
        /// Its size.
        size: Expr,
    },
    /// `c <= cap`, or `c[e] <= cap`.
    Counted {
        /// The name of its live length.
        name: Name,
        /// The axes the length differs along.
        along: Vec<At>,
        /// Its capacity.
        cap: Expr,
    },
    /// `d`, `4 * d`.
    Size(Expr),
}

/// A sparsity pattern: a unit times quotas. At least one of them is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    /// `any`, `row`, `block(32, 32)`; a name of a pattern value or a wrapper too.
    pub unit: Option<Unit>,
    /// The quotas, in order.
    pub quotas: Vec<Quota>,
    /// All of it.
    pub span: Span,
}

/// The unit of a pattern.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// Its name.
    pub name: Name,
    /// Its arguments; `None` without round brackets.
    pub args: Option<Vec<Arg>>,
}

/// How much is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Quota {
    /// Its form.
    pub kind: QuotaKind,
    /// All of it.
    pub span: Span,
}

/// The forms of quotas.
#[derive(Clone, Debug, PartialEq)]
pub enum QuotaKind {
    /// `2:4`, `n:m along k`.
    Ratio {
        /// How many are kept: an int or a name.
        keep: Box<Expr>,
        /// Of how many: an int or a name.
        of: Box<Expr>,
        /// The axis of the groups.
        along: Option<Name>,
    },
    /// `keep 25%`.
    Keep(Box<Expr>),
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// Its form.
    pub kind: ExprKind,
    /// All of it, with round brackets around it.
    pub span: Span,
}

/// The forms of expressions. Round brackets leave no node.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// `12`.
    Int(i64),
    /// `0.5`, `1e-3`, and `25%` as 0.25.
    Real(f64),
    /// `"input.txt"`.
    Text(String),
    /// `x`.
    Name(Name),
    /// `@**.features`.
    Path(Select),
    /// `x => e`, `(q, k: int = 0) => e`.
    Lambda {
        /// The parameters.
        params: Vec<Field>,
        /// The value.
        value: Box<Expr>,
    },
    /// `if a { .. } else { .. }`.
    If {
        /// The condition.
        cond: Box<Expr>,
        /// Its value where the condition holds.
        then: Body,
        /// Its value elsewhere.
        other: Option<Box<Else>>,
    },
    /// `[a, b]`.
    List(Vec<Expr>),
    /// `[e for place in over]`.
    ListFor {
        /// One element.
        value: Box<Expr>,
        /// The counter or element of `over`.
        place: Place,
        /// What it runs over.
        over: Box<Expr>,
    },
    /// `{ n: 4, map: f }`.
    Record(Vec<Entered>),
    /// `-x`, `not x`.
    Unary {
        /// The operator.
        op: UnaryOp,
        /// Its operand.
        value: Box<Expr>,
    },
    /// `a + b`.
    Binary {
        /// The operator.
        op: BinaryOp,
        /// The left operand.
        left: Box<Expr>,
        /// The right operand.
        right: Box<Expr>,
    },
    /// `x |> f`.
    Pipe {
        /// What is handed on.
        left: Box<Expr>,
        /// To what.
        right: Box<Expr>,
    },
    /// `a..b`.
    Range {
        /// The first.
        start: Box<Expr>,
        /// One past the last.
        end: Box<Expr>,
    },
    /// `f(x, mask: m)`.
    Call {
        /// What is called.
        callee: Box<Expr>,
        /// With what, in the author's order.
        args: Vec<Arg>,
    },
    /// `x[.., i]`, `sum[j]`.
    Index {
        /// What is indexed.
        base: Box<Expr>,
        /// The subscript.
        index: Vec<At>,
    },
    /// `w.mask`.
    Field {
        /// The record or module.
        base: Box<Expr>,
        /// What of it.
        name: Name,
    },
    /// `Linear(h) with { w : 2:4 }`, `Gpt() with Half`.
    With {
        /// The module.
        base: Box<Expr>,
        /// What is put beside it.
        sheet: Beside,
    },
    /// A hole in broken text.
    Error,
}

/// What follows `else`.
#[derive(Clone, Debug, PartialEq)]
pub enum Else {
    /// `else if ..`: always an `ExprKind::If`.
    If(Expr),
    /// `else { .. }`.
    Body(Body),
}

/// What follows `with`.
#[derive(Clone, Debug, PartialEq)]
pub enum Beside {
    /// `{ w : 2:4 }`.
    Lines(Body),
    /// `Half`, `Half(0.5)`.
    Sheet {
        /// The sheet.
        name: Name,
        /// Its arguments; `None` without round brackets.
        args: Option<Vec<Arg>>,
    },
}

/// `name: value` in a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Entered {
    /// The name of the member.
    pub name: Name,
    /// Its value.
    pub value: Expr,
}

/// An argument.
#[derive(Clone, Debug, PartialEq)]
pub struct Arg {
    /// The parameter it is for.
    pub name: Option<Name>,
    /// Its value.
    pub value: Expr,
}

/// One element of a subscript.
#[derive(Clone, Debug, PartialEq)]
pub struct At {
    /// Its form.
    pub kind: AtKind,
    /// All of it.
    pub span: Span,
}

/// The forms of subscript elements.
#[derive(Clone, Debug, PartialEq)]
pub enum AtKind {
    /// `..`: the leading axes.
    Rest,
    /// `:`: the whole axis.
    All,
    /// `(t h)`: several indices in one axis, the left slowest.
    Merged(Vec<Binder>),
    /// `s: n`.
    Bound {
        /// The index.
        name: Name,
        /// Its range.
        range: Expr,
    },
    /// An index, a position, a range of positions.
    Expr(Expr),
}

/// `a` or `a: n` in a merged axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Binder {
    /// The index.
    pub name: Name,
    /// Its range.
    pub range: Option<Expr>,
    /// All of it.
    pub span: Span,
}

/// Operators in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `-`.
    Neg,
    /// `not`.
    Not,
}

/// Operators in between; `|>` and `..` have forms of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `or`.
    Or,
    /// `and`.
    And,
    /// `==`.
    Eq,
    /// `!=`.
    Ne,
    /// `<`.
    Lt,
    /// `<=`.
    Le,
    /// `>`.
    Gt,
    /// `>=`.
    Ge,
    /// `+`.
    Add,
    /// `-`.
    Sub,
    /// `*`.
    Mul,
    /// `/`.
    Div,
    /// `%`.
    Rem,
    /// `^`.
    Pow,
}
