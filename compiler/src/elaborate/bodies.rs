//! Bodies: statements in order, cells and writes.

use super::Elaborator;
use super::axes::Axis;
use super::indices::{Left, name_at};
use super::values::{Binding, Recipe, Scope, Tensor, Val};
use nnc_base::{Diagnostic, Span};
use nnc_grammar::syntax as ast;
use nnc_ir::graph::SlotKind;
use nnc_ir::{DType, Dim, Type, ops};
use std::rc::Rc;

/// Values that `:=` may change: cells, and slots at all levels.
pub(crate) struct Changeable<'a> {
    cells: Vec<Val<'a>>,
    slots: Vec<Vec<Option<nnc_ir::Value>>>,
}

impl<'a> Elaborator<'a> {
    /// The value of a body: its last statement, if that is an expression.
    pub(crate) fn body(&mut self, body: &'a ast::Body, scope: &Rc<Scope<'a>>) -> Val<'a> {
        let inner = Scope::inside(scope);
        self.statements(&body.stmts, &inner)
    }

    /// Runs statements in a scope.
    pub(crate) fn statements(&mut self, stmts: &'a [ast::Stmt], scope: &Rc<Scope<'a>>) -> Val<'a> {
        let mut value = Val::None;
        for stmt in stmts {
            if self.overflow {
                return Val::Unknown;
            }
            value = self.statement(stmt, scope);
        }
        value
    }

    fn statement(&mut self, stmt: &'a ast::Stmt, scope: &Rc<Scope<'a>>) -> Val<'a> {
        match &stmt.kind {
            ast::StmtKind::Doc(_) => Val::None,
            ast::StmtKind::Expr(expr) => self.expr(expr, scope),
            ast::StmtKind::Let(bind) => self.let_statement(bind, scope),
            ast::StmtKind::Slot(slot) => self.slot_statement(slot, scope),
            ast::StmtKind::Write(write) => self.write_statement(write, scope, stmt.span),
            ast::StmtKind::Loop(looped) => self.loop_statement(looped, scope, stmt.span),
            ast::StmtKind::Penalty(penalty) => self.penalty_statement(penalty, scope),
            ast::StmtKind::Entry(entry) => self.entry_statement(entry, scope, stmt.span),
            ast::StmtKind::Error(names) => {
                for name in names {
                    scope.bind(&name.text, Binding::Broken);
                }
                Val::Unknown
            }
            ast::StmtKind::Fit(_) => {
                self.fail(Diagnostic::error("role::unknown", stmt.span, "`fit` stands in `train` only"))
            }
            ast::StmtKind::Rule(_) => self.fail(Diagnostic::error(
                "role::unknown",
                stmt.span,
                "lines that select paths stand in sheets only",
            )),
        }
    }

    fn let_statement(&mut self, bind: &'a ast::Bind, scope: &Rc<Scope<'a>>) -> Val<'a> {
        match &bind.place.kind {
            ast::PlaceKind::Tuple(names) => {
                let value = self.expr(&bind.value, scope);
                self.bind_tuple(names, value, scope, bind.place.span);
            }
            ast::PlaceKind::Path { path, index } => {
                let name = &path[0];
                if path.len() > 1 {
                    let message = "`let` names a new value; a path cannot be named";
                    return self.fail(Diagnostic::error("syntax::assign", bind.place.span, message));
                }
                let value = match index {
                    Some(ats) => self.indexed_let(name, ats, &bind.value, scope, bind.place.span),
                    None => {
                        let value = self.expr(&bind.value, scope);
                        self.named(value, &name.text, bind.value.span)
                    }
                };
                let value = match (&bind.ty, value) {
                    (Some(ty), Val::Tensor(t)) => {
                        let what = format!("`{}`", name.text);
                        self.bind_type(t, ty, scope, &what, bind.value.span)
                    }
                    (_, value) => value,
                };
                if let Val::Tensor(t) = &value {
                    let info = &mut self.b.function.values[t.value.0 as usize];
                    info.name.get_or_insert_with(|| name.text.clone());
                }
                scope.set(&name.text, value);
            }
        }
        Val::None
    }

    /// A recipe that is named is made.
    pub(crate) fn named(&mut self, value: Val<'a>, name: &str, span: Span) -> Val<'a> {
        match &value {
            Val::Recipe(recipe) if self.is_block(recipe) => {
                Val::Module(self.make(recipe.clone(), Some(name), span))
            }
            Val::List(list) if list.iter().any(|v| matches!(v, Val::Recipe(r) if self.is_block(r))) => {
                let made = list.iter().enumerate().map(|(place, item)| match item {
                    Val::Recipe(recipe) if self.is_block(recipe) => {
                        Val::Module(self.make_copy(recipe.clone(), name, place, span))
                    }
                    other => other.clone(),
                });
                Val::List(Rc::new(made.collect()))
            }
            _ => value,
        }
    }

    fn is_block(&self, recipe: &Rc<Recipe<'a>>) -> bool {
        match &**recipe {
            Recipe::Decl { decl, .. } => matches!(decl.kind, ast::DeclKind::Block | ast::DeclKind::Model),
            _ => true,
        }
    }

    fn indexed_let(
        &mut self,
        name: &'a ast::Name,
        ats: &'a [ast::At],
        value: &'a ast::Expr,
        scope: &Rc<Scope<'a>>,
        span: Span,
    ) -> Val<'a> {
        let Some((tensor, left)) = self.define(ats, value, scope, span) else { return Val::Unknown };
        let places: Vec<(usize, &Val<'a>)> = left
            .iter()
            .enumerate()
            .filter_map(|(i, l)| if let Left::At(v) = l { Some((i, v)) } else { None })
            .collect();
        match places.as_slice() {
            [] => Val::Tensor(tensor),
            [(place, Val::Int(position))] => {
                self.collect(name, tensor, *place, left.len(), position, &ats[*place])
            }
            _ => {
                let message = "a position on the left collects over the counter of a loop";
                self.fail(
                    Diagnostic::error("index::taken", span, message).help("rename it if an index is meant"),
                )
            }
        }
    }

    /// `let y[.., t, i] = ..` in a loop over `t`: the value outlives the loop.
    fn collect(
        &mut self,
        name: &'a ast::Name,
        tensor: Tensor,
        place: usize,
        elements: usize,
        position: &Dim,
        at: &'a ast::At,
    ) -> Val<'a> {
        let Some(frame) = self.loops.last() else {
            let text = name_at(at).map_or_else(|| position.to_string(), str::to_string);
            let message = format!("`{text}` is a value here, not a new index");
            return self.fail(
                Diagnostic::error("index::taken", at.span, message)
                    .help("a name that is a value already is no index: rename it on both sides"),
            );
        };
        let counts_up = (position - &Dim::from(&frame.counter)).symbols().iter().all(|s| *s != frame.counter);
        if !counts_up || !position.mentions(&frame.counter) {
            let message = "only the counter of the innermost loop collects";
            return self.fail(
                Diagnostic::error("loop::order", at.span, message)
                    .help("write `let y[.., t, i]` in `loop t`"),
            );
        }
        // Axes behind the counter keep their place, those in front include the leading ones.
        let behind = elements - 1 - place;
        let axis = tensor.axes.len() - behind;
        let collected = super::Collected { name: Rc::from(name.text.as_str()), tensor: tensor.clone(), axis };
        self.loops.last_mut().expect("a loop is open").collected.push(collected);
        Val::Tensor(tensor)
    }

    fn slot_statement(&mut self, slot: &'a ast::Slot, scope: &Rc<Scope<'a>>) -> Val<'a> {
        match slot.kind {
            ast::SlotKind::Weight => self.slot(slot, SlotKind::Weight, scope),
            ast::SlotKind::State => self.slot(slot, SlotKind::State, scope),
            ast::SlotKind::Cache if self.mode.session => self.slot(slot, SlotKind::Cache, scope),
            ast::SlotKind::Cache | ast::SlotKind::Carry => self.carry(slot, scope),
            ast::SlotKind::Input | ast::SlotKind::Output | ast::SlotKind::Branch => Val::None,
        }
    }

    /// A cell that `:=` changes.
    pub(crate) fn carry(&mut self, slot: &'a ast::Slot, scope: &Rc<Scope<'a>>) -> Val<'a> {
        let value = self.carry_value(slot, scope);
        self.cells.push(value);
        scope.bind(&slot.name.text, Binding::Cell(self.cells.len() - 1));
        Val::None
    }

    fn carry_value(&mut self, slot: &'a ast::Slot, scope: &Rc<Scope<'a>>) -> Val<'a> {
        let init = match (&slot.init, &slot.index) {
            (Some(init), Some(ats)) => match self.define(ats, init, scope, init.span) {
                Some((tensor, _)) => Val::Tensor(tensor),
                None => return Val::Unknown,
            },
            (Some(init), None) => self.expr(init, scope),
            (None, _) => Val::Real(0.0),
        };
        let Some(ty) = &slot.ty else { return init };
        let Some(declared) = self.declared(ty, scope, false) else { return Val::Unknown };
        let static_scalar = declared.axes.is_empty() && !matches!(init, Val::Tensor(_));
        if static_scalar && declared.dtype.is_some_and(DType::is_int) {
            return init;
        }
        let dtype = declared.dtype.unwrap_or(self.precision);
        let shape: Vec<Dim> = declared.axes.iter().map(|a| a.size.clone()).collect();
        if let Some(number) = init.as_real() {
            if !self.holds(dtype, number, slot.name.span) {
                return Val::Unknown;
            }
            let value = self.b.fill(number, Type::new(dtype, shape));
            return Val::Tensor(Tensor { value, axes: declared.axes, bound: declared.bound });
        }
        let Some(tensor) = self.lift(&init, Some(dtype), slot.name.span) else { return Val::Unknown };
        let Some(value) = self.spread(&tensor, &declared.axes, slot.name.span) else { return Val::Unknown };
        let value = self.b.cast(value, dtype);
        Val::Tensor(Tensor { value, axes: declared.axes, bound: declared.bound })
    }

    fn write_statement(&mut self, write: &'a ast::Write, scope: &Rc<Scope<'a>>, span: Span) -> Val<'a> {
        let ast::PlaceKind::Path { path, index } = &write.place.kind else {
            return self.fail(Diagnostic::error("slot::write", span, "one slot is written at a time"));
        };
        if path.len() > 1 {
            let message = format!(
                "masks such as `{}.{}` are stored patterns; their kernels are not built yet",
                path[0].text, path[1].text
            );
            return self.fail(
                Diagnostic::error("support::sparse", span, message)
                    .help("keep the mask in a `state` and a `view`"),
            );
        }
        let name = &path[0];
        let binding = scope.get(&name.text);
        let current = match &binding {
            Some(Binding::Cell(cell)) => self.cells[*cell].clone(),
            Some(Binding::Slot(slot)) => Val::Tensor(self.raw_slot(*slot)),
            Some(Binding::Broken) => return Val::Unknown,
            Some(Binding::Value(Val::Unknown)) => return Val::Unknown,
            Some(Binding::Value(_)) => {
                let message = format!("`{}` is a value; it never changes", name.text);
                return self.fail(
                    Diagnostic::error("slot::write", name.span, message).help("make it a `carry` or `state`"),
                );
            }
            None => {
                let message = format!("no slot `{}` here", name.text);
                return self.fail(
                    Diagnostic::error("name::unknown", name.span, message)
                        .help("declare it: `carry`, `state` or `cache`"),
                );
            }
        };
        let value = match index {
            None => self.expr(&write.value, scope),
            Some(ats) => match self.define(ats, &write.value, scope, write.place.span) {
                Some((tensor, left)) => self.place_value(&current, tensor, &left, span),
                None => Val::Unknown,
            },
        };
        if value.is_unknown() {
            return Val::Unknown;
        }
        match binding {
            Some(Binding::Cell(cell)) => {
                let value = self.same_type(&current, value, &name.text, write.value.span);
                self.cells[cell] = value;
            }
            Some(Binding::Slot(slot)) => self.write_slot(slot, value, write.value.span),
            _ => {}
        }
        Val::None
    }

    /// A new value of a cell in the type of the old one.
    pub(crate) fn same_type(&mut self, old: &Val<'a>, new: Val<'a>, name: &str, span: Span) -> Val<'a> {
        let Val::Tensor(before) = old else { return new };
        let dtype = self.dtype(before);
        let Some(tensor) = self.lift(&new, Some(dtype), span) else { return Val::Unknown };
        let live = tensor.axes.iter().any(|a| a.live.is_some()) || before.axes.len() != tensor.axes.len();
        let counted = before.axes.iter().any(|a| a.label) && before.axes.len() == tensor.axes.len();
        let differs =
            (0..before.axes.len().min(tensor.axes.len())).any(|a| before.axes[a].size != tensor.axes[a].size);
        if differs && counted && !live {
            // A cache outside sessions takes the size of what was appended.
            return Val::Tensor(tensor);
        }
        let lower = !tensor.axes.is_empty() && tensor.axes.len() != before.axes.len();
        if lower || (differs && before.axes.len() == tensor.axes.len()) {
            let message = format!(
                "`{name}` is {} and becomes {}",
                super::axes::describe(&before.axes),
                super::axes::describe(&tensor.axes)
            );
            return self.fail(Diagnostic::error("type::carry", span, message).help("a slot keeps its type"));
        }
        match self.spread(&tensor, &before.axes, span) {
            Some(value) => {
                let value = self.b.cast(value, dtype);
                Val::Tensor(Tensor { value, axes: before.axes.clone(), bound: before.bound.clone() })
            }
            None => Val::Unknown,
        }
    }

    /// `h[.., b, c] := e` with a position `b`: the value is put at its place.
    fn place_value(&mut self, current: &Val<'a>, tensor: Tensor, left: &[Left<'a>], span: Span) -> Val<'a> {
        if !left.iter().any(|l| matches!(l, Left::At(_))) {
            return Val::Tensor(tensor);
        }
        let Val::Tensor(base) = current else {
            return self.fail(Diagnostic::error("slot::write", span, "this slot has no axes to write at"));
        };
        let explicit = left.iter().filter(|l| !matches!(l, Left::Rest)).count();
        let rank = base.axes.len();
        if explicit > rank {
            return self.fail(Diagnostic::error(
                "dim::rank",
                span,
                format!("{explicit} positions for {rank} axes"),
            ));
        }
        let mut starts = vec![Dim::zero(); rank];
        let mut axes: Vec<Axis> = base.axes.clone();
        let mut shape: Vec<Dim> = axes.iter().map(|a| a.size.clone()).collect();
        for (place, element) in left.iter().filter(|l| !matches!(l, Left::Rest)).enumerate() {
            let axis = rank - explicit + place;
            match element {
                Left::At(Val::Int(dim)) => {
                    starts[axis] = dim.clone();
                    shape[axis] = Dim::one();
                }
                Left::At(Val::Unknown) => return Val::Unknown,
                Left::At(_) => {
                    let message = "a place to write at is a static position or a loop counter";
                    return self.fail(Diagnostic::error("slot::write", span, message));
                }
                _ => {}
            }
        }
        let kept: Vec<Axis> = (0..rank)
            .filter(|a| !shape[*a].is_one() || base.axes[*a].size.is_one())
            .map(|a| axes[a].clone())
            .collect();
        axes.truncate(rank);
        let Some(update) = self.spread(&tensor, &kept, span) else { return Val::Unknown };
        let dtype = self.dtype(base);
        let update = self.b.cast(update, dtype);
        let update = self.b.reshape(update, shape);
        self.tensor(ops::Insert { starts, axis: None }, &[base.value, update], axes, span)
    }

    fn penalty_statement(&mut self, penalty: &'a ast::Penalty, scope: &Rc<Scope<'a>>) -> Val<'a> {
        let value = self.expr(&penalty.value, scope);
        if value.is_unknown() {
            return Val::Unknown;
        }
        let Some(tensor) = self.lift(&value, Some(DType::F32), penalty.value.span) else {
            return Val::Unknown;
        };
        if !tensor.axes.is_empty() {
            let message = format!("penalty `{}` is a tensor, not a number", penalty.name.text);
            return self.fail(Diagnostic::error("type::value", penalty.value.span, message).help("sum it"));
        }
        let value = self.b.cast(tensor.value, DType::F32);
        let name = penalty.name.text.clone();
        if ["loss", "grad_norm"].contains(&name.as_str()) {
            let message = format!("`{name}` is reported of every step already");
            return self.fail(
                Diagnostic::error("name::twice", penalty.name.span, message).help("rename the penalty"),
            );
        }
        match self.loops.last_mut() {
            Some(frame) => frame.penalties.push((name, value)),
            None => self.penalties.push((name, value)),
        }
        Val::None
    }

    /// `logits = e` in a model.
    fn entry_statement(&mut self, entry: &'a ast::Entry, scope: &Rc<Scope<'a>>, span: Span) -> Val<'a> {
        let ast::Code::Expr(expr) = &entry.code else {
            let message = format!("`{}` is no entry of a block", entry.name.text);
            return self.fail(Diagnostic::error("role::unknown", span, message));
        };
        if !matches!(self.lookup_quiet(&format!("output {}", entry.name.text), scope), Some(Val::Bool(true)))
        {
            let message = format!("`{}` is no output", entry.name.text);
            return self.fail(Diagnostic::error("syntax::assign", entry.name.span, message).help(format!(
                "`let {0} = ..` names a new value, `{0} := ..` writes a slot",
                entry.name.text
            )));
        }
        let value = match &entry.head {
            ast::EntryHead::Index(ats) => match self.define(ats, expr, scope, span) {
                Some((tensor, _)) => Val::Tensor(tensor),
                None => Val::Unknown,
            },
            _ => self.expr(expr, scope),
        };
        if let Val::Tensor(t) = &value {
            self.b.function.values[t.value.0 as usize].name.get_or_insert_with(|| entry.name.text.clone());
        }
        scope.set(&entry.name.text, value);
        Val::None
    }

    /// What may have changed so far.
    pub(crate) fn changeable(&self) -> Changeable<'a> {
        Changeable { cells: self.cells.clone(), slots: self.slots.iter().map(|s| s.values.clone()).collect() }
    }

    /// Goes back to earlier values; slots read since keep their parameters.
    pub(crate) fn restore_changeable(&mut self, to: &Changeable<'a>) {
        for (cell, value) in self.cells.iter_mut().zip(&to.cells) {
            *cell = value.clone();
        }
        for (slot, values) in self.slots.iter_mut().zip(&to.slots) {
            for (now, before) in slot.values.iter_mut().zip(values) {
                if before.is_some() {
                    *now = *before;
                }
            }
        }
    }

    /// Chooses between two sets of values by a condition.
    pub(crate) fn merge_changeable(
        &mut self,
        cond: &Tensor,
        a: &Changeable<'a>,
        b: &Changeable<'a>,
        span: Span,
    ) {
        for cell in 0..self.cells.len() {
            let (x, y) = (a.cells.get(cell).cloned(), b.cells.get(cell).cloned());
            if let (Some(Val::Tensor(x)), Some(Val::Tensor(y))) = (&x, &y) {
                if x.value != y.value {
                    let (x, y) = (Val::Tensor(x.clone()), Val::Tensor(y.clone()));
                    self.cells[cell] = self.choose(Val::Tensor(cond.clone()), x, y, span);
                }
            } else if let (Some(x), Some(y)) = (x, y)
                && format!("{x:?}") != format!("{y:?}")
            {
                self.cells[cell] = self.choose(Val::Tensor(cond.clone()), x, y, span);
            }
        }
        for slot in 0..self.slots.len() {
            for level in 0..self.slots[slot].values.len() {
                let x = a.slots.get(slot).and_then(|v| v[level]);
                let y = b.slots.get(slot).and_then(|v| v[level]);
                if let (Some(x), Some(y)) = (x, y)
                    && x != y
                {
                    let axes = self.slots[slot].axes.clone();
                    let side = |value| Val::Tensor(Tensor { value, axes: axes.clone(), bound: None });
                    if let Val::Tensor(t) = self.choose(Val::Tensor(cond.clone()), side(x), side(y), span) {
                        self.slots[slot].values[level] = Some(t.value);
                    }
                }
            }
        }
    }
}

