//! Items: imports, globals, functions, declarations, training programs.

use super::{Kids, Node, Reader, Rule};
use crate::syntax::{
    Backward, Code, Decl, DeclKind, Expr, Field, Fn, Item, ItemKind, Subject, Train, Type, TypeKind, Use,
};

impl Reader<'_> {
    pub(crate) fn item(&mut self, node: Node) -> Item {
        let mut kids = Kids::of(node);
        let mut docs = Vec::new();
        while let Some(line) = kids.take(Rule::doc) {
            docs.push(self.doc(&line));
        }
        let what = kids.must();
        let span = self.span(&what);
        let kind = match what.as_rule() {
            Rule::r#use => ItemKind::Use(self.import(what)),
            Rule::global => ItemKind::Let(self.global(what)),
            Rule::func => ItemKind::Fn(self.func(what)),
            Rule::decl => ItemKind::Decl(self.decl(what)),
            _ => ItemKind::Train(self.train(what)),
        };
        Item { docs, kind, span }
    }

    fn import(&self, node: Node) -> Use {
        let brace = node.as_str().find('{').map(|at| node.as_span().start() + at);
        let inside = |name: &Node| brace.is_some_and(|brace| name.as_span().start() > brace);
        let names: Vec<Node> = node.into_inner().filter(|part| part.as_rule() == Rule::name).collect();
        let (names, path): (Vec<Node>, Vec<Node>) = names.into_iter().partition(inside);
        let all = |nodes: Vec<Node>| nodes.iter().map(|name| self.name(name)).collect();
        Use { path: all(path), names: brace.map(|_| all(names)) }
    }

    fn global(&mut self, node: Node) -> crate::syntax::Bind {
        let mut kids = Kids::of(node);
        kids.take(Rule::let_);
        self.bind(kids.must())
    }

    fn func(&mut self, node: Node) -> Fn {
        let mut kids = Kids::of(node);
        kids.take(Rule::fn_);
        let name = self.name(&kids.must());
        let axes = kids.take(Rule::subscript).map(|axes| self.names(axes));
        let params = self.params(kids.must());
        let result = kids.take(Rule::r#type).map(|ty| self.ty(ty));
        let requires = self.guard(&mut kids);
        let code = self.code(kids.must());
        let backward = kids.take(Rule::backward_).map(|word| self.backward(self.span(&word), &mut kids));
        Fn { name, axes, params, result, requires, code, backward }
    }

    fn backward(&mut self, word: nnc_base::Span, kids: &mut Kids) -> Backward {
        let params = self.params(kids.must());
        let body = self.body(kids.must());
        let span = word.to(body.span);
        Backward { params, body, span }
    }

    /// `= expr` or a body.
    pub(super) fn code(&mut self, node: Node) -> Code {
        match node.as_rule() {
            Rule::body => Code::Body(self.body(node)),
            _ => Code::Expr(self.expr(node)),
        }
    }

    fn decl(&mut self, node: Node) -> Decl {
        let mut kids = Kids::of(node);
        let kind = match kids.must().as_str() {
            "block" => DeclKind::Block,
            "model" => DeclKind::Model,
            "topology" => DeclKind::Topology,
            "policy" => DeclKind::Policy,
            _ => DeclKind::Sheet,
        };
        let mut head = Kids::of(kids.must());
        let name = self.name(&head.must());
        let params = head.take(Rule::params).map(|params| self.params(params));
        let subject = head.after(Rule::on_).map(|subject| self.subject(subject));
        let given = head.after(Rule::given_).map(|fields| self.fields(fields)).unwrap_or_default();
        let result = head.take(Rule::r#type).map(|ty| self.ty(ty));
        let requires = self.guard(&mut head);
        let body = self.body(kids.must());
        Decl { kind, name, params, subject, given, result, requires, body }
    }

    fn train(&mut self, node: Node) -> Train {
        let mut kids = Kids::of(node);
        kids.take(Rule::train_);
        let model = self.expr(kids.must());
        Train { model, body: self.body(kids.must()) }
    }

    fn guard(&mut self, kids: &mut Kids) -> Vec<Expr> {
        let Some(guard) = kids.take(Rule::guard) else { return Vec::new() };
        let conditions = guard.into_inner().filter(|part| part.as_rule() == Rule::expr);
        conditions.map(|condition| self.expr(condition)).collect()
    }

    fn subject(&mut self, node: Node) -> Subject {
        let span = self.span(&node);
        let mut kids = Kids::of(node);
        if let Some(fields) = kids.take(Rule::fields) {
            return Subject::Fields(self.fields(fields));
        }
        let name = self.name(&kids.must());
        let mut ty = kids.take(Rule::r#type).map(|ty| self.ty(ty));
        let own = kids.after(Rule::as_).map(|pattern| self.pattern(pattern));
        let pattern = own.or_else(|| ty.as_mut().and_then(pattern_of));
        Subject::One { name, ty, pattern, span }
    }

    pub(super) fn params(&mut self, node: Node) -> Vec<Field> {
        Kids::of(node).take(Rule::fields).map(|fields| self.fields(fields)).unwrap_or_default()
    }

    pub(super) fn fields(&mut self, node: Node) -> Vec<Field> {
        node.into_inner().map(|field| self.field(field)).collect()
    }

    fn field(&mut self, node: Node) -> Field {
        let span = self.span(&node);
        let mut kids = Kids::of(node);
        let name = self.name(&kids.must());
        let ty = kids.take(Rule::r#type).map(|ty| self.ty(ty));
        let default = kids.take(Rule::expr).map(|value| self.expr(value));
        Field { name, ty, default, span }
    }
}

/// Takes the pattern off a type: `on w: [m, n] as p` says it of the subject.
fn pattern_of(ty: &mut Type) -> Option<crate::syntax::Pattern> {
    match &mut ty.kind {
        TypeKind::Tensor { pattern, .. } => pattern.take().map(|pattern| *pattern),
        _ => None,
    }
}
