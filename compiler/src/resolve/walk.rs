//! Every name of an item, in the order of the text: whether it binds or is used.

use nnc_grammar::syntax::*;

/// What a walk meets.
#[derive(Clone, Copy)]
pub(super) enum Seen<'a> {
    /// A name that means something from here on: parameters, slots, sizes, indices.
    Binds(&'a Name),
    /// A name that must mean something.
    Uses(&'a Name),
    /// A call of something by its name.
    Calls(&'a Name, &'a [Arg]),
    /// What stands right of `|>`.
    Piped(&'a Expr),
    /// What stands behind `by`.
    By(&'a Expr),
    /// What stands behind `with`.
    Sheet(&'a Name),
}

/// Calls `see` on all names of a function or declaration.
pub(super) struct Walk<'a, 'f> {
    pub see: &'f mut dyn FnMut(Seen<'a>),
}

impl<'a> Walk<'a, '_> {
    pub fn item(&mut self, item: &'a Item) {
        match &item.kind {
            ItemKind::Fn(function) => self.function(function),
            ItemKind::Decl(decl) => self.decl(decl),
            ItemKind::Let(bind) => self.expr(&bind.value),
            ItemKind::Use(_) | ItemKind::Train(_) | ItemKind::Error(_) => {}
        }
    }

    fn binds(&mut self, name: &'a Name) {
        (self.see)(Seen::Binds(name));
    }

    fn function(&mut self, function: &'a Fn) {
        function.axes.iter().flatten().for_each(|axis| self.binds(axis));
        self.fields(&function.params);
        function.result.iter().for_each(|ty| self.ty(ty, true));
        function.requires.iter().for_each(|expr| self.expr(expr));
        self.code(&function.code);
        if let Some(backward) = &function.backward {
            (self.see)(Seen::Binds(&function.name));
            self.fields(&backward.params);
            self.body(&backward.body);
        }
    }

    fn decl(&mut self, decl: &'a Decl) {
        decl.params.iter().for_each(|params| self.fields(params));
        match &decl.subject {
            Some(Subject::Fields(fields)) => self.fields(fields),
            Some(Subject::One { name, ty, pattern, .. }) => {
                self.binds(name);
                ty.iter().for_each(|ty| self.ty(ty, true));
                // `on w as p` binds the pattern.
                if let Some(unit) = pattern.as_ref().and_then(|pattern| pattern.unit.as_ref()) {
                    self.binds(&unit.name);
                }
            }
            None => {}
        }
        self.fields(&decl.given);
        decl.result.iter().for_each(|ty| self.ty(ty, true));
        decl.requires.iter().for_each(|expr| self.expr(expr));
        self.body(&decl.body);
    }

    fn fields(&mut self, fields: &'a [Field]) {
        for field in fields {
            self.binds(&field.name);
            field.ty.iter().for_each(|ty| self.ty(ty, true));
            field.default.iter().for_each(|expr| self.expr(expr));
        }
    }

    fn code(&mut self, code: &'a Code) {
        match code {
            Code::Expr(expr) => self.expr(expr),
            Code::Body(body) => self.body(body),
        }
    }

    fn body(&mut self, body: &'a Body) {
        body.stmts.iter().for_each(|stmt| self.stmt(stmt));
    }

    fn stmt(&mut self, stmt: &'a Stmt) {
        match &stmt.kind {
            StmtKind::Doc(_) | StmtKind::Fit(_) => {}
            StmtKind::Error(names) => names.iter().for_each(|name| self.binds(name)),
            StmtKind::Slot(slot) => self.slot(slot),
            StmtKind::Penalty(penalty) => {
                self.binds(&penalty.name);
                self.expr(&penalty.value);
            }
            StmtKind::Let(bind) => {
                self.place(&bind.place, true);
                bind.ty.iter().for_each(|ty| self.ty(ty, true));
                self.expr(&bind.value);
            }
            StmtKind::Loop(looped) => {
                self.place(&looped.place, true);
                self.expr(&looped.over);
                self.body(&looped.body);
            }
            StmtKind::Rule(rule) => self.rule(rule),
            StmtKind::Write(write) => {
                self.place(&write.place, false);
                self.expr(&write.value);
            }
            StmtKind::Entry(entry) => {
                self.binds(&entry.name);
                match &entry.head {
                    EntryHead::Plain => {}
                    EntryHead::Params(params) => self.fields(params),
                    EntryHead::Index(ats) => self.ats(ats),
                }
                self.code(&entry.code);
            }
            StmtKind::Expr(expr) => self.expr(expr),
        }
    }

    fn slot(&mut self, slot: &'a Slot) {
        self.binds(&slot.name);
        slot.index.iter().for_each(|ats| self.ats(ats));
        slot.ty.iter().for_each(|ty| self.ty(ty, matches!(slot.kind, SlotKind::Input | SlotKind::Output)));
        slot.init.iter().for_each(|expr| self.expr(expr));
    }

    fn place(&mut self, place: &'a Place, binds: bool) {
        match &place.kind {
            PlaceKind::Tuple(names) => names.iter().for_each(|name| self.binds(name)),
            PlaceKind::Path { path, index } => {
                if let Some(first) = path.first() {
                    (self.see)(if binds { Seen::Binds(first) } else { Seen::Uses(first) });
                }
                index.iter().for_each(|ats| self.ats(ats));
            }
        }
    }

    fn rule(&mut self, rule: &'a Rule) {
        for setting in &rule.settings {
            match &setting.kind {
                SettingKind::Frozen => {}
                SettingKind::Set { value, .. } => self.expr(value),
                SettingKind::By(policies) => self.policies(policies),
                SettingKind::Pattern { by, .. } => self.policies(by),
            }
        }
    }

    fn policies(&mut self, policies: &'a [Expr]) {
        for policy in policies {
            (self.see)(Seen::By(policy));
            self.expr(policy);
        }
    }

    /// Sizes in the type of an argument are bound by what arrives; those of a slot must be known.
    fn ty(&mut self, ty: &'a Type, open: bool) {
        match &ty.kind {
            TypeKind::Fn { params, result } => {
                params.iter().for_each(|param| self.ty(param, true));
                self.ty(result, true);
            }
            TypeKind::Record(fields) => {
                fields.iter().for_each(|f| f.ty.iter().for_each(|ty| self.ty(ty, true)))
            }
            TypeKind::Tensor { axes, .. } => axes.iter().for_each(|axis| self.axis(axis, open)),
            TypeKind::Name(_) => {}
        }
    }

    fn axis(&mut self, axis: &'a Axis, open: bool) {
        let size = |this: &mut Self, size: &'a Expr| match &size.kind {
            ExprKind::Name(name) if open => this.binds(name),
            _ => this.expr(size),
        };
        match &axis.kind {
            AxisKind::Rest => {}
            AxisKind::Like(name) => (self.see)(Seen::Uses(name)),
            AxisKind::Labelled { label, size: of } => {
                self.binds(label);
                size(self, of);
            }
            AxisKind::Counted { name, cap, .. } => {
                self.binds(name);
                size(self, cap);
            }
            AxisKind::Size(of) => {
                size(self, of);
            }
        }
    }

    fn args(&mut self, args: &'a [Arg]) {
        args.iter().for_each(|arg| self.expr(&arg.value));
    }

    fn expr(&mut self, expr: &'a Expr) {
        match &expr.kind {
            ExprKind::Int(_)
            | ExprKind::Real(_)
            | ExprKind::Text(_)
            | ExprKind::Path(_)
            | ExprKind::Error => {}
            ExprKind::Name(name) => (self.see)(Seen::Uses(name)),
            ExprKind::Lambda { params, value } => {
                self.fields(params);
                self.expr(value);
            }
            ExprKind::If { cond, then, other } => self.choice(cond, then, other.as_deref()),
            ExprKind::List(items) => items.iter().for_each(|item| self.expr(item)),
            ExprKind::ListFor { value, place, over } => {
                self.place(place, true);
                self.expr(over);
                self.expr(value);
            }
            ExprKind::Record(entries) => entries.iter().for_each(|entry| self.expr(&entry.value)),
            ExprKind::Unary { value, .. } => self.expr(value),
            ExprKind::Binary { left, right, .. } => {
                self.expr(left);
                self.expr(right);
            }
            ExprKind::Pipe { left, right } => {
                self.expr(left);
                (self.see)(Seen::Piped(right));
                self.expr(right);
            }
            ExprKind::Range { start, end } => {
                self.expr(start);
                self.expr(end);
            }
            ExprKind::Call { callee, args } => {
                if let ExprKind::Name(name) = &callee.kind {
                    (self.see)(Seen::Calls(name, args));
                }
                self.expr(callee);
                self.args(args);
            }
            ExprKind::Index { base, index } => {
                self.expr(base);
                self.ats(index);
            }
            ExprKind::Field { base, .. } => self.expr(base),
            ExprKind::With { base, sheet } => self.with(base, sheet),
        }
    }

    fn choice(&mut self, cond: &'a Expr, then: &'a Body, other: Option<&'a Else>) {
        self.expr(cond);
        self.body(then);
        match other {
            Some(Else::If(expr)) => self.expr(expr),
            Some(Else::Body(body)) => self.body(body),
            None => {}
        }
    }

    fn with(&mut self, base: &'a Expr, sheet: &'a Beside) {
        self.expr(base);
        match sheet {
            Beside::Lines(body) => self.body(body),
            Beside::Sheet { name, args } => {
                (self.see)(Seen::Sheet(name));
                (self.see)(Seen::Uses(name));
                args.iter().for_each(|args| self.args(args));
            }
        }
    }

    /// In brackets a new name is an index.
    fn ats(&mut self, ats: &'a [At]) {
        for at in ats {
            match &at.kind {
                AtKind::Rest | AtKind::All => {}
                AtKind::Merged(binders) => binders.iter().for_each(|binder| {
                    self.binds(&binder.name);
                    binder.range.iter().for_each(|range| self.expr(range));
                }),
                AtKind::Bound { name, range } => {
                    self.binds(name);
                    self.expr(range);
                }
                AtKind::Expr(expr) => self.position(expr),
            }
        }
    }

    fn position(&mut self, expr: &'a Expr) {
        match &expr.kind {
            ExprKind::Name(name) => self.binds(name),
            ExprKind::Unary { value, .. } => self.position(value),
            ExprKind::Binary { left, right, .. } => {
                self.position(left);
                self.position(right);
            }
            _ => self.expr(expr),
        }
    }
}
