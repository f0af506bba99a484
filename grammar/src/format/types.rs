//! Types, fields, patterns.

use super::align::{Class, Row};
use super::doc::{Doc, concat, empty, text};
use super::pen::Pen;
use crate::syntax::{Axis, AxisKind, Field, Pattern, Quota, QuotaKind, Type, TypeKind};

impl Pen<'_> {
    pub(super) fn ty(&mut self, ty: &Type) -> Doc {
        match &ty.kind {
            TypeKind::Name(_) => self.token(),
            TypeKind::Record(fields) => self.list(fields, true, Pen::field),
            TypeKind::Fn { params, result } => {
                concat([self.token(), self.list(params, false, Pen::ty), self.spaced(), self.ty(result)])
            }
            TypeKind::Tensor { dtype, axes, pattern } => {
                let dtype = dtype.as_ref().map_or_else(empty, |dtype| {
                    let name = self.token();
                    concat([name, self.maybe_args(&dtype.args)])
                });
                let axes = self.list(axes, false, Pen::axis);
                concat([dtype, axes, self.stored(pattern.as_deref())])
            }
        }
    }

    /// ` as pattern`, if that follows.
    pub(super) fn stored(&mut self, pattern: Option<&Pattern>) -> Doc {
        pattern.map_or_else(empty, |pattern| concat([self.spaced(), self.pattern(pattern)]))
    }

    fn axis(&mut self, axis: &Axis) -> Doc {
        match &axis.kind {
            AxisKind::Rest => self.token(),
            AxisKind::Like(_) => concat([self.before(), self.token()]),
            AxisKind::Labelled { size, .. } => concat([self.token(), self.before(), self.expr(size)]),
            AxisKind::Size(size) => self.expr(size),
            AxisKind::Counted { along, cap, .. } => {
                let name = self.token();
                let along = if along.is_empty() { empty() } else { self.index(along) };
                concat([name, along, self.spaced(), self.expr(cap)])
            }
        }
    }

    pub(super) fn pattern(&mut self, pattern: &Pattern) -> Doc {
        let mut parts = Vec::new();
        if let Some(unit) = &pattern.unit {
            parts.extend([self.token(), self.maybe_args(&unit.args)]);
        }
        for quota in &pattern.quotas {
            parts.extend((!parts.is_empty()).then(|| text(" ")));
            parts.push(self.quota(quota));
        }
        concat(parts)
    }

    fn quota(&mut self, quota: &Quota) -> Doc {
        match &quota.kind {
            QuotaKind::Keep(share) => concat([self.before(), self.expr(share)]),
            QuotaKind::Ratio { along, .. } => {
                let ratio = concat([self.token(), self.token(), self.token()]);
                let along = along.as_ref().map_or_else(empty, |_| concat([self.spaced(), self.token()]));
                concat([ratio, along])
            }
        }
    }

    pub(super) fn field(&mut self, field: &Field) -> Doc {
        self.field_row(field).plain()
    }

    /// `name: type = default`, in columns.
    pub(super) fn field_row(&mut self, field: &Field) -> Row {
        let name = self.token();
        let cells = match &field.ty {
            None => vec![name],
            Some(ty) => vec![concat([name, self.token()]), self.ty(ty)],
        };
        let class = field.ty.as_ref().map_or(Class::Untyped, |_| Class::Typed);
        let tail = field.default.as_ref().map_or_else(empty, |value| self.assigned(value));
        Row { class: Some(class), cells, tail, space: " " }
    }
}
