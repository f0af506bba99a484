//! `concat[a](x, y, ..)`: tensors one behind the other along an axis.

use super::Elaborator;
use super::arithmetic::common_type;
use super::axes::{Axis, describe};
use super::values::{Tensor, Val};
use nnc_base::{Diagnostic, Span};
use nnc_ir::{Dim, Type, ops};

impl<'a> Elaborator<'a> {
    /// Each part is a slice of one result. `axis` is a place in the first part; the others have theirs there too.
    pub(crate) fn concatenated(&mut self, parts: &[Tensor], axis: usize, span: Span) -> Val<'a> {
        let Some(first) = parts.first().cloned() else { return Val::Unknown };
        for part in &parts[1..] {
            let pairs = || first.axes.iter().zip(&part.axes).enumerate();
            let same = pairs().all(|(a, (here, there))| match a == axis {
                true => here.index == there.index,
                false => here.fits(there),
            });
            if part.axes.len() != first.axes.len() || !same {
                let (here, there) = (describe(&first.axes), describe(&part.axes));
                let message = format!("parts of a concatenation differ along other axes: {here} and {there}");
                let help = "all axes but the named one agree in size, label and index";
                return self.fail(Diagnostic::error("dim::mismatch", span, message).help(help));
            }
        }
        let dtype = parts.iter().fold(self.dtype(&first), |dtype, part| common_type(dtype, self.dtype(part)));
        let total = parts.iter().fold(Dim::zero(), |sum, part| &sum + &part.axes[axis].size);
        let agreed = |a: usize| {
            first.axes[a].live.filter(|_| parts.iter().all(|p| p.axes[a].live == first.axes[a].live))
        };
        let axes = first.axes.iter().enumerate().map(|(a, axis)| Axis { live: agreed(a), ..axis.clone() });
        let mut axes: Vec<Axis> = axes.collect();
        axes[axis] = Axis { size: total, live: None, origin: None, ..axes[axis].clone() };
        let bound = first.bound.clone().filter(|_| parts.iter().all(|part| part.bound == first.bound));
        let shape = axes.iter().map(|a| a.size.clone()).collect();
        let mut whole = self.b.fill(0.0, Type::new(dtype, shape));
        let mut starts = vec![Dim::zero(); axes.len()];
        for part in parts {
            let value = self.b.cast(part.value, dtype);
            let insert = ops::Insert { starts: starts.clone(), axis: None };
            let Some(next) = self.node(insert, &[whole, value], span) else { return Val::Unknown };
            whole = next;
            starts[axis] = &starts[axis] + &part.axes[axis].size;
        }
        Val::Tensor(Tensor { value: whole, axes, bound })
    }
}
