//! Types, axes, patterns.

use super::{Kids, Node, Reader, Rule};
use crate::syntax::{
    At, Axis, AxisKind, BinaryOp, Dtype, Expr, ExprKind, Name, Pattern, Quota, QuotaKind, Type, TypeKind,
    Unit,
};

impl Reader<'_> {
    pub(super) fn ty(&mut self, node: Node) -> Type {
        let span = self.span(&node);
        let mut kids = Kids::of(node);
        let kind = match kids.peek() {
            Some(Rule::fn_) => self.fn_type(kids),
            Some(Rule::fields) => TypeKind::Record(self.fields(kids.must())),
            _ => self.tensor(kids),
        };
        Type { kind, span }
    }

    fn fn_type(&mut self, mut kids: Kids) -> TypeKind {
        kids.take(Rule::fn_);
        let result = kids.0.next_back().expect("nn.pest promises a result");
        let params = kids.0.map(|ty| self.ty(ty)).collect();
        TypeKind::Fn { params, result: Box::new(self.ty(result)) }
    }

    fn tensor(&mut self, mut kids: Kids) -> TypeKind {
        let name = kids.take(Rule::name).map(|name| self.name(&name));
        let args = kids.take(Rule::args).map(|args| self.args(args));
        let axes = kids.take(Rule::axes);
        let pattern = kids.after(Rule::as_).map(|pattern| Box::new(self.pattern(pattern)));
        match (name, axes) {
            (Some(name), None) => TypeKind::Name(name),
            (name, axes) => {
                let dtype = name.map(|name| Dtype { name, args });
                let axes = axes.map(|axes| axes.into_inner().map(|axis| self.axis(axis)).collect());
                TypeKind::Tensor { dtype, axes: axes.unwrap_or_default(), pattern }
            }
        }
    }

    fn axis(&mut self, node: Node) -> Axis {
        let span = self.span(&node);
        let text = node.as_str();
        let start = node.as_span().start();
        let mut kids = Kids::of(node);
        let kind = match kids.peek() {
            None => AxisKind::Rest,
            Some(Rule::like_) => {
                kids.take(Rule::like_);
                AxisKind::Like(self.name(&kids.must()))
            }
            Some(Rule::name) => {
                let name = kids.must();
                let sign = text[name.as_span().end() - start..].trim_start();
                let counted = sign.starts_with('<');
                self.sized(self.name(&name), counted, kids.must())
            }
            _ => counted(self.expr(kids.must())),
        };
        Axis { kind, span }
    }

    fn sized(&mut self, name: Name, counted: bool, size: Node) -> AxisKind {
        let size = self.expr(size);
        match counted {
            true => AxisKind::Counted { name, along: Vec::new(), cap: size },
            false => AxisKind::Labelled { label: name, size },
        }
    }

    pub(super) fn pattern(&mut self, node: Node) -> Pattern {
        let span = self.span(&node);
        let mut kids = Kids::of(node);
        let name = kids.take(Rule::name).map(|name| self.name(&name));
        let args = kids.take(Rule::args).map(|args| self.args(args));
        let unit = name.map(|name| Unit { name, args });
        let quotas = kids.0.map(|quota| self.quota(quota)).collect();
        Pattern { unit, quotas, span }
    }

    fn quota(&mut self, node: Node) -> Quota {
        let span = self.span(&node);
        let mut kids = Kids::of(node);
        let first = kids.must();
        let kind = match first.as_rule() {
            Rule::keep_ => QuotaKind::Keep(Box::new(self.expr(kids.must()))),
            Rule::ratio => {
                let (keep, of) = self.ratio(&first);
                QuotaKind::Ratio { keep, of, along: self.along(&mut kids) }
            }
            _ => {
                let keep = Box::new(self.variable(&first));
                let of = Box::new(self.variable(&kids.must()));
                QuotaKind::Ratio { keep, of, along: self.along(&mut kids) }
            }
        };
        Quota { kind, span }
    }

    fn along(&self, kids: &mut Kids) -> Option<Name> {
        kids.after(Rule::along_).map(|axis| self.name(&axis))
    }

    fn ratio(&mut self, node: &Node) -> (Box<Expr>, Box<Expr>) {
        let start = self.base + node.as_span().start();
        let (keep, of) = node.as_str().split_once(':').unwrap_or_default();
        let behind = start + keep.len() + 1;
        let keep = self.number(keep, self.clamped(start, start + keep.len()));
        let of = self.number(of, self.clamped(behind, behind + of.len()));
        (Box::new(keep), Box::new(of))
    }
}

/// `c[e] <= cap` is an axis ragged along `e`; as an expression it is a comparison.
fn counted(size: Expr) -> AxisKind {
    match size.kind {
        ExprKind::Binary { op: BinaryOp::Le, left, right } => match ragged(*left) {
            Ok((name, along)) => AxisKind::Counted { name, along, cap: *right },
            Err(left) => {
                let kind = ExprKind::Binary { op: BinaryOp::Le, left: Box::new(left), right };
                AxisKind::Size(Expr { kind, span: size.span })
            }
        },
        kind => AxisKind::Size(Expr { kind, span: size.span }),
    }
}

/// The name and subscript of `c[e]`.
fn ragged(count: Expr) -> Result<(Name, Vec<At>), Expr> {
    match count.kind {
        ExprKind::Index { base, index } => match base.kind {
            ExprKind::Name(name) => Ok((name, index)),
            kind => {
                let base = Box::new(Expr { kind, span: base.span });
                Err(Expr { kind: ExprKind::Index { base, index }, span: count.span })
            }
        },
        kind => Err(Expr { kind, span: count.span }),
    }
}
