//! Calling an entry from outside: what the caller gives is compared with what the entry takes, and run-time sizes are
//! read off the shapes, so that a mistake is told in the caller's words before anything runs.

use crate::file::error::{list, nearest};
use nnc_ir::graph::Port;
use nnc_ir::plan::{EntryPlan, Place, Plan};
use nnc_ir::session::{HostBytes, Sizes};
use nnc_ir::{DType, Symbol};
use std::collections::BTreeMap;
use std::fmt;

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
    let mut origin: BTreeMap<Symbol, String> = BTreeMap::new();
    for (name, place) in named(entry) {
        let Some((_, tensor)) = inputs.iter().find(|(given, _)| *given == name) else {
            let message = format!("input `{name}` is missing");
            return Err(RunError::new("call::input", message).help(expected(entry)));
        };
        check(name, place, tensor)?;
        for (axis, (dim, size)) in place.shape.iter().zip(&tensor.shape).enumerate() {
            let Some(symbol) = dim.as_symbol() else { continue };
            let here = format!("axis {axis} of `{name}`");
            match sizes.insert(symbol.clone(), *size as i64) {
                Some(known) if known != *size as i64 => {
                    let first = origin.get(symbol).cloned().unwrap_or_default();
                    let message = format!("`{symbol}` is {known} by {first} and {size} by {here}");
                    return Err(RunError::new("call::size", message));
                }
                _ => origin.insert(symbol.clone(), here),
            };
        }
    }
    Ok(sizes)
}

/// Element type, number of axes, and the sizes that are fixed.
fn check(name: &str, place: &Place, tensor: &HostBytes) -> Result<(), RunError> {
    let wanted = describe(place);
    let found = format!("{}{:?}", tensor.dtype, tensor.shape);
    let sizes = || place.shape.iter().zip(&tensor.shape);
    let fits = place.shape.len() == tensor.shape.len()
        && sizes().all(|(dim, size)| dim.as_constant().is_none_or(|fixed| fixed == *size as i64));
    if place.dtype == tensor.dtype && fits {
        return Ok(());
    }
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
    use std::borrow::Cow;

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
