//! What can go wrong in a call, in the words of the caller.

use crate::Dim;
use crate::graph::Size;
use crate::plan::PlaceId;
use std::fmt;

/// Why a call did not run to its end. Only `Device` errors can leave slots half updated: all others come first.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum CallError<E> {
    /// The plan has no entry of this name.
    NoEntry(String),
    /// The plan has no such slot.
    NoSlot(usize),
    /// The plan names a kernel it does not have.
    NoKernel(u32),
    /// A step names a place the entry does not have.
    NoPlace(PlaceId),
    /// A needed input is not given.
    MissingInput(String),
    /// An input is given that the entry does not take.
    UnknownInput(String),
    /// An input has another type.
    InputType { name: String, expected: String, found: String },
    /// An input has too few or too many bytes.
    InputBytes { name: String, expected: usize, found: usize },
    /// A slot is set with too few or too many bytes.
    SlotBytes { path: String, expected: usize, found: usize },
    /// A slot that must keep its elements has another size at the sizes of this call.
    SlotSize { path: String, expected: usize, found: usize },
    /// A dim cannot be computed from the sizes given.
    NoValue(Dim),
    /// A dim that counts something is negative.
    Negative { dim: Dim, value: i64 },
    /// A size is outside its declared range.
    SizeRange { size: Size, found: i64 },
    /// A fact the plan relies on does not hold.
    Guard(String),
    /// A place has more bytes than can be counted.
    TooLarge(String),
    /// The device refused or failed.
    Device(E),
}

impl<E> From<E> for CallError<E> {
    fn from(error: E) -> CallError<E> {
        CallError::Device(error)
    }
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::NoEntry(name) => write!(f, "there is no entry `{name}`"),
            CallError::NoSlot(slot) => write!(f, "there is no slot {slot}"),
            CallError::NoKernel(kernel) => write!(f, "the plan has no kernel {kernel}"),
            CallError::NoPlace(place) => write!(f, "the entry has no place {}", place.0),
            CallError::MissingInput(name) => write!(f, "input `{name}` is missing"),
            CallError::UnknownInput(name) => write!(f, "there is no input `{name}`"),
            CallError::InputType { name, expected, found } => {
                write!(f, "input `{name}` is {expected}, but receives {found}")
            }
            CallError::InputBytes { name, expected, found } => {
                write!(f, "input `{name}` has {expected} bytes, but receives {found}")
            }
            CallError::SlotBytes { path, expected, found } => {
                write!(f, "slot `{path}` has {expected} bytes, but receives {found}")
            }
            CallError::SlotSize { path, expected, found } => {
                write!(f, "slot `{path}` holds {found} elements, but these sizes ask for {expected}")
            }
            CallError::NoValue(dim) => write!(f, "`{dim}` cannot be computed from the sizes given"),
            CallError::Negative { dim, value } => write!(f, "`{dim}` counts something, but is {value}"),
            CallError::SizeRange { size, found } => range(f, size, *found),
            CallError::Guard(message) => f.write_str(message),
            CallError::TooLarge(name) => write!(f, "`{name}` is too large for this machine"),
            CallError::Device(error) => error.fmt(f),
        }
    }
}

fn range(f: &mut fmt::Formatter<'_>, size: &Size, found: i64) -> fmt::Result {
    write!(f, "`{}` is {found}, but must be at least {}", size.symbol, size.min)?;
    if let Some(max) = size.max {
        write!(f, ", at most {max}")?;
    }
    if size.multiple > 1 {
        write!(f, " and a multiple of {}", size.multiple)?;
    }
    Ok(())
}

impl<E: std::error::Error + 'static> std::error::Error for CallError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CallError::Device(error) => error.source(),
            _ => None,
        }
    }
}
