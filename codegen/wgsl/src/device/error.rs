//! What can go wrong on a device. wgpu reports errors through callbacks: they are kept until the next check.

use crate::Unsupported;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Why a device refused or failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceError {
    /// There is no Vulkan, Metal or D3D driver with a usable adapter.
    NoAdapter(String),
    /// The adapter cannot be opened.
    NoDevice(String),
    /// A kernel cannot be printed as WGSL.
    Unsupported(Unsupported),
    /// WGSL has no f64.
    NoF64,
    /// One tensor exceeds what the device can bind.
    TooLarge {
        /// Asked for.
        bytes: u64,
        /// Most.
        limit: u64,
    },
    /// A kernel has more instances than fit into 32 bits.
    TooManyInstances(i64),
    /// A size does not fit into 32 bits.
    LargeSize(i64),
    /// The device has no memory left.
    OutOfMemory,
    /// The device refused an operation: a bug of this back end or of the driver.
    Invalid(String),
    /// The device is gone: reset, removed, or its driver crashed.
    Lost(String),
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceError::NoAdapter(why) => {
                write!(f, "no graphics driver offers an adapter: install a Vulkan driver ({why})")
            }
            DeviceError::NoDevice(why) => write!(f, "the graphics adapter cannot be opened: {why}"),
            DeviceError::Unsupported(unsupported) => unsupported.fmt(f),
            DeviceError::NoF64 => f.write_str("the program stores f64, which WGSL does not have"),
            DeviceError::TooLarge { bytes, limit } => {
                write!(f, "a tensor takes {bytes} bytes, the device binds at most {limit} at once")
            }
            DeviceError::TooManyInstances(instances) => {
                write!(f, "a kernel has {instances} instances, the device can number 2147483647")
            }
            DeviceError::LargeSize(size) => write!(f, "the size {size} does not fit into 32 bits"),
            DeviceError::OutOfMemory => f.write_str("the device has no memory left"),
            DeviceError::Invalid(why) => write!(f, "the device refused an operation: {why}"),
            DeviceError::Lost(why) => write!(f, "the device is lost: {why}"),
        }
    }
}

impl std::error::Error for DeviceError {}

impl From<Unsupported> for DeviceError {
    fn from(unsupported: Unsupported) -> DeviceError {
        DeviceError::Unsupported(unsupported)
    }
}

/// The first error that a device has reported since the last check.
#[derive(Clone)]
pub(super) struct Faults(Arc<Mutex<Option<DeviceError>>>);

impl Faults {
    /// Starts to listen.
    pub(super) fn watch(device: &wgpu::Device) -> Faults {
        let faults = Faults(Arc::new(Mutex::new(None)));
        let (uncaptured, lost) = (faults.clone(), faults.clone());
        device.on_uncaptured_error(Arc::new(move |error| uncaptured.keep(translate(error))));
        device.set_device_lost_callback(move |reason, why| {
            // Dropping the device is no fault.
            if reason != wgpu::DeviceLostReason::Destroyed {
                lost.keep(DeviceError::Lost(why));
            }
        });
        faults
    }

    fn keep(&self, error: DeviceError) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// The error, if there is one.
    pub(super) fn check(&self) -> Result<(), DeviceError> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

fn translate(error: wgpu::Error) -> DeviceError {
    match error {
        wgpu::Error::OutOfMemory { .. } => DeviceError::OutOfMemory,
        wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
            DeviceError::Invalid(description)
        }
    }
}
