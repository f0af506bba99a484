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
            let same = part.axes.len() == first.axes.len()
                && (0..first.axes.len()).all(|a| a == axis || part.axes[a].size == first.axes[a].size);
            if !same {
                let (here, there) = (describe(&first.axes), describe(&part.axes));
                let message = format!("parts of a concatenation differ along other axes: {here} and {there}");
                let help = "all but the named axis have one size";
                return self.fail(Diagnostic::error("dim::mismatch", span, message).help(help));
            }
        }
        let dtype = parts.iter().fold(self.dtype(&first), |dtype, part| common_type(dtype, self.dtype(part)));
        let total = parts.iter().fold(Dim::zero(), |sum, part| &sum + &part.axes[axis].size);
        let mut axes: Vec<Axis> = first.axes.iter().map(|a| Axis { live: None, ..a.clone() }).collect();
        axes[axis].size = total;
        axes[axis].origin = None;
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
        Val::Tensor(Tensor { value: whole, axes, bound: None })
    }
}
