//! `pullback(f, x)`: a gradient as an expression.

use super::Elaborator;
use super::calls::Given;
use super::values::{Tensor, Val};
use nnc_base::{Diagnostic, Span};
use nnc_ir::{Value, ops};
use std::rc::Rc;

impl<'a> Elaborator<'a> {
    /// The gradient of the scalar f(x) with respect to x, which is a tensor or a list or record of tensors. What else f
    /// reads is constant, even where it depends on x.
    pub(crate) fn pullback(&mut self, args: &[Given<'a>], span: Span) -> Val<'a> {
        let [f, Given { value: at, .. }] = args else {
            return self.argument_count("pullback", 2, args, span);
        };
        let several: Vec<Val<'a>> = match at {
            Val::List(list) => list.to_vec(),
            Val::Record(members) => members.iter().map(|(_, value)| value.clone()).collect(),
            one => vec![one.clone()],
        };
        let mut points: Vec<Tensor> = several.iter().filter_map(|value| value.tensor().cloned()).collect();
        if points.is_empty() || points.len() != several.len() {
            return self.argument_count("pullback", 2, args, span);
        }
        for point in &mut points {
            // A value of its own: only what f does with its argument counts.
            let shape = self.ty(point.value).shape.clone();
            point.value = self.b.apply(ops::Reshape { shape }, &[point.value]);
        }
        let given = points.iter().map(|point| Val::Tensor(point.clone())).collect();
        let y = self.apply(f.value.clone(), vec![structured(at, given)], span);
        let y = match y {
            Val::Unknown => return Val::Unknown,
            Val::Tensor(y) if y.axes.is_empty() && self.dtype(&y).is_float() => y,
            _ => {
                let message = "`pullback` needs a function that gives a scalar";
                return self.fail(Diagnostic::error("type::value", f.span, message));
            }
        };
        let one = self.b.fill_like(1.0, y.value);
        let wrt: Vec<Value> = points.iter().map(|point| point.value).collect();
        match crate::differentiate::pullback(&mut self.b, &[(y.value, one)], &wrt) {
            Ok(gradients) => {
                let made = points.into_iter().zip(gradients);
                structured(at, made.map(|(x, value)| Val::Tensor(Tensor { value, ..x })).collect())
            }
            Err(cuts) => {
                let message = "no path leads from the argument to the result";
                let mut diagnostic = Diagnostic::error("grad::lost", span, message);
                for place in cuts.iter().flat_map(|cut| &cut.places) {
                    diagnostic = diagnostic.label(place.span, place.reason.to_string());
                }
                self.fail(diagnostic)
            }
        }
    }
}

/// Values in the structure of `at`: a list, a record, or the only one.
fn structured<'a>(at: &Val<'a>, mut values: Vec<Val<'a>>) -> Val<'a> {
    match at {
        Val::List(_) => Val::List(Rc::new(values)),
        Val::Record(members) => {
            let names = members.iter().map(|(name, _)| name.clone());
            Val::Record(Rc::new(names.zip(values).collect()))
        }
        _ => values.pop().unwrap_or(Val::Unknown),
    }
}