/// Names that `:=` writes in a body, nested bodies included.
pub(crate) fn writes_of(body: &ast::Body) -> Vec<&str> {
    let mut names = Vec::new();
    for stmt in &body.stmts {
        match &stmt.kind {
            ast::StmtKind::Write(write) => {
                if let ast::PlaceKind::Path { path, .. } = &write.place.kind {
                    names.push(path[0].text.as_str());
                }
            }
            ast::StmtKind::Loop(looped) => names.extend(writes_of(&looped.body)),
            ast::StmtKind::Expr(expr) => names.extend(writes_in_expr(expr)),
            ast::StmtKind::Let(bind) => names.extend(writes_in_expr(&bind.value)),
            _ => {}
        }
    }
    names
}

/// The same inside the bodies of an `if`.
fn writes_in_expr(expr: &ast::Expr) -> Vec<&str> {
    match &expr.kind {
        ast::ExprKind::If { then, other, .. } => writes_of_sides(then, other.as_deref()),
        _ => Vec::new(),
    }
}

/// The same in both sides of an `if`.
pub(crate) fn writes_of_sides<'a>(then: &'a ast::Body, other: Option<&'a ast::Else>) -> Vec<&'a str> {
    let mut names = writes_of(then);
    match other {
        Some(ast::Else::Body(body)) => names.extend(writes_of(body)),
        Some(ast::Else::If(expr)) => names.extend(writes_in_expr(expr)),
        None => {}
    }
    names
}
