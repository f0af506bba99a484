//! Running a plan on a device: one session for all devices that print kernels and run them launch by launch.
//!
//! A [`Device`] knows kernels and bytes, a [`Session`] knows plans: places, lifetimes, loops, branches. Slots stay on
//! the device between calls. Nothing runs before every kernel of the entry is ready and every argument is checked.

mod bind;
mod error;
mod memory;
mod run;

pub use error::CallError;
pub use memory::{Buffers, working_bytes};

use crate::graph::SlotKind;
use crate::kernel::Kernel;
use crate::plan::Plan;
use crate::{DType, Symbol};
use memory::Memory;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// What a session asks of a device. Work is done in the order it is asked for; `launch`, `copy` and `write` may only
/// queue it, `read` and `finish` wait.
pub trait Device {
    /// Device memory; freed when dropped.
    type Buffer;
    /// A kernel that is ready to run.
    type Program: Clone;
    /// What can go wrong.
    type Error: std::error::Error + 'static;

    /// Bytes that one element takes in device memory.
    fn stride(&self, dtype: DType) -> Result<usize, Self::Error>;

    /// Zeroed memory. May invalidate nothing that is alive; called only when the sizes of a call are new.
    fn allocate(&mut self, bytes: usize) -> Result<Self::Buffer, Self::Error>;

    /// Makes `kernel` ready. Buffer `k` of the kernel is the same memory as buffer `aliases[k]`, its first occurrence.
    fn prepare(&mut self, kernel: &Kernel, aliases: &[usize]) -> Result<Self::Program, Self::Error>;

    /// Fills a buffer with elements as the host stores them.
    fn write(&mut self, buffer: &Self::Buffer, dtype: DType, elements: &[u8]) -> Result<(), Self::Error>;

    /// The first `count` elements of each buffer, as the host stores them.
    fn read(&mut self, wanted: &[(&Self::Buffer, DType, usize)]) -> Result<Vec<Vec<u8>>, Self::Error>;

    /// Copies the first `bytes` bytes.
    fn copy(&mut self, from: &Self::Buffer, to: &Self::Buffer, bytes: usize) -> Result<(), Self::Error>;

    /// Runs `instances` instances, at least one. `buffers` has one entry per buffer of the kernel.
    fn launch(
        &mut self,
        program: &Self::Program,
        buffers: Buffers<'_, Self::Buffer>,
        sizes: &[i64],
        instances: i64,
    ) -> Result<(), Self::Error>;

    /// Waits until everything is done.
    fn finish(&mut self) -> Result<(), Self::Error>;
}

/// A tensor in host memory, row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostBytes<'b> {
    /// Element type.
    pub dtype: DType,
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Elements in native byte order.
    pub bytes: Cow<'b, [u8]>,
}

/// Values of the run-time sizes of a call.
pub type Sizes = BTreeMap<Symbol, i64>;

/// A plan with the device memory of its slots.
pub struct Session<D: Device> {
    device: D,
    plan: Plan,
    slots: Vec<Option<Held<D::Buffer>>>,
    memory: HashMap<usize, Memory<D::Buffer, D::Program>>,
    programs: HashMap<(u32, Vec<usize>), D::Program>,
    /// Values of the counters of open loops. Empty between calls; kept for its memory.
    counters: Vec<(Symbol, i64)>,
}

/// A slot's memory.
struct Held<B> {
    buffer: B,
    elements: usize,
}

/// A result with its name.
pub type Output = (String, HostBytes<'static>);

impl<D: Device> Session<D> {
    /// A session in which all slots are zero.
    pub fn new(device: D, plan: &Plan) -> Session<D> {
        let slots = plan.slots.iter().map(|_| None).collect();
        Session {
            device,
            plan: plan.clone(),
            slots,
            memory: HashMap::new(),
            programs: HashMap::new(),
            counters: Vec::new(),
        }
    }

    /// The device.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// The device, for settings of its own; it must keep what it allocated.
    pub fn device_mut(&mut self) -> &mut D {
        &mut self.device
    }

    /// The device, for another session. What the slots hold is lost.
    pub fn into_device(self) -> D {
        self.device
    }

    /// Ends what the caches remember: the next call begins a new session.
    pub fn forget_caches(&mut self) {
        for (held, slot) in self.slots.iter_mut().zip(&self.plan.slots) {
            if slot.kind == SlotKind::Cache {
                *held = None;
            }
        }
    }

    /// Sets the elements of slot `slot`.
    pub fn set_slot(&mut self, slot: usize, elements: &[u8]) -> Result<(), CallError<D::Error>> {
        let ty = &self.plan.slots.get(slot).ok_or(CallError::NoSlot(slot))?.ty;
        let (dtype, count) = (ty.dtype, elements.len() / ty.dtype.size());
        let expected = ty.size().as_constant().map_or(count, |size| size as usize);
        if elements.len() != expected * dtype.size() {
            let path = self.plan.slots[slot].path.clone();
            return Err(CallError::SlotBytes {
                path,
                expected: expected * dtype.size(),
                found: elements.len(),
            });
        }
        if self.slots[slot].as_ref().is_none_or(|held| held.elements != count) {
            self.slots[slot] = Some(Held::new(&mut self.device, dtype, count)?);
        }
        let Some(held) = &self.slots[slot] else { return Ok(()) };
        Ok(self.device.write(&held.buffer, dtype, elements)?)
    }

    /// The elements of slot `slot`. A slot whose sizes no call has settled yet has none.
    pub fn get_slot(&mut self, slot: usize) -> Result<Vec<u8>, CallError<D::Error>> {
        let ty = &self.plan.slots.get(slot).ok_or(CallError::NoSlot(slot))?.ty;
        let Some(held) = &self.slots[slot] else {
            return Ok(vec![0; ty.size().as_constant().unwrap_or(0) as usize * ty.dtype.size()]);
        };
        let wanted = [(&held.buffer, ty.dtype, held.elements)];
        let mut found = self.device.read(&wanted)?;
        found.pop().ok_or(CallError::NoSlot(slot))
    }
}

impl<B> Held<B> {
    fn new<D: Device<Buffer = B>>(
        device: &mut D,
        dtype: DType,
        elements: usize,
    ) -> Result<Held<B>, D::Error> {
        let bytes = elements.saturating_mul(device.stride(dtype)?);
        Ok(Held { buffer: device.allocate(bytes)?, elements })
    }
}
