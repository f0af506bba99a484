//! Expressions. A chain of one precedence breaks at all of its operators or at
//! none; a pipe also breaks where its author broke it.

use super::doc::{Doc, concat, empty, group, hard, line, lines, nest, text};
use super::pen::Pen;
use crate::syntax::{
    Arg, At, AtKind, Beside, BinaryOp, Binder, Else, Entered, Expr, ExprKind, Field, Place, PlaceKind,
};
use crate::tokens::TokenKind;

impl Pen<'_> {
    pub(super) fn expr(&mut self, expr: &Expr) -> Doc {
        let end = self.last(expr);
        self.within(expr, end)
    }

    /// `expr`, whose last token is `end`, with the round brackets around it.
    fn within(&mut self, expr: &Expr, end: usize) -> Doc {
        if !self.wraps(end) {
            return self.bare(expr);
        }
        let open = self.token();
        let inner = self.within(expr, self.earlier(end));
        self.enclosed(open, vec![inner], false)
    }

    fn bare(&mut self, expr: &Expr) -> Doc {
        match &expr.kind {
            ExprKind::Path(_) | ExprKind::Error => self.verbatim(expr.span),
            ExprKind::Int(_) | ExprKind::Real(_) | ExprKind::Text(_) | ExprKind::Name(_) => self.token(),
            ExprKind::Lambda { params, value } => self.lambda(params, value),
            ExprKind::If { .. } => self.choice(expr),
            ExprKind::List(all) => self.list(all, false, Pen::expr),
            ExprKind::ListFor { value, place, over } => self.list_for(value, place, over),
            ExprKind::Record(all) => self.list(all, true, Pen::entered),
            ExprKind::Unary { value, .. } => self.prefix(value),
            ExprKind::Binary { .. } | ExprKind::Pipe { .. } | ExprKind::Range { .. } => self.chain(expr),
            ExprKind::Call { callee, args } => concat([self.expr(callee), self.args(args)]),
            ExprKind::Index { base, index } => concat([self.expr(base), self.index(index)]),
            ExprKind::Field { base, .. } => concat([self.expr(base), self.token(), self.token()]),
            ExprKind::With { base, sheet } => concat([self.expr(base), self.spaced(), self.beside(sheet)]),
        }
    }

    fn prefix(&mut self, value: &Expr) -> Doc {
        let word = self.peek() == "not";
        let sign = if word { self.before() } else { self.token() };
        concat([sign, self.expr(value)])
    }

    fn beside(&mut self, sheet: &Beside) -> Doc {
        match sheet {
            Beside::Lines(body) => self.body(body),
            Beside::Sheet { args, .. } => concat([self.token(), self.maybe_args(args)]),
        }
    }

    pub(super) fn maybe_args(&mut self, args: &Option<Vec<Arg>>) -> Doc {
        args.as_ref().map_or_else(empty, |args| self.args(args))
    }

    pub(super) fn args(&mut self, args: &[Arg]) -> Doc {
        self.list(args, false, |pen, arg| {
            let name = if arg.name.is_some() { concat([pen.token(), pen.before()]) } else { empty() };
            concat([name, pen.expr(&arg.value)])
        })
    }

    fn entered(&mut self, entered: &Entered) -> Doc {
        concat([self.token(), self.before(), self.expr(&entered.value)])
    }

    fn list_for(&mut self, value: &Expr, place: &Place, over: &Expr) -> Doc {
        let open = self.token();
        let value = self.expr(value);
        let inner = vec![
            value,
            self.trailing(),
            line(),
            self.before(),
            self.place(place),
            self.spaced(),
            self.expr(over),
        ];
        self.enclosed(open, inner, false)
    }

    fn lambda(&mut self, params: &[Field], value: &Expr) -> Doc {
        let head = if self.peek() == "(" { self.list(params, false, Pen::field) } else { self.token() };
        let head = concat([head, text(" "), self.token()]);
        let value = self.expr(value);
        lines(vec![head.clone(), value.clone()], true, concat([head, text(" "), value]))
    }

    /// `if`, with each arm on a line of its own where all of it does not fit one.
    fn choice(&mut self, expr: &Expr) -> Doc {
        let mut arms = Vec::new();
        let mut next = Some(expr);
        while let Some(ExprKind::If { cond, then, other }) = next.map(|expr| &expr.kind) {
            let word = if arms.is_empty() { empty() } else { self.before() };
            arms.push(concat([word, self.before(), self.expr(cond), text(" "), self.body(then)]));
            next = None;
            match other.as_deref() {
                Some(Else::If(other)) => next = Some(other),
                Some(Else::Body(body)) => arms.push(concat([self.before(), self.body(body)])),
                None => {}
            }
        }
        let spaced =
            arms.iter().enumerate().flat_map(|(at, arm)| [text(if at == 0 { "" } else { " " }), arm.clone()]);
        let other = concat(spaced);
        lines(arms, false, other)
    }

    /// Operands and operators of one precedence.
    fn chain(&mut self, expr: &Expr) -> Doc {
        let level = level(expr);
        let mut spine = vec![expr];
        while let Some((left, _)) = spine.last().and_then(|expr| operands(expr)) {
            if self::level(left) != level || level == Level::Power || self.opens(left) {
                break;
            }
            spine.push(left);
        }
        let first =
            spine.last().and_then(|expr| operands(expr)).map_or_else(empty, |(left, _)| self.expr(left));
        // A line of the author's is a group: a break inside one leaves the others whole.
        let (mut rows, mut row) = (Vec::new(), vec![first]);
        for expr in spine.into_iter().rev() {
            if let Some((_, right)) = operands(expr) {
                if level == Level::Pipe && self.is_broken() {
                    rows.push(std::mem::take(&mut row));
                    row.extend([self.trailing(), hard()]);
                    rows.push(std::mem::take(&mut row));
                    row.extend([self.before(), self.expr(right)]);
                } else {
                    row.push(self.link(level, right));
                }
            }
        }
        rows.push(row);
        nest(concat(rows.into_iter().map(|row| group(concat(row)))))
    }

    /// Whether round brackets stand around all of `expr`.
    fn opens(&self, expr: &Expr) -> bool {
        let open = self.tokens.partition_point(|token| token.0.start < expr.span.start);
        self.matches.get(open) == Some(&crate::brackets::Match::Closed(self.last(expr)))
            && self.text[expr.span.range()].starts_with('(')
    }

    /// An operator and what follows it.
    fn link(&mut self, level: Level, right: &Expr) -> Doc {
        let comment = self.trailing();
        match level {
            Level::Range => concat([comment, self.token(), self.expr(right)]),
            Level::Pipe | Level::Or | Level::And => {
                concat([comment, line(), self.before(), self.expr(right)])
            }
            _ => concat([comment, text(" "), self.token(), self.trailing(), line(), self.expr(right)]),
        }
    }

    /// Whether the author put the next token on a new line.
    fn is_broken(&self) -> bool {
        self.tokens[self.at..self.next()].iter().any(|token| token.1 == TokenKind::Newline)
    }

    pub(super) fn index(&mut self, index: &[At]) -> Doc {
        self.list(index, false, Pen::at)
    }

    fn at(&mut self, at: &At) -> Doc {
        match &at.kind {
            AtKind::Rest | AtKind::All => self.token(),
            AtKind::Bound { range, .. } => concat([self.token(), self.before(), self.expr(range)]),
            AtKind::Expr(expr) => self.expr(expr),
            AtKind::Merged(binders) => self.merged(binders),
        }
    }

    fn merged(&mut self, binders: &[Binder]) -> Doc {
        let open = self.token();
        let mut inner = Vec::new();
        for (at, binder) in binders.iter().enumerate() {
            if at > 0 {
                inner.extend([self.trailing(), line()]);
            }
            inner.push(self.token());
            if let Some(range) = &binder.range {
                inner.extend([self.before(), self.expr(range)]);
            }
        }
        self.enclosed(open, inner, false)
    }

    pub(super) fn place(&mut self, place: &Place) -> Doc {
        match &place.kind {
            PlaceKind::Tuple(names) => self.list(names, false, |pen, _| pen.token()),
            PlaceKind::Path { path, index } => {
                let dots = 2 * path.len() - 1;
                let path = concat((0..dots).map(|_| self.token()).collect::<Vec<_>>());
                let index = index.as_ref().map_or_else(empty, |index| self.index(index));
                concat([path, index])
            }
        }
    }

    /// What follows `=`: on the next line if that keeps it whole.
    pub(super) fn assigned(&mut self, value: &Expr) -> Doc {
        let sign = self.token();
        let comment = self.trailing();
        let moves = moves(value);
        let value = self.expr(value);
        if comment.flat.is_none() {
            return concat([text(" "), sign, comment, nest(concat([hard(), value]))]);
        }
        let same = concat([text(" "), value.clone()]);
        let value = if moves { lines(vec![empty(), value], true, same) } else { same };
        concat([text(" "), sign, comment, value])
    }
}

