//! Expressions: names, literals, choices, lists, records, pipes.

use super::calls::Given;
use super::values::{Binding, Func, Module, Recipe, Scope, Sheet, Val};
use super::{Elaborator, MAX_COPIES, builtins};
use nnc_base::{Diagnostic, Span};
use nnc_grammar::syntax as ast;
use nnc_ir::ops::{self, Op};
use nnc_ir::{DType, Dim};
use std::rc::Rc;

impl<'a> Elaborator<'a> {
    /// Evaluates an expression.
    pub(crate) fn expr(&mut self, expr: &'a ast::Expr, scope: &Rc<Scope<'a>>) -> Val<'a> {
        use ast::ExprKind as E;
        if !self.spend(1, expr.span) {
            return Val::Unknown;
        }
        match &expr.kind {
            E::Int(n) => Val::int(*n),
            E::Real(x) => Val::Real(*x),
            E::Text(text) => Val::text(text),
            E::Name(name) => self.read_name(&name.text, name.span, scope),
            E::Path(select) => Val::Path(select),
            E::Lambda { params, value } => {
                Val::Func(Rc::new(Func::Lambda { params, value, scope: scope.clone() }))
            }
            E::If { cond, then, other } => self.choice(cond, then, other.as_deref(), scope, expr.span),
            E::List(items) => Val::List(Rc::new(items.iter().map(|item| self.expr(item, scope)).collect())),
            E::ListFor { value, place, over } => self.list_for(value, place, over, scope),
            E::Record(entries) => {
                let members =
                    entries.iter().map(|e| (Rc::from(e.name.text.as_str()), self.expr(&e.value, scope)));
                Val::Record(Rc::new(members.collect()))
            }
            E::Unary { op, value } => {
                let value = self.expr(value, scope);
                self.unary(*op, value, expr.span)
            }
            E::Binary { op, left, right } => {
                let left = self.expr(left, scope);
                // `and`, `or` decide statically where they can: the right side may only make sense then.
                match (op, &left) {
                    (ast::BinaryOp::And, Val::Bool(false)) => return Val::Bool(false),
                    (ast::BinaryOp::Or, Val::Bool(true)) => return Val::Bool(true),
                    _ => {}
                }
                let right = self.expr(right, scope);
                self.binary(*op, left, right, expr.span)
            }
            E::Pipe { left, right } => {
                let left = self.expr(left, scope);
                let right_value = self.expr(right, scope);
                self.pipe(left, right_value, right.span)
            }
            E::Range { start, end } => match (self.size(start, scope), self.size(end, scope)) {
                (Some(start), Some(end)) => Val::Range(start, end),
                _ => Val::Unknown,
            },
            E::Call { callee, args } => self.call_expr(callee, args, scope, expr.span),
            E::Index { base, index } => self.index_expr(base, index, scope, expr.span),
            E::Field { base, name } => {
                let value = self.expr(base, scope);
                self.field(value, name)
            }
            E::With { base, sheet } => self.with_sheet(base, sheet, scope),
            E::Error => Val::Unknown,
        }
    }

    /// What a name means, without a report if it means nothing.
    pub(crate) fn lookup_quiet(&mut self, name: &str, scope: &Rc<Scope<'a>>) -> Option<Val<'a>> {
        match scope.get(name) {
            Some(Binding::Value(value)) => return Some(value),
            Some(Binding::Cell(cell)) => return Some(self.cells[cell].clone()),
            Some(Binding::Slot(slot)) => return Some(self.read_slot(slot)),
            Some(Binding::Broken) => return Some(Val::Unknown),
            None => {}
        }
        if let Some(item) = self.program.lookup(scope.source, name) {
            return Some(self.global(item));
        }
        builtins::constant(name).or_else(|| {
            builtins::find(name).map(|name| Val::Func(Rc::new(Func::Builtin { name, subscript: None })))
        })
    }

    /// What a name means.
    pub(crate) fn read_name(&mut self, name: &str, span: Span, scope: &Rc<Scope<'a>>) -> Val<'a> {
        if let Some(value) = self.lookup_quiet(name, scope) {
            return value;
        }
        // Its `use` line has been reported.
        if self.told_enough() || self.program.sources[scope.source].missing.contains(name) {
            return Val::Unknown;
        }
        // A search for what was meant is not repeated in every turn of a loop.
        if self.told("name::unknown", Some(span)) {
            return Val::Unknown;
        }
        let local = scope.all_names();
        let local = local.iter().map(|name| &**name);
        let diagnostic = crate::resolve::unknown_name(self.program, scope.source, name, span, local);
        self.fail(diagnostic)
    }

    /// The value of an item.
    pub(crate) fn global(&mut self, at: (usize, usize)) -> Val<'a> {
        if let Some(known) = self.globals.get(&at) {
            return known.clone();
        }
        let item = self.program.item(at);
        let value = match &item.kind {
            ast::ItemKind::Fn(decl) => Val::Func(Rc::new(Func::Named { decl, source: at.0, axes: None })),
            ast::ItemKind::Decl(decl) if decl.kind == ast::DeclKind::Sheet && decl.params.is_none() => {
                self.sheet_value(decl, at.0, &[])
            }
            ast::ItemKind::Decl(decl) => {
                let span = decl.name.span;
                Val::Recipe(Rc::new(Recipe::Decl { decl, source: at.0, args: Vec::new(), span }))
            }
            ast::ItemKind::Let(bind) => return self.global_let(at, bind, item.span),
            _ => Val::Unknown,
        };
        self.globals.insert(at, value.clone());
        value
    }

    fn global_let(&mut self, at: (usize, usize), bind: &'a ast::Bind, span: Span) -> Val<'a> {
        if self.open_globals.contains(&at) {
            return self.fail(
                Diagnostic::error("name::cycle", span, "this value is defined by itself")
                    .help("a value uses only what does not need it"),
            );
        }
        self.open_globals.push(at);
        let scope = self.root_scope(at.0);
        let value = self.isolated(|this| this.expr(&bind.value, &scope));
        self.open_globals.pop();
        self.globals.insert(at, value.clone());
        value
    }

    pub(crate) fn sheet_value(&mut self, decl: &'a ast::Decl, source: usize, args: &[Given<'a>]) -> Val<'a> {
        let scope = self.root_scope(source);
        let params = decl.params.as_deref().unwrap_or_default();
        if !self.bind_params(params, args, &scope, &decl.name.text, decl.name.span) {
            return Val::Unknown;
        }
        let rules = decl
            .body
            .stmts
            .iter()
            .filter_map(|s| if let ast::StmtKind::Rule(r) = &s.kind { Some(r) } else { None });
        Val::Sheet(Rc::new(Sheet { rules: rules.collect(), scope }))
    }

    fn with_sheet(&mut self, base: &'a ast::Expr, beside: &'a ast::Beside, scope: &Rc<Scope<'a>>) -> Val<'a> {
        let base = self.expr(base, scope);
        let sheet = match beside {
            ast::Beside::Lines(body) => {
                let rules = body
                    .stmts
                    .iter()
                    .filter_map(|s| if let ast::StmtKind::Rule(r) = &s.kind { Some(r) } else { None });
                Rc::new(Sheet { rules: rules.collect(), scope: scope.clone() })
            }
            ast::Beside::Sheet { name, args } => {
                let value = match args {
                    None => self.read_name(&name.text, name.span, scope),
                    Some(args) => {
                        let given = self.arguments(args, scope);
                        match self
                            .program
                            .lookup(scope.source, &name.text)
                            .map(|at| (at, &self.program.item(at).kind))
                        {
                            Some((at, ast::ItemKind::Decl(decl))) if decl.kind == ast::DeclKind::Sheet => {
                                self.sheet_value(decl, at.0, &given)
                            }
                            _ => self.read_name(&name.text, name.span, scope),
                        }
                    }
                };
                match value {
                    Val::Sheet(sheet) => sheet,
                    Val::Unknown => return Val::Unknown,
                    other => {
                        let message = format!("`with` needs a sheet, not {}", other.describe());
                        return self.fail(Diagnostic::error("role::wrong", name.span, message));
                    }
                }
            }
        };
        match base {
            Val::Unknown => Val::Unknown,
            base => Val::Recipe(Rc::new(Recipe::With { base, sheet })),
        }
    }

    /// `x |> f`.
    pub(crate) fn pipe(&mut self, left: Val<'a>, right: Val<'a>, span: Span) -> Val<'a> {
        match (&left, &right) {
            (Val::Unknown, _) | (_, Val::Unknown) => Val::Unknown,
            (l, r) if l.is_callable() && r.is_callable() => {
                let mut parts = Vec::new();
                for side in [&left, &right] {
                    match side {
                        Val::Recipe(recipe) => match &**recipe {
                            Recipe::Chain(list) => parts.extend(list.iter().cloned()),
                            _ => parts.push(side.clone()),
                        },
                        Val::Func(func) => match &**func {
                            Func::Chain(list) => parts.extend(list.iter().cloned()),
                            _ => parts.push(side.clone()),
                        },
                        _ => parts.push(side.clone()),
                    }
                }
                Val::Recipe(Rc::new(Recipe::Chain(parts)))
            }
            (_, r) if r.is_callable() => self.apply(right, vec![left], span),
            (_, other) => {
                let message =
                    format!("`|>` hands a value to a block or function, not to {}", other.describe());
                self.fail(Diagnostic::error("role::wrong", span, message))
            }
        }
    }

    fn choice(
        &mut self,
        cond: &'a ast::Expr,
        then: &'a ast::Body,
        other: Option<&'a ast::Else>,
        scope: &Rc<Scope<'a>>,
        span: Span,
    ) -> Val<'a> {
        match self.expr(cond, scope) {
            Val::Bool(true) => self.body(then, scope),
            Val::Bool(false) => match other {
                Some(ast::Else::If(expr)) => self.expr(expr, scope),
                Some(ast::Else::Body(body)) => self.body(body, scope),
                None => Val::None,
            },
            Val::Unknown => {
                // Both sides are looked at, so that their own errors are not hidden.
                self.body(then, scope);
                match other {
                    Some(ast::Else::If(expr)) => self.expr(expr, scope),
                    Some(ast::Else::Body(body)) => self.body(body, scope),
                    None => Val::Unknown,
                };
                Val::Unknown
            }
            Val::Tensor(tensor) if self.dtype(&tensor) == DType::Bool => {
                self.data_choice(tensor, then, other, scope, span)
            }
            found => {
                let message = format!("the condition is {}, not a truth value", found.describe());
                self.fail(Diagnostic::error("type::dtype", cond.span, message))
            }
        }
    }

    fn list_for(
        &mut self,
        value: &'a ast::Expr,
        place: &'a ast::Place,
        over: &'a ast::Expr,
        scope: &Rc<Scope<'a>>,
    ) -> Val<'a> {
        let Some(items) = self.static_list(over, scope) else { return Val::Unknown };
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            let inner = Scope::inside(scope);
            self.bind_element(place, item, &inner);
            list.push(self.isolated(|this| this.expr(value, &inner)));
        }
        Val::List(Rc::new(list))
    }

    /// The elements a `for` runs over.
    pub(crate) fn static_list(&mut self, over: &'a ast::Expr, scope: &Rc<Scope<'a>>) -> Option<Vec<Val<'a>>> {
        match self.expr(over, scope) {
            Val::List(list) => self.spend(list.len(), over.span).then(|| list.to_vec()),
            Val::Range(start, end) => match (start.as_constant(), end.as_constant()) {
                (Some(a), Some(b)) if b.saturating_sub(a) > MAX_COPIES => {
                    let message = format!("`for` makes {} copies", b.saturating_sub(a));
                    self.report(
                        Diagnostic::error("loop::copies", over.span, message).help("`loop` keeps one"),
                    );
                    None
                }
                (Some(a), Some(b)) => {
                    let copies = usize::try_from(b.saturating_sub(a)).unwrap_or(0);
                    self.spend(copies, over.span).then(|| (a..b).map(Val::int).collect())
                }
                _ => {
                    let message =
                        format!("`for` needs a static range; {start}..{end} is known at run time only");
                    self.report(Diagnostic::error("loop::static", over.span, message).help("use `loop`"));
                    None
                }
            },
            Val::Unknown => None,
            other => {
                let message = format!("`for` needs a list or a range, not {}", other.describe());
                self.report(
                    Diagnostic::error("loop::static", over.span, message).help("use `loop` for data"),
                );
                None
            }
        }
    }

    pub(crate) fn bind_element(&mut self, place: &'a ast::Place, item: Val<'a>, scope: &Rc<Scope<'a>>) {
        match &place.kind {
            ast::PlaceKind::Path { path, .. } => scope.set(&path[0].text, item),
            ast::PlaceKind::Tuple(names) => self.bind_tuple(names, item, scope, place.span),
        }
    }

    pub(crate) fn bind_tuple(
        &mut self,
        names: &'a [ast::Name],
        item: Val<'a>,
        scope: &Rc<Scope<'a>>,
        span: Span,
    ) {
        let parts: Vec<Val<'a>> = match &item {
            Val::List(list) if list.len() == names.len() => list.to_vec(),
            Val::Record(members) if members.len() == names.len() => {
                members.iter().map(|m| m.1.clone()).collect()
            }
            Val::Unknown => vec![Val::Unknown; names.len()],
            other => {
                let message = format!("{} names for {}", names.len(), other.describe());
                self.report(Diagnostic::error("type::value", span, message));
                vec![Val::Unknown; names.len()]
            }
        };
        for (name, part) in names.iter().zip(parts) {
            scope.set(&name.text, part);
        }
    }

    /// `value.name`.
    pub(crate) fn field(&mut self, value: Val<'a>, name: &'a ast::Name) -> Val<'a> {
        match &value {
            Val::Unknown => Val::Unknown,
            Val::Record(members) => match members.iter().find(|m| *m.0 == *name.text) {
                Some((_, value)) => value.clone(),
                None => {
                    let near = crate::nearest(&name.text, members.iter().map(|m| &*m.0));
                    let all: Vec<&str> = members.iter().map(|m| &*m.0).collect();
                    let message = format!("there is no `{}`; there are {}", name.text, all.join(", "));
                    let mut diagnostic = Diagnostic::error("name::unknown", name.span, message);
                    if let Some(near) = near {
                        diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
                    }
                    self.fail(diagnostic)
                }
            },
            Val::Module(module) => self.module_slot(module, name),
            Val::Recipe(recipe) => match &**recipe {
                Recipe::Decl { args, .. } => match args.iter().find(|a| *a.0 == *name.text) {
                    Some((_, value)) => value.clone(),
                    None => self.no_field(&value, name),
                },
                _ => self.no_field(&value, name),
            },
            _ => self.no_field(&value, name),
        }
    }

    fn no_field(&mut self, value: &Val<'a>, name: &ast::Name) -> Val<'a> {
        if matches!(value, Val::Tensor(_)) && name.text == "mask" {
            let message = "a dense weight has no `mask`";
            return self.fail(
                Diagnostic::error("sparse::dense_mask", name.span, message)
                    .help("a policy `on w as p` stores its weight on a mask"),
            );
        }
        let message = format!("{} has no `{}`", value.describe(), name.text);
        self.fail(Diagnostic::error("name::unknown", name.span, message))
    }

    fn module_slot(&mut self, module: &Rc<Module<'a>>, name: &'a ast::Name) -> Val<'a> {
        let path =
            if module.path.is_empty() { name.text.clone() } else { format!("{}.{}", module.path, name.text) };
        match self.by_path.get(&path) {
            Some(slot) => self.read_slot(*slot),
            None => {
                let message = format!("`{path}` has not been made yet");
                self.fail(
                    Diagnostic::error("name::unknown", name.span, message)
                        .help("a block's slots exist from its first application on"),
                )
            }
        }
    }

    /// A value for every element of a data-dependent condition: both sides, then a choice.
    fn data_choice(
        &mut self,
        cond: super::values::Tensor,
        then: &'a ast::Body,
        other: Option<&'a ast::Else>,
        scope: &Rc<Scope<'a>>,
        span: Span,
    ) -> Val<'a> {
        if super::bodies::writes_of_sides(then, other).is_empty() {
            let a = self.body(then, scope);
            let b = match other {
                Some(ast::Else::If(expr)) => self.expr(expr, scope),
                Some(ast::Else::Body(body)) => self.body(body, scope),
                None => return Val::None,
            };
            if matches!(a, Val::None) && matches!(b, Val::None) {
                return Val::None;
            }
            return self.choose(Val::Tensor(cond), a, b, span);
        }
        self.branch(cond, then, other, scope, span)
    }

    /// An operation on a scalar condition whose sides write: both sides run, and every changed place keeps the
    /// value of the side that was chosen.
    fn branch(
        &mut self,
        cond: super::values::Tensor,
        then: &'a ast::Body,
        other: Option<&'a ast::Else>,
        scope: &Rc<Scope<'a>>,
        span: Span,
    ) -> Val<'a> {
        // Slots that a side writes are read first, so that there is a value to keep.
        for name in super::bodies::writes_of_sides(then, other) {
            if let Some(Binding::Slot(slot)) = scope.get(name) {
                self.raw_slot(slot);
            }
        }
        let before = self.changeable();
        let a = self.body(then, scope);
        let after_then = self.changeable();
        self.restore_changeable(&before);
        let b = match other {
            Some(ast::Else::If(expr)) => self.expr(expr, scope),
            Some(ast::Else::Body(body)) => self.body(body, scope),
            None => Val::None,
        };
        let after_else = self.changeable();
        self.merge_changeable(&cond, &after_then, &after_else, span);
        match (&a, &b) {
            (Val::None, _) | (_, Val::None) => Val::None,
            _ => self.choose(Val::Tensor(cond), a, b, span),
        }
    }

    /// A tensor as a plain result of an operation on one operand.
    pub(crate) fn map_tensor(&mut self, op: impl Into<Op>, value: &Val<'a>, span: Span) -> Val<'a> {
        match self.lift(value, Some(self.precision), span) {
            Some(tensor) => self.elementwise(op, &[tensor], span),
            None => Val::Unknown,
        }
    }

    /// Converts to another element type; static numbers stay static.
    pub(crate) fn convert(&mut self, value: Val<'a>, dtype: DType, span: Span) -> Val<'a> {
        match value {
            Val::Int(dim) if dtype.is_float() => match dim.as_constant() {
                Some(n) => Val::Real(n as f64),
                None => {
                    let value = self.b.dim(dim, dtype);
                    Val::Tensor(super::values::Tensor { value, axes: Vec::new(), bound: None })
                }
            },
            Val::Real(x) if dtype.is_int() => Val::Int(Dim::constant(x.trunc() as i64)),
            Val::Real(_) | Val::Int(_) => value,
            Val::Bool(b) if dtype != DType::Bool => Val::Real(f64::from(b)),
            other => match self.lift(&other, None, span) {
                Some(tensor) => {
                    let axes = tensor.axes.clone();
                    self.tensor(ops::Cast { dtype }, &[tensor.value], axes, span)
                }
                None => Val::Unknown,
            },
        }
    }
}
