//! Calling an entry from outside: what the caller gives is compared with what the entry takes, and run-time sizes are
//! read off the shapes, so that a mistake is told in the caller's words before anything runs.

use crate::file::error::{list, nearest};
use crate::tensor::{Element, HostTensor};
use nnc_ir::graph::Port;
use nnc_ir::plan::{EntryPlan, Place, Plan};
use nnc_ir::session::{Device, HostBytes, Output, Session, Sizes};
use nnc_ir::{DType, Symbol};
use std::borrow::Cow;
use std::fmt;

/// A named result.
pub type Named = (String, HostTensor);

/// Why a model could not be made or a call did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunError {
    /// `family::name`, stable.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
    /// What would work.
    pub help: Option<String>,
}

impl RunError {
    /// An error without a remedy.
    pub fn new(code: &'static str, message: impl Into<String>) -> RunError {
        RunError { code, message: message.into(), help: None }
    }

    /// Says what would work.
    pub fn help(mut self, help: impl Into<String>) -> RunError {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.code, self.message)?;
        self.help.iter().try_for_each(|help| write!(f, "\n  help: {help}"))
    }
}

impl std::error::Error for RunError {}

impl From<crate::file::FileError> for RunError {
    fn from(error: crate::file::FileError) -> RunError {
        let help = error.help.clone();
        RunError {
            code: error.code,
            message: crate::file::FileError { help: None, ..error }.to_string(),
            help,
        }
    }
}

/// The entry called `name`.
pub fn entry<'p>(plan: &'p Plan, name: &str) -> Result<&'p EntryPlan, RunError> {
    let names = plan.entries.iter().map(|entry| entry.name.as_str());
    plan.entries.iter().find(|entry| entry.name == name).ok_or_else(|| {
        let error = RunError::new("call::entry", format!("there is no entry `{name}`"));
        match nearest(name, names.clone()) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => error.help(format!("there are {}", list(names))),
        }
    })
}

/// The inputs of an entry that the caller gives, with their places.
fn named(entry: &EntryPlan) -> impl Iterator<Item = (&str, &Place)> {
    entry.inputs.iter().filter_map(|(port, id)| match port {
        Port::Named(name) => Some((name.as_str(), entry.places.get(id.0 as usize)?)),
        Port::Slot(_) => None,
    })
}

/// Calls an entry. Run-time sizes are read off the inputs; results come in the order of the entry.
pub fn call<D: Device>(
    session: &mut Session<D>,
    plan: &Plan,
    name: &str,
    inputs: &[(&str, HostBytes)],
) -> Result<Vec<Named>, RunError> {
    let sizes = bind(entry(plan, name)?, inputs)?;
    let outputs = session.call(name, inputs, &sizes);
    let outputs = outputs.map_err(|error| RunError::new("call::run", error.to_string()))?;
    let host = |(name, bytes): Output| {
        let tensor = HostTensor::from_bytes(bytes.dtype, bytes.shape, &bytes.bytes).ok_or_else(|| {
            RunError::new("call::run", format!("output `{name}` has another size than its shape"))
        })?;
        Ok((name, tensor))
    };
    outputs.into_iter().map(host).collect()
}

/// Draws the initial values of all slots; the entry `init` must be there.
pub fn initialize<D: Device>(session: &mut Session<D>, plan: &Plan, seed: u32) -> Result<(), RunError> {
    let inputs = if takes(entry(plan, "init")?, "seed") { vec![("seed", scalar(seed))] } else { Vec::new() };
    call(session, plan, "init", &inputs).map(drop)
}

/// A tensor as an input.
pub fn view(tensor: &HostTensor) -> HostBytes<'_> {
    HostBytes { dtype: tensor.dtype(), shape: tensor.shape().to_vec(), bytes: Cow::Borrowed(tensor.bytes()) }
}

/// A number as an input.
pub fn scalar<T: Element>(value: T) -> HostBytes<'static> {
    let tensor = HostTensor::scalar(value);
    HostBytes { dtype: T::DTYPE, shape: Vec::new(), bytes: Cow::Owned(tensor.bytes().to_vec()) }
}

/// Whether the entry takes an input of this name.
pub fn takes(entry: &EntryPlan, name: &str) -> bool {
    named(entry).any(|(known, _)| known == name)
}

/// Compares names, element types and shapes with what the entry takes; the run-time sizes of the call.
pub fn bind(entry: &EntryPlan, inputs: &[(&str, HostBytes)]) -> Result<Sizes, RunError> {
    if let Some((name, _)) = inputs.iter().find(|(name, _)| !takes(entry, name)) {
        let message = format!("entry `{}` has no input `{name}`", entry.name);
        return Err(RunError::new("call::input", message).help(expected(entry)));
    }
    let mut sizes = Sizes::new();
    for (name, place) in named(entry) {
        let Some((_, tensor)) = inputs.iter().find(|(given, _)| *given == name) else {
            let message = format!("input `{name}` is missing");
            return Err(RunError::new("call::input", message).help(expected(entry)));
        };
        check(name, place, tensor)?;
        for (dim, size) in place.shape.iter().zip(&tensor.shape) {
            let Some(symbol) = dim.as_symbol() else { continue };
            if *sizes.entry(symbol.clone()).or_insert(*size as i64) != *size as i64 {
                return Err(conflict(entry, inputs, symbol));
            }
        }
    }
    Ok(sizes)
}

