//! What can go wrong on a CUDA device.

use crate::{CompileError, Unsupported};
use cudarc::driver::{DriverError, sys::CUresult};
use std::fmt;

/// Why a device refused or failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceError {
    /// The CUDA driver is not installed.
    NoDriver,
    /// The driver finds no device of that number.
    NoDevice,
    /// A kernel cannot be printed as CUDA.
    Unsupported(Unsupported),
    /// A kernel was not compiled.
    Compile(CompileError),
    /// The device has no memory left.
    OutOfMemory,
    /// More bytes are asked of a buffer than it has.
    OutOfBounds {
        /// Asked for.
        bytes: usize,
        /// There are.
        limit: usize,
    },
    /// The driver failed: what it says.
    Driver(String),
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceError::NoDriver => f.write_str("the CUDA driver (libcuda) is not installed"),
            DeviceError::NoDevice => f.write_str("the CUDA driver finds no such device"),
            DeviceError::Unsupported(unsupported) => unsupported.fmt(f),
            DeviceError::Compile(error) => error.fmt(f),
            DeviceError::OutOfMemory => f.write_str("the device has no memory left"),
            DeviceError::OutOfBounds { bytes, limit } => {
                write!(f, "{bytes} bytes are asked of a buffer that has {limit}")
            }
            DeviceError::Driver(why) => write!(f, "the CUDA driver failed: {why}"),
        }
    }
}

impl std::error::Error for DeviceError {}

impl From<Unsupported> for DeviceError {
    fn from(unsupported: Unsupported) -> DeviceError {
        DeviceError::Unsupported(unsupported)
    }
}

impl From<CompileError> for DeviceError {
    fn from(error: CompileError) -> DeviceError {
        DeviceError::Compile(error)
    }
}

impl From<DriverError> for DeviceError {
    fn from(error: DriverError) -> DeviceError {
        match error.0 {
            CUresult::CUDA_ERROR_OUT_OF_MEMORY => DeviceError::OutOfMemory,
            CUresult::CUDA_ERROR_NO_DEVICE | CUresult::CUDA_ERROR_INVALID_DEVICE => DeviceError::NoDevice,
            // The name alone: asking the driver for a sentence may fail as well.
            code => DeviceError::Driver(format!("{code:?}")),
        }
    }
}
