//! Expressions.

use super::pratt::{Infix, Piece};
use super::{Kids, Node, Reader, Rule};
use crate::syntax::{Arg, At, AtKind, Beside, Binder, Else, Entered, Expr, ExprKind, Field, Name, UnaryOp};
use nnc_base::Span;

impl Reader<'_> {
    pub(crate) fn expr(&mut self, node: Node) -> Expr {
        let mut row = Vec::new();
        for part in node.into_inner() {
            match part.as_rule() {
                Rule::infix => row.push(self.infix(&part)),
                Rule::minus | Rule::not_ => row.push(self.sign(&part)),
                Rule::lambda => row.push(Piece::Operand(self.function(part))),
                _ => self.unary(part, &mut row),
            }
        }
        self.climb(row)
    }

    /// The sign of an operator; newlines and comments may stand in front of it.
    fn infix(&self, node: &Node) -> Piece {
        let sign = node.as_str().split_whitespace().next_back().unwrap_or_default();
        let end = self.span(node).end as usize;
        Piece::Infix(Infix::of(sign), self.clamped(end - sign.len(), end))
    }

    fn sign(&self, node: &Node) -> Piece {
        let op = if node.as_rule() == Rule::minus { UnaryOp::Neg } else { UnaryOp::Not };
        Piece::Prefix(op, self.span(node))
    }

    fn function(&mut self, node: Node) -> Expr {
        let span = self.span(&node);
        Expr { kind: self.lambda(node), span }
    }

    fn unary(&mut self, node: Node, row: &mut Vec<Piece>) {
        let mut kids = Kids::of(node);
        while matches!(kids.peek(), Some(Rule::minus | Rule::not_)) {
            row.push(self.sign(&kids.must()));
        }
        let mut operand = self.atom(kids.must());
        for post in kids.0 {
            operand = self.post(operand, post);
        }
        row.push(Piece::Operand(operand));
    }

    fn post(&mut self, base: Expr, node: Node) -> Expr {
        let span = base.span.to(self.span(&node));
        let base = Box::new(base);
        let mut kids = Kids::of(node);
        let part = kids.must();
        let kind = match part.as_rule() {
            Rule::args => ExprKind::Call { callee: base, args: self.args(part) },
            Rule::index => ExprKind::Index { base, index: self.index(part) },
            Rule::name => ExprKind::Field { base, name: self.name(&part) },
            _ => ExprKind::With { base, sheet: self.beside(kids) },
        };
        Expr { kind, span }
    }

    fn beside(&mut self, mut kids: Kids) -> Beside {
        let what = kids.must();
        if what.as_rule() == Rule::body {
            return Beside::Lines(self.body(what));
        }
        let args = kids.take(Rule::args).map(|args| self.args(args));
        Beside::Sheet { name: self.name(&what), args }
    }

    pub(super) fn args(&mut self, node: Node) -> Vec<Arg> {
        node.into_inner().map(|arg| self.arg(arg)).collect()
    }

    fn arg(&mut self, node: Node) -> Arg {
        let mut kids = Kids::of(node);
        let name = kids.take(Rule::name).map(|name| self.name(&name));
        Arg { name, value: self.expr(kids.must()) }
    }

    pub(super) fn index(&mut self, node: Node) -> Vec<At> {
        node.into_inner().map(|at| self.at(at)).collect()
    }

    fn at(&mut self, node: Node) -> At {
        let span = self.span(&node);
        let all = node.as_str().starts_with(':');
        let mut kids = Kids::of(node);
        let kind = match kids.peek() {
            None if all => AtKind::All,
            None => AtKind::Rest,
            Some(Rule::merged) => {
                AtKind::Merged(kids.must().into_inner().map(|part| self.binder(part)).collect())
            }
            Some(Rule::name) => {
                AtKind::Bound { name: self.name(&kids.must()), range: self.expr(kids.must()) }
            }
            _ => AtKind::Expr(self.expr(kids.must())),
        };
        At { kind, span }
    }

    fn binder(&mut self, node: Node) -> Binder {
        let span = self.span(&node);
        let mut kids = Kids::of(node);
        let name = self.name(&kids.must());
        let range = kids.take(Rule::unary).map(|range| {
            let mut row = Vec::new();
            self.unary(range, &mut row);
            self.climb(row)
        });
        Binder { name, range, span }
    }

    pub(super) fn variable(&self, node: &Node) -> Expr {
        let name: Name = self.name(node);
        Expr { span: name.span, kind: ExprKind::Name(name) }
    }

    fn atom(&mut self, node: Node) -> Expr {
        let span = self.span(&node);
        let part = Kids::of(node).must();
        let kind = match part.as_rule() {
            Rule::number => return self.number(part.as_str(), span),
            Rule::text => ExprKind::Text(self.quoted(&part).text),
            Rule::pick => ExprKind::Path(self.select(&part.as_str()[1..], behind(span))),
            Rule::choice => self.choice(part),
            Rule::list => self.list(part),
            Rule::record => self.record(part, span),
            Rule::paren => self.expr(Kids::of(part).must()).kind,
            _ => return self.variable(&part),
        };
        Expr { kind, span }
    }

    fn lambda(&mut self, node: Node) -> ExprKind {
        let mut kids = Kids::of(node);
        let head = kids.must();
        let params = match head.as_rule() {
            Rule::params => self.params(head),
            _ => {
                let name = self.name(&head);
                vec![Field { span: name.span, name, ty: None, default: None }]
            }
        };
        ExprKind::Lambda { params, value: Box::new(self.expr(kids.must())) }
    }

    fn choice(&mut self, node: Node) -> ExprKind {
        let mut kids = Kids::of(node);
        kids.take(Rule::if_);
        let cond = Box::new(self.expr(kids.must()));
        let then = self.body(kids.must());
        let other = kids.after(Rule::else_).map(|other| Box::new(self.other(other)));
        ExprKind::If { cond, then, other }
    }

    fn other(&mut self, node: Node) -> Else {
        let span = self.span(&node);
        match node.as_rule() {
            Rule::choice => Else::If(Expr { kind: self.choice(node), span }),
            _ => Else::Body(self.body(node)),
        }
    }

    fn list(&mut self, node: Node) -> ExprKind {
        let mut kids = Kids::of(node);
        let Some(first) = kids.take(Rule::expr) else { return ExprKind::List(Vec::new()) };
        let first = self.expr(first);
        if let Some(place) = kids.after(Rule::for_) {
            let place = self.place(place);
            kids.take(Rule::in_);
            let over = Box::new(self.expr(kids.must()));
            return ExprKind::ListFor { value: Box::new(first), place, over };
        }
        let mut all = vec![first];
        all.extend(kids.0.map(|element| self.expr(element)));
        ExprKind::List(all)
    }

    fn record(&mut self, node: Node, span: Span) -> ExprKind {
        if self.holes.iter().any(|hole| hole.open == span.start as usize) {
            return ExprKind::Error;
        }
        let mut kids = Kids::of(node);
        let mut all = Vec::new();
        while let Some(name) = kids.take(Rule::name) {
            all.push(Entered { name: self.name(&name), value: self.expr(kids.must()) });
        }
        ExprKind::Record(all)
    }
}

/// The span without its first byte.
fn behind(span: Span) -> Span {
    Span { start: span.start + 1, ..span }
}
