//! `experts[pick](x)`: data choose the member of a list that is applied.
//!
//! Every member runs on all of `x`, and each place keeps the result that its position picks.

use super::Elaborator;
use super::axes::Axis;
use super::values::{Func, Tensor, Val};
use nnc_base::{Diagnostic, Span};
use nnc_ir::Dim;
use std::rc::Rc;

impl<'a> Elaborator<'a> {
    /// A list with a tensor as position: a function that applies the member it picks.
    pub(crate) fn picked(&mut self, members: &Rc<Vec<Val<'a>>>, pick: Tensor, span: Span) -> Val<'a> {
        if members.is_empty() || !members.iter().all(Val::is_callable) {
            let message = "data pick among blocks or functions only";
            return self.fail(
                Diagnostic::error("type::pick", span, message)
                    .help("a tensor is indexed by data: `table[pick[..], c]`"),
            );
        }
        if !self.dtype(&pick).is_int() {
            let message = format!("a position is an integer; this tensor holds {}", self.dtype(&pick));
            return self.fail(Diagnostic::error("type::dtype", span, message));
        }
        let count = members.len() as i64;
        match pick.bound.as_ref().and_then(Dim::as_constant) {
            Some(bound) if bound <= count => {
                Val::Func(Rc::new(Func::Picked { members: members.clone(), pick }))
            }
            Some(bound) => {
                let message = format!("positions below {bound} pick from a list of {count}");
                self.fail(Diagnostic::error("index::bounds", span, message).help("make the list longer"))
            }
            None => {
                let message = format!("nothing says that these positions are below {count}");
                let help = format!("give them a type: `let pick: index({count})[..] = ..`");
                self.fail(Diagnostic::error("dim::free", span, message).help(help))
            }
        }
    }

    /// Applies all members, and takes for each place the result of the one it picks.
    pub(crate) fn apply_picked(
        &mut self,
        members: &[Val<'a>],
        pick: &Tensor,
        args: &[Val<'a>],
        span: Span,
    ) -> Val<'a> {
        let mut results: Vec<Tensor> = Vec::new();
        for (place, member) in members.iter().enumerate() {
            let result = self.apply(member.clone(), args.to_vec(), span);
            let Some(result) = self.lift(&result, Some(self.precision), span) else { return Val::Unknown };
            if let Some(first) = results.first()
                && self.ty(first.value) != self.ty(result.value)
            {
                let (a, b) = (self.ty(first.value), self.ty(result.value));
                let message = format!("members 0 and {place} differ: {a} and {b}");
                return self.fail(
                    Diagnostic::error("type::pick", span, message)
                        .help("data pick among blocks that give one type; `for` takes any"),
                );
            }
            results.push(result);
        }
        let shared = |axis: &Axis| {
            pick.axes.iter().any(|p| p.size == axis.size && p.name == axis.name && p.index == axis.index)
        };
        let place = results[0].axes.iter().take_while(|axis| shared(axis)).count();
        for result in &mut results {
            let mut shape = self.ty(result.value).shape.clone();
            shape.insert(place, Dim::one());
            result.value = self.b.reshape(result.value, shape);
            result.axes.insert(place, Axis::sized(Dim::one()));
        }
        let Val::Tensor(all) = self.concatenated(&results, place, span) else { return Val::Unknown };
        self.gather(&all, place, pick, span).map_or(Val::Unknown, Val::Tensor)
    }
}