/// Whether a value that does not fit its line is better whole on the next than broken.
fn moves(value: &Expr) -> bool {
    match &value.kind {
        ExprKind::Binary { .. } | ExprKind::Range { .. } | ExprKind::Unary { .. } | ExprKind::If { .. } => {
            true
        }
        ExprKind::Call { args, .. } => args.iter().all(|arg| arg.name.is_none()),
        ExprKind::Field { base, .. } => moves(base),
        _ => false,
    }
}

/// What breaks together.
#[derive(Clone, Copy, PartialEq)]
enum Level {
    Pipe,
    Or,
    And,
    Compare,
    Range,
    Sum,
    Product,
    Power,
    Whole,
}

fn level(expr: &Expr) -> Level {
    match &expr.kind {
        ExprKind::Pipe { .. } => Level::Pipe,
        ExprKind::Range { .. } => Level::Range,
        ExprKind::Binary { op, .. } => match op {
            BinaryOp::Or => Level::Or,
            BinaryOp::And => Level::And,
            BinaryOp::Add | BinaryOp::Sub => Level::Sum,
            BinaryOp::Mul | BinaryOp::Div | BinaryOp::Rem => Level::Product,
            BinaryOp::Pow => Level::Power,
            _ => Level::Compare,
        },
        _ => Level::Whole,
    }
}

fn operands(expr: &Expr) -> Option<(&Expr, &Expr)> {
    match &expr.kind {
        ExprKind::Pipe { left, right } | ExprKind::Binary { left, right, .. } => Some((left, right)),
        ExprKind::Range { start, end } => Some((start, end)),
        _ => None,
    }
}
