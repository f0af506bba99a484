//! Precedence. The grammar gives operands and operators in a row; here they
//! become a tree, by binding power, loosest first: `|>`, `or`, `and`, `not`,
//! comparison, `..`, `+ -`, `* / %`, unary `-`, `^`.

use super::Reader;
use crate::syntax::{BinaryOp, Expr, ExprKind, UnaryOp};
use nnc_base::{Diagnostic, Span};
use std::iter::Peekable;
use std::vec::IntoIter;

/// One element of the row.
pub(super) enum Piece {
    Prefix(UnaryOp, Span),
    Operand(Expr),
    Infix(Infix, Span),
}

/// What joins two operands.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Infix {
    Pipe,
    Range,
    Binary(BinaryOp),
}

const NOT: u8 = 4;
const COMPARE: u8 = 5;
const RANGE: u8 = 6;
const NEGATE: u8 = 9;
const POWER: u8 = 10;

impl Infix {
    pub(super) fn of(sign: &str) -> Infix {
        Infix::Binary(match sign {
            "|>" => return Infix::Pipe,
            ".." => return Infix::Range,
            "or" => BinaryOp::Or,
            "and" => BinaryOp::And,
            "==" => BinaryOp::Eq,
            "!=" => BinaryOp::Ne,
            "<" => BinaryOp::Lt,
            "<=" => BinaryOp::Le,
            ">" => BinaryOp::Gt,
            ">=" => BinaryOp::Ge,
            "+" => BinaryOp::Add,
            "-" => BinaryOp::Sub,
            "*" => BinaryOp::Mul,
            "/" => BinaryOp::Div,
            "%" => BinaryOp::Rem,
            _ => BinaryOp::Pow,
        })
    }

    fn power(self) -> u8 {
        match self {
            Infix::Pipe => 1,
            Infix::Range => RANGE,
            Infix::Binary(op) => power(op),
        }
    }

    fn join(self, left: Expr, right: Expr) -> Expr {
        let span = left.span.to(right.span);
        let (left, right) = (Box::new(left), Box::new(right));
        let kind = match self {
            Infix::Pipe => ExprKind::Pipe { left, right },
            Infix::Range => ExprKind::Range { start: left, end: right },
            Infix::Binary(op) => ExprKind::Binary { op, left, right },
        };
        Expr { kind, span }
    }
}

/// How tightly an operator binds.
fn power(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Or => 2,
        BinaryOp::And => 3,
        BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge => COMPARE,
        BinaryOp::Add | BinaryOp::Sub => 7,
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::Rem => 8,
        BinaryOp::Pow => POWER,
    }
}

impl Reader<'_> {
    pub(super) fn climb(&mut self, row: Vec<Piece>) -> Expr {
        Climb { row: row.into_iter().peekable(), reader: self }.above(0)
    }
}

struct Climb<'r, 't> {
    row: Peekable<IntoIter<Piece>>,
    reader: &'r mut Reader<'t>,
}

impl Climb<'_, '_> {
    /// The longest expression whose operators bind at least as tightly as `least`.
    fn above(&mut self, least: u8) -> Expr {
        let mut left = self.operand();
        let mut chained: Option<Infix> = None;
        while let Some((sign, span)) = self.infix(least) {
            let power = sign.power();
            let right = self.above(if power == POWER { power } else { power + 1 });
            if matches!(power, COMPARE | RANGE) && chained.is_some_and(|before| before.power() == power) {
                self.chain(&left, sign, span, &right);
            }
            chained = Some(sign);
            left = sign.join(left, right);
        }
        left
    }

    fn infix(&mut self, least: u8) -> Option<(Infix, Span)> {
        let tight = |piece: &Piece| matches!(piece, Piece::Infix(sign, _) if sign.power() >= least);
        match self.row.next_if(tight)? {
            Piece::Infix(sign, span) => Some((sign, span)),
            _ => None,
        }
    }

    fn operand(&mut self) -> Expr {
        match self.row.next() {
            Some(Piece::Operand(expr)) => expr,
            Some(Piece::Prefix(op, span)) => self.prefix(op, span),
            _ => unreachable!("nn.pest puts an operand on both sides of an operator"),
        }
    }

    fn prefix(&mut self, op: UnaryOp, span: Span) -> Expr {
        let value = self.above(if op == UnaryOp::Not { NOT + 1 } else { NEGATE });
        let span = span.to(value.span);
        Expr { kind: ExprKind::Unary { op, value: Box::new(value) }, span }
    }

    /// Comparisons and ranges do not chain: `left` is already one.
    fn chain(&mut self, left: &Expr, sign: Infix, span: Span, right: &Expr) {
        let text = |span: Span| &self.reader.text[span.range()];
        let error = match (sign, &left.kind) {
            (Infix::Range, _) => Diagnostic::error("syntax::chain", span, "ranges do not chain")
                .help("a range has one `..`: `0..n`"),
            (_, ExprKind::Binary { right: middle, .. }) => {
                Diagnostic::error("syntax::chain", span, "comparisons do not chain").help(format!(
                    "`{} and {} {} {}`",
                    text(left.span),
                    text(middle.span),
                    text(span),
                    text(right.span)
                ))
            }
            _ => return,
        };
        self.reader.report(error);
    }
}
