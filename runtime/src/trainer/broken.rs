//! When a loss is NaN or infinite: where that begins.

use super::Trainer;
use crate::call::{self, RunError};
use crate::tensor::HostTensor;
use crate::weights;
use nnc_ir::graph::{Port, Slot, SlotKind};
use nnc_ir::plan::Place;
use nnc_ir::session::{Device, HostBytes, Sizes};
use nnc_ir::{Array, Dim};

/// Finds where an output of an entry leaves the finite numbers, given what the plan reads, for people. Whoever compiled the
/// plan has the graph that tells it.
pub type Blame = Box<dyn Fn(&str, &str, &[(Port, Array)], &Sizes) -> Option<String>>;

/// Where numbers stop being finite.
pub(super) enum Break {
    /// In a slot, by its key: an earlier step wrote it.
    Slot(String),
    /// At an operation of this step.
    Operation(String),
}

/// The error of a step whose output `name` is `bad`.
pub(super) fn broken(step: u64, name: &str, bad: f64, place: Option<Break>) -> RunError {
    let begin = format!("`{name}` is {bad} at step {step}");
    let (message, help) = match place {
        Some(Break::Slot(path)) => (
            format!("{begin}; the first bad value is in `{path}`, from an earlier step"),
            "lower the learning rate, or set `clip`",
        ),
        Some(Break::Operation(place)) => (
            format!("{begin}; all weights are finite, and the first bad value is {place}"),
            "bound the argument there, or look for bad data",
        ),
        None => (
            format!("{begin}; all weights are finite, so the model or the loss overflows"),
            "look for a logarithm, a division or an exponential without a bound, or for bad data",
        ),
    };
    RunError::new("train::nan", message).help(help)
}

impl<D: Device> Trainer<D> {
    /// Where numbers stop being finite. An update whose loss is not finite is not made, so a bad slot is the cause and not
    /// the consequence, and otherwise the call can be repeated.
    pub(super) fn place_of_break(
        &mut self,
        entry: &str,
        output: &str,
        inputs: &[(&str, HostBytes)],
    ) -> Option<Break> {
        if let Some(path) = self.first_bad_slot() {
            return Some(Break::Slot(path));
        }
        let plan = call::entry(&self.plan, entry).ok()?.clone();
        let sizes = call::bind(&plan, inputs).ok()?;
        let read = plan.inputs.iter().map(|(port, place)| {
            let tensor = match port {
                Port::Named(name) => {
                    let (_, given) = inputs.iter().find(|(known, _)| known == name)?;
                    HostTensor::from_bytes(given.dtype, given.shape.clone(), &given.bytes)
                }
                Port::Slot(slot) => {
                    let Place { dtype, shape, .. } = &plan.places[place.0 as usize];
                    let size = |dim: &Dim| dim.evaluate(&|symbol| sizes.get(symbol).copied());
                    let shape = shape.iter().map(|dim| usize::try_from(size(dim)?).ok());
                    let shape = shape.collect::<Option<Vec<_>>>()?;
                    HostTensor::from_bytes(*dtype, shape, &self.session.get_slot(*slot).ok()?)
                }
            }?;
            Some((port.clone(), Array::new(tensor.shape().to_vec(), tensor.to_f64())))
        });
        let read = read.collect::<Option<Vec<_>>>()?;
        self.blame.as_ref()?(entry, output, &read, &sizes).map(Break::Operation)
    }

    fn first_bad_slot(&mut self) -> Option<String> {
        let slots = self.plan.slots.clone();
        // Caches are of this step: sums of gradients over micro-batches.
        let lasts = |slot: &Slot| slot.kind != SlotKind::Cache && slot.ty.dtype.is_float();
        let floats = slots.iter().enumerate().filter(|(_, slot)| lasts(slot));
        for (place, _) in floats {
            let parts = weights::values(&mut self.session, &slots, place).ok();
            for (key, tensor) in parts.into_iter().flatten() {
                if tensor.to_f64().iter().any(|x| !x.is_finite()) {
                    return Some(key);
                }
            }
        }
        None
    }
}