/// Two axes that give a run-time size different values: the first that has it, and the first that differs.
fn conflict(entry: &EntryPlan, inputs: &[(&str, HostBytes)], symbol: &Symbol) -> RunError {
    let mut axes: Vec<(usize, String)> = Vec::new();
    for (name, place) in named(entry) {
        let shape = inputs.iter().find(|(given, _)| *given == name).map_or(&[][..], |(_, t)| &t.shape);
        for (axis, (dim, size)) in place.shape.iter().zip(shape).enumerate() {
            if dim.as_symbol() == Some(symbol) && axes.iter().all(|(known, _)| known != size) {
                axes.push((*size, format!("axis {axis} of `{name}`")));
            }
        }
    }
    let told: Vec<String> = axes.iter().take(2).map(|(size, axis)| format!("{size} by {axis}")).collect();
    RunError::new("call::size", format!("`{symbol}` is {}", told.join(" and ")))
}

/// Element type, number of axes, and the sizes that are fixed.
fn check(name: &str, place: &Place, tensor: &HostBytes) -> Result<(), RunError> {
    let sizes = || place.shape.iter().zip(&tensor.shape);
    let fits = place.shape.len() == tensor.shape.len()
        && sizes().all(|(dim, size)| dim.as_constant().is_none_or(|fixed| fixed == *size as i64));
    if place.dtype == tensor.dtype && fits {
        return Ok(());
    }
    let (wanted, found) = (describe(place), format!("{}{:?}", tensor.dtype, tensor.shape));
    let message = format!("input `{name}` is {wanted}; {found} is given");
    let error = RunError::new("call::shape", message);
    Err(match (place.dtype == tensor.dtype, place.dtype) {
        (true, _) => error.help("names stand for sizes that the input itself decides"),
        (false, DType::F32) => error.help("store it as numbers of type float32"),
        (false, DType::I32) => error.help("store it as integers of type int32"),
        (false, dtype) => error.help(format!("store it as {dtype}")),
    })
}

fn describe(place: &Place) -> String {
    let sizes: Vec<String> = place.shape.iter().map(ToString::to_string).collect();
    format!("{}[{}]", place.dtype, sizes.join(", "))
}

fn expected(entry: &EntryPlan) -> String {
    let inputs: Vec<String> =
        named(entry).map(|(name, place)| format!("`{name}`: {}", describe(place))).collect();
    match inputs.as_slice() {
        [] => format!("`{}` takes no inputs", entry.name),
        inputs => format!("`{}` takes {}", entry.name, inputs.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nnc_ir::Dim;
    use nnc_ir::plan::{PlaceClass, PlaceId};

    fn pair() -> EntryPlan {
        let place =
            |name: &str, dtype, shape| Place { name: name.into(), dtype, shape, class: PlaceClass::Caller };
        let (b, t) = (Dim::symbol("B"), Dim::symbol("T"));
        let places = vec![
            place("token", DType::I32, vec![b.clone(), t]),
            place("image", DType::F32, vec![b, Dim::constant(3)]),
        ];
        let input = |name: &str, at| (Port::Named(name.into()), PlaceId(at));
        EntryPlan {
            name: "forward".into(),
            inputs: vec![input("token", 0), input("image", 1)],
            outputs: Vec::new(),
            places,
            steps: Vec::new(),
            guards: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn tensor(dtype: DType, shape: &[usize]) -> HostBytes<'static> {
        HostBytes { dtype, shape: shape.to_vec(), bytes: Cow::Borrowed(&[]) }
    }

    fn refused(inputs: &[(&str, HostBytes)]) -> String {
        bind(&pair(), inputs).unwrap_err().to_string()
    }

    #[test]
    fn sizes_are_read_off_the_shapes() {
        let inputs = [("token", tensor(DType::I32, &[4, 7])), ("image", tensor(DType::F32, &[4, 3]))];
        let sizes = bind(&pair(), &inputs).unwrap();
        assert_eq!(sizes, Sizes::from([(Symbol::new("B"), 4), (Symbol::new("T"), 7)]));
    }

    #[test]
    fn mistakes_name_what_is_expected() {
        let token = || ("token", tensor(DType::I32, &[4, 7]));
        let image = |shape: &[usize]| ("image", tensor(DType::F32, shape));
        assert!(refused(&[token()]).contains("`image` is missing"));
        assert!(refused(&[token()]).contains("`forward` takes `token`: i32[B, T], `image`: f32[B, 3]"));
        assert!(refused(&[token(), image(&[4, 3]), ("x", tensor(DType::F32, &[]))]).contains("no input `x`"));
        assert!(refused(&[token(), image(&[4, 2])]).contains("`image` is f32[B, 3]; f32[4, 2] is given"));
        assert!(refused(&[token(), image(&[4])]).contains("`image` is f32[B, 3]; f32[4] is given"));
        assert!(
            refused(&[token(), image(&[5, 3])])
                .contains("`B` is 4 by axis 0 of `token` and 5 by axis 0 of `image`")
        );
        let wrong = ("token", tensor(DType::F32, &[4, 7]));
        assert!(refused(&[wrong, image(&[4, 3])]).contains("store it as integers of type int32"));
    }
}
