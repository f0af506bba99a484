//! Rolled repetition: `loop`, `stack`, `repeat`, and topologies that join branches on the way.

use super::axes::Axis;
use super::modules::{base_name, branches, join, snake, unique};
use super::regions::RegionKind;
use super::values::{Binding, Func, Module, Recipe, Scope, Tensor, Val};
use super::{Elaborator, Frame, LoopFrame};
use nnc_base::{Diagnostic, Span};
use nnc_grammar::syntax as ast;
use nnc_ir::{Dim, Symbol, Value, ops};
use std::rc::Rc;

/// What changes from iteration to iteration.
#[derive(Clone, Copy, Debug)]
enum Carried {
    Cell(usize),
    Slot(usize),
}

impl<'a> Elaborator<'a> {
    /// `loop t in a..b { .. }` and `for x in list { .. }`.
    pub(crate) fn loop_statement(
        &mut self,
        looped: &'a ast::Loop,
        scope: &Rc<Scope<'a>>,
        span: Span,
    ) -> Val<'a> {
        if !looped.rolled {
            let Some(items) = self.static_list(&looped.over, scope) else { return Val::Unknown };
            for item in items {
                let inner = Scope::inside(scope);
                self.bind_element(&looped.place, item, &inner);
                // What a subscripted expression is differs from turn to turn.
                self.isolated(|this| this.statements(&looped.body.stmts, &inner));
            }
            return Val::None;
        }
        let (start, end) = match self.expr(&looped.over, scope) {
            Val::Range(start, end) => (start, end),
            Val::Unknown => return Val::Unknown,
            other => {
                let message = format!("`loop` runs over a range, not {}", other.describe());
                return self.fail(
                    Diagnostic::error("loop::static", looped.over.span, message).help("`for` takes lists"),
                );
            }
        };
        let ast::PlaceKind::Path { path, .. } = &looped.place.kind else {
            return self.fail(Diagnostic::error("loop::static", looped.place.span, "a loop has one counter"));
        };
        let carried = self.carried_names(&looped.body, scope);
        let name = &path[0].text;
        let count = &end - &start;
        if let Some(turns) = count.as_constant().filter(|turns| *turns < 0) {
            let message = format!("this loop runs {turns} times: from {start} to {end}");
            return self.fail(
                Diagnostic::error("dim::negative", looped.over.span, message)
                    .help("the end is not below the start"),
            );
        }
        let collected = self.rolled(name, None, &count, &carried, span, |this, counter| {
            let inner = Scope::inside(scope);
            inner.set(name, Val::Int(&start + counter));
            this.statements(&looped.body.stmts, &inner);
        });
        for (name, tensor) in collected {
            scope.set(&name, Val::Tensor(tensor));
        }
        Val::None
    }

    /// Cells and slots of the surroundings that a body writes.
    fn carried_names(&mut self, body: &'a ast::Body, scope: &Rc<Scope<'a>>) -> Vec<(Carried, Rc<str>)> {
        let mut found: Vec<(Carried, Rc<str>)> = Vec::new();
        for name in super::bodies::writes_of(body) {
            let carried = match scope.get(name) {
                Some(Binding::Cell(cell)) => Carried::Cell(cell),
                Some(Binding::Slot(slot)) => Carried::Slot(slot),
                _ => continue,
            };
            if !found.iter().any(|(_, known)| **known == *name) {
                found.push((carried, Rc::from(name)));
            }
        }
        found
    }

    /// One loop of the graph. `body` runs once, with the counter as a dim. A stack is known by its path: applied again, it
    /// is the same loop for the slots inside, which were made by its first application.
    #[allow(clippy::too_many_arguments)]
    fn rolled(
        &mut self,
        name: &str,
        stack: Option<&Rc<str>>,
        count: &Dim,
        carried: &[(Carried, Rc<str>)],
        span: Span,
        body: impl FnOnce(&mut Self, &Dim),
    ) -> Vec<(Rc<str>, Tensor)> {
        self.loop_count += 1;
        let counter = Symbol::new(&format!("{name}.{}", self.loop_count));
        self.ranges.counter(&counter, count);
        let id = match stack {
            Some(path) => *self.stacks.entry(path.clone()).or_insert(self.loop_count),
            None => self.loop_count,
        };
        let mut before: Vec<Tensor> = Vec::new();
        for (place, name) in carried {
            match self.carried_tensor(*place, name, span) {
                Some(tensor) => before.push(tensor),
                None => return Vec::new(),
            }
        }
        let path = self.frames.last().map(|frame| join(&frame.path, name)).unwrap_or_default();
        self.open_region(RegionKind::Loop(count.clone()), name, &path, span);
        self.b.open();
        let depth = self.b.depth();
        for ((place, _), tensor) in carried.iter().zip(&before) {
            let ty = self.ty(tensor.value).clone();
            let param = self.b.param(ty);
            self.set_carried(*place, Tensor { value: param, ..tensor.clone() });
        }
        let inside: Vec<Value> = self.b.current().params.clone();
        self.loops.push(LoopFrame {
            id,
            count: count.clone(),
            depth,
            slices: Vec::new(),
            penalties: Vec::new(),
            collected: Vec::new(),
            counter: counter.clone(),
            segment: segments(&self.frames.last().expect("a frame is open").path),
        });
        self.frames.last_mut().expect("a frame is open").loops.push(id);
        let outer_cache = std::mem::take(&mut self.base_cache);
        body(self, &Dim::from(&counter));
        self.base_cache = outer_cache;
        self.frames.last_mut().expect("a frame is open").loops.pop();
        let mut results: Vec<Value> = Vec::new();
        for ((place, name), tensor) in carried.iter().zip(&before) {
            let value = self.carried_result(*place, tensor, name, span);
            results.push(value.unwrap_or(inside[results.len()]));
        }
        let frame = self.loops.pop().expect("the loop was opened");
        self.close_region();
        self.close_loop(frame, carried, &before, results, &counter, span)
    }

    fn carried_tensor(&mut self, place: Carried, name: &str, span: Span) -> Option<Tensor> {
        match place {
            Carried::Slot(slot) => Some(self.raw_slot(slot)),
            Carried::Cell(cell) => match self.cells[cell].clone() {
                Val::Tensor(tensor) => Some(tensor),
                Val::Unknown => None,
                value @ (Val::Int(_) | Val::Real(_) | Val::Bool(_)) => {
                    let tensor = self.lift(&value, None, span);
                    if let Some(tensor) = &tensor {
                        self.cells[cell] = Val::Tensor(tensor.clone());
                    }
                    tensor
                }
                other => {
                    let message = format!("`{name}` is {}; a loop carries tensors", other.describe());
                    self.report(
                        Diagnostic::error("type::carry", span, message).help("`for` makes copies instead"),
                    );
                    None
                }
            },
        }
    }

    fn set_carried(&mut self, place: Carried, tensor: Tensor) {
        match place {
            Carried::Cell(cell) => self.cells[cell] = Val::Tensor(tensor),
            Carried::Slot(slot) => {
                let last = self.slots[slot].values.len() - 1;
                self.slots[slot].values[last] = Some(tensor.value);
            }
        }
    }

    fn carried_result(&mut self, place: Carried, before: &Tensor, name: &str, span: Span) -> Option<Value> {
        match place {
            Carried::Slot(slot) => Some(self.raw_slot(slot).value),
            Carried::Cell(cell) => {
                let now = self.cells[cell].clone();
                match self.same_type(&Val::Tensor(before.clone()), now, name, span) {
                    Val::Tensor(tensor) if self.ty(tensor.value) == self.ty(before.value) => {
                        Some(tensor.value)
                    }
                    _ => None,
                }
            }
        }
    }

    fn close_loop(
        &mut self,
        frame: LoopFrame,
        carried: &[(Carried, Rc<str>)],
        before: &[Tensor],
        mut results: Vec<Value>,
        counter: &Symbol,
        span: Span,
    ) -> Vec<(Rc<str>, Tensor)> {
        let (sliced, written) = self.close_slices(&frame);
        results.extend(frame.collected.iter().map(|c| c.tensor.value));
        results.extend(written.iter().map(|(_, _, value)| *value));
        results.extend(frame.penalties.iter().map(|(_, value)| *value));
        let block = self.b.close(results);
        let mut operands: Vec<Value> = before.iter().map(|t| t.value).collect();
        operands.extend(&sliced);
        let op = ops::Loop {
            counter: counter.clone(),
            count: frame.count.clone(),
            reverse: false,
            carried: before.len(),
            sliced: sliced.len(),
        };
        self.b.span = span;
        let values = match self.b.try_apply_blocks(op.into(), &operands, vec![block]) {
            Ok(values) => values,
            Err(error) => {
                if self.diagnostics.is_empty() {
                    self.report(Diagnostic::error(
                        "type::carry",
                        span,
                        format!("this loop {}", error.message),
                    ));
                }
                return Vec::new();
            }
        };
        let mut values = values.into_iter();
        for (((place, _), tensor), value) in carried.iter().zip(before).zip(values.by_ref()) {
            self.set_carried(*place, Tensor { value, ..tensor.clone() });
        }
        let collected: Vec<(Rc<str>, Tensor)> = frame
            .collected
            .iter()
            .zip(values.by_ref())
            .map(|(c, value)| (c.name.clone(), self.stacked(c, value, &frame)))
            .collect();
        for ((slot, level, _), value) in written.iter().zip(values.by_ref()) {
            self.slots[*slot].values[*level] = Some(value);
        }
        for ((name, _), value) in frame.penalties.iter().zip(values) {
            let total = self.b.sum(value, vec![0]);
            match self.loops.last_mut() {
                Some(outer) => outer.penalties.push((name.clone(), total)),
                None => self.penalties.push((name.clone(), total)),
            }
        }
        collected
    }

    /// Collected values with the loop's axis at its place.
    fn stacked(&mut self, collected: &super::Collected, value: Value, frame: &LoopFrame) -> Tensor {
        let rank = collected.tensor.axes.len() + 1;
        let order: Vec<usize> = (1..=collected.axis).chain([0]).chain(collected.axis + 1..rank).collect();
        let value = self.b.permute(value, order);
        let mut axes = collected.tensor.axes.clone();
        let size = frame.count.clone();
        axes.insert(collected.axis, Axis::named(&size.to_string(), size));
        Tensor { value, axes, bound: collected.tensor.bound.clone() }
    }

    /// `stack(n, block, join: T)` and `repeat(n, block)`.
    pub(crate) fn run_stack(
        &mut self,
        count: &Dim,
        block: &Val<'a>,
        topology: Option<&Val<'a>>,
        shared: bool,
        x: Val<'a>,
        span: Span,
    ) -> Val<'a> {
        let Some(x) = self.lift(&x, Some(self.precision), span) else { return Val::Unknown };
        let name = base_name(block).unwrap_or_else(|| "layer".into());
        let frame = self.frames.last_mut().expect("a frame is open");
        let name = unique(&mut frame.taken, &name);
        let path = join(&frame.path, &name);
        let outside = frame.loops.clone();
        let (block, sheets) = unwrap_sheets(block, &path);
        let added = sheets.len();
        self.sheets.extend(sheets);
        let parts = block_branches(&block);
        let result = if topology.is_none() && parts.is_empty() {
            self.run_plain(count, &block, &path, &name, shared, outside, x, span)
        } else {
            self.run_joined(Some(count), &block, &parts, topology, &path, shared, outside, x, span)
        };
        self.sheets.truncate(self.sheets.len() - added);
        result
    }

    #[allow(clippy::too_many_arguments)]
    fn run_plain(
        &mut self,
        count: &Dim,
        block: &Val<'a>,
        path: &Rc<str>,
        name: &str,
        shared: bool,
        outside: Vec<usize>,
        x: Tensor,
        span: Span,
    ) -> Val<'a> {
        self.cells.push(Val::Tensor(x));
        let cell = self.cells.len() - 1;
        let carried = [(Carried::Cell(cell), Rc::from(name))];
        for run in self.runs(path, count, shared) {
            let path: Rc<str> = Rc::from(format!("{path}{}", run.suffix));
            self.rolled(name, Some(&path), &run.count, &carried, span, |this, _| {
                let loops = this.copying_loops(shared, &outside);
                let now = this.cells[cell].clone();
                let next = this.apply_at(block, &path, loops, vec![now.clone()], span);
                this.cells[cell] = this.same_type(&now, next, name, span);
            });
        }
        self.cells[cell].clone()
    }

    /// The loops that copy what is made here: those around, or only those around the stack.
    fn copying_loops(&self, shared: bool, outside: &[usize]) -> Vec<usize> {
        match shared {
            true => outside.to_vec(),
            false => self.frames.last().map(|f| f.loops.clone()).unwrap_or_default(),
        }
    }

    fn apply_at(
        &mut self,
        block: &Val<'a>,
        path: &Rc<str>,
        loops: Vec<usize>,
        args: Vec<Val<'a>>,
        span: Span,
    ) -> Val<'a> {
        match block {
            Val::Recipe(recipe) => {
                let module = Rc::new(Module { recipe: recipe.clone(), path: path.clone(), loops });
                self.apply_module(&module, args, span)
            }
            other => self.apply(other.clone(), args, span),
        }
    }

    /// A block with branches applied once: joined by `Plain`.
    pub(crate) fn join_once(
        &mut self,
        block: Val<'a>,
        parts: &[&'a ast::Slot],
        path: &Rc<str>,
        x: Val<'a>,
        span: Span,
    ) -> Val<'a> {
        let Some(x) = self.lift(&x, Some(self.precision), span) else { return Val::Unknown };
        let outside = self.frames.last().map(|f| f.loops.clone()).unwrap_or_default();
        self.run_joined(None, &block, parts, None, path, false, outside, x, span)
    }

    #[allow(clippy::too_many_arguments)]
    fn run_joined(
        &mut self,
        count: Option<&Dim>,
        block: &Val<'a>,
        parts: &[&'a ast::Slot],
        topology: Option<&Val<'a>>,
        path: &Rc<str>,
        shared: bool,
        outside: Vec<usize>,
        x: Tensor,
        span: Span,
    ) -> Val<'a> {
        let Some((decl, source, settings)) = self.topology(topology, span) else { return Val::Unknown };
        let per_layer = parts.len().max(1) as i64;
        let joins = &count.cloned().unwrap_or_else(Dim::one) * &Dim::constant(per_layer);
        self.given.push((Rc::from("joins"), Val::Int(joins)));
        let result = self.run_topology(decl, source, &settings, x, span, |this, scope, entry| {
            let carried: Vec<(Carried, Rc<str>)> = scope
                .names
                .borrow()
                .iter()
                .filter_map(|(name, binding)| match binding {
                    Binding::Cell(cell) => Some((Carried::Cell(*cell), name.clone())),
                    _ => None,
                })
                .collect();
            let mut carried = carried;
            carried.sort_by(|a, b| a.1.cmp(&b.1));
            let layer = |this: &mut Self, counter: &Dim, path: &Rc<str>| {
                let loops = this.copying_loops(shared, &outside);
                let choices: Vec<Option<&'a ast::Slot>> =
                    if parts.is_empty() { vec![None] } else { parts.iter().map(|p| Some(*p)).collect() };
                for (place, part) in choices.into_iter().enumerate() {
                    let l = &(counter * &Dim::constant(per_layer)) + &Dim::constant(place as i64);
                    this.run_join(decl, entry, scope, block, part, path, &loops, l, span);
                }
            };
            match count {
                Some(count) => {
                    let name = path.rsplit(['.', ']']).next().filter(|name| !name.is_empty());
                    let name = name.unwrap_or("layer").to_string();
                    for run in this.runs(path, count, shared) {
                        let path: Rc<str> = Rc::from(format!("{path}{}", run.suffix));
                        this.rolled(&name, Some(&path), &run.count, &carried, span, |this, counter| {
                            layer(this, &(&run.first + counter), &path);
                        });
                    }
                }
                None => layer(this, &Dim::zero(), path),
            }
        });
        self.given.pop();
        result
    }

    #[allow(clippy::type_complexity)]
    fn topology(
        &mut self,
        topology: Option<&Val<'a>>,
        span: Span,
    ) -> Option<(&'a ast::Decl, usize, Vec<(Rc<str>, Val<'a>)>)> {
        let value = match topology {
            Some(value) => value.clone(),
            None => match self.program.library("Plain") {
                Some(at) => self.global(at),
                None => {
                    self.report(Diagnostic::error(
                        "name::unknown",
                        span,
                        "the library has no topology `Plain`",
                    ));
                    return None;
                }
            },
        };
        if let Val::Recipe(recipe) = &value
            && let Recipe::Decl { decl, source, args, .. } = &**recipe
            && decl.kind == ast::DeclKind::Topology
        {
            return Some((decl, *source, args.clone()));
        }
        if !value.is_unknown() {
            let message = format!("`join:` needs a topology, not {}", value.describe());
            self.report(Diagnostic::error("role::wrong", span, message));
        }
        None
    }

    /// Carries, then the layers, then what leaves.
    fn run_topology(
        &mut self,
        decl: &'a ast::Decl,
        source: usize,
        settings: &[(Rc<str>, Val<'a>)],
        x: Tensor,
        span: Span,
        layers: impl FnOnce(&mut Self, &Rc<Scope<'a>>, &'a ast::Entry),
    ) -> Val<'a> {
        let entry = |name: &str| {
            decl.body.stmts.iter().find_map(|s| match &s.kind {
                ast::StmtKind::Entry(entry) if entry.name.text == name => Some(entry),
                _ => None,
            })
        };
        let (Some(join), Some(leave)) = (entry("join"), entry("leave")) else {
            let missing = if entry("join").is_none() { "join(f) { .. }" } else { "leave = .." };
            let message = format!(
                "topology `{}` has no `{}`",
                decl.name.text,
                missing.split(['(', ' ']).next().unwrap_or("")
            );
            return self.fail(
                Diagnostic::error("role::entry", decl.name.span, message).help(format!("add `{missing}`")),
            );
        };
        let Some(scope) = self.enter_decl(decl, source, settings, vec![Val::Tensor(x.clone())], span) else {
            return Val::Unknown;
        };
        let inner = Scope::inside(&scope);
        for stmt in &decl.body.stmts {
            match &stmt.kind {
                ast::StmtKind::Entry(entry) if entry.name.text == "join" || entry.name.text == "leave" => {}
                ast::StmtKind::Entry(entry) => {
                    let message = format!("a topology has no entry `{}`", entry.name.text);
                    let near =
                        crate::nearest(&entry.name.text, ["join", "leave"]).unwrap_or_else(|| "join".into());
                    self.report(
                        Diagnostic::error("role::unknown", entry.name.span, message)
                            .help(format!("did you mean `{near}`?")),
                    );
                }
                _ => {
                    self.statements(std::slice::from_ref(stmt), &inner);
                }
            }
        }
        layers(self, &inner, join);
        let result = self.isolated(|this| this.code(&leave.code, &inner));
        match result {
            // What leaves has the axes of what came, where the sizes agree.
            Val::Tensor(mut tensor) => {
                for (axis, first) in tensor.axes.iter_mut().zip(&x.axes) {
                    if axis.size == first.size && axis.index.is_none() {
                        axis.name = first.name.clone();
                        axis.label = first.label;
                    }
                }
                Val::Tensor(tensor)
            }
            other => other,
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn run_join(
        &mut self,
        decl: &'a ast::Decl,
        entry: &'a ast::Entry,
        scope: &Rc<Scope<'a>>,
        block: &Val<'a>,
        part: Option<&'a ast::Slot>,
        path: &Rc<str>,
        loops: &[usize],
        l: Dim,
        span: Span,
    ) {
        let at = match part {
            Some(part) => join(path, &part.name.text),
            None => path.clone(),
        };
        let own = join(&at, &snake(&decl.name.text));
        let branch = Func::Branch { block: block.clone(), branch: part, path: path.clone() };
        let values = [Val::Func(Rc::new(branch)), Val::Int(l)];
        let inner = Scope::inside(scope);
        let ast::EntryHead::Params(params) = &entry.head else {
            let message = format!("`join` of `{}` takes the branch: `join(f) {{ .. }}`", decl.name.text);
            self.report(Diagnostic::error("role::entry", entry.name.span, message));
            return;
        };
        if params.is_empty() || params.len() > 2 {
            let message = "`join` takes the branch and, if wanted, the number of the join: `join(f, l)`";
            self.report(Diagnostic::error("role::entry", entry.name.span, message));
            return;
        }
        for (param, value) in params.iter().zip(values) {
            inner.set(&param.name.text, value);
        }
        self.frames.push(Frame { path: own, loops: loops.to_vec(), ..Frame::default() });
        self.depth += 1;
        let cache = std::mem::take(&mut self.base_cache);
        if !self.too_deep(span) {
            match &entry.code {
                ast::Code::Body(body) => {
                    self.statements(&body.stmts, &Scope::inside(&inner));
                }
                ast::Code::Expr(expr) => {
                    self.expr(expr, &inner);
                }
            }
        }
        self.base_cache = cache;
        self.depth -= 1;
        self.frames.pop();
    }
}

/// The branches of a block value.
fn block_branches<'a>(block: &Val<'a>) -> Vec<&'a ast::Slot> {
    match block {
        Val::Recipe(recipe) => match &**recipe {
            Recipe::Decl { decl, .. } => branches(decl),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// A block without the sheets that stand beside it.
#[allow(clippy::type_complexity)]
fn unwrap_sheets<'a>(
    block: &Val<'a>,
    path: &Rc<str>,
) -> (Val<'a>, Vec<(Rc<str>, Rc<super::values::Sheet<'a>>)>) {
    let (mut block, mut sheets) = (block.clone(), Vec::new());
    loop {
        let next = match &block {
            Val::Recipe(recipe) => match &**recipe {
                Recipe::With { base, sheet } => {
                    sheets.push((path.clone(), sheet.clone()));
                    base.clone()
                }
                _ => return (block, sheets),
            },
            _ => return (block, sheets),
        };
        block = next;
    }
}

/// How many names a path has.
fn segments(path: &str) -> usize {
    if path.is_empty() { 0 } else { nnc_ir::graph::segments(path).len() }
}
