//! Running single kernels and small plans on whatever adapter there is.

#![allow(dead_code, reason = "each test that includes it uses a part")]

#[path = "../../../testing/elements.rs"]
mod elements;
#[path = "../../../testing/samples.rs"]
pub mod samples;

pub use elements::{decode, encode};
use nnc_ir::graph::Port;
use nnc_ir::kernel::{Access, Kernel};
use nnc_ir::plan::{EntryPlan, Place, PlaceClass, PlaceId, Plan, Step};
use nnc_ir::{DType, Dim, Symbol};
use nnc_wgsl::{Device, HostBytes, Session, Sizes};
use std::borrow::Cow;

/// The element types WGSL has.
pub const TYPES: [DType; 7] =
    [DType::F32, DType::Bf16, DType::F16, DType::I32, DType::U32, DType::U8, DType::Bool];

/// An open device, or a message that the test is skipped.
pub fn device() -> Option<Device> {
    match Device::open() {
        Ok(device) => Some(device),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

/// A tensor of one axis.
pub fn tensor(dtype: DType, values: &[f64]) -> HostBytes<'static> {
    HostBytes { dtype, shape: vec![values.len()], bytes: Cow::Owned(encode(dtype, values)) }
}

/// A place of the caller.
pub fn place(name: &str, dtype: DType, size: Dim, class: PlaceClass) -> Place {
    Place { name: name.to_string(), dtype, shape: vec![size], class }
}

/// A plan with one entry, `main`.
pub fn plan(kernels: Vec<Kernel>, entry: EntryPlan) -> Plan {
    Plan { kernels, entries: vec![entry], ..Plan::default() }
}

/// An entry called `main`; named ports are given by their places.
pub fn entry(places: Vec<Place>, inputs: &[u32], outputs: &[u32], steps: Vec<Step>) -> EntryPlan {
    let port = |id: &u32| (Port::Named(places[*id as usize].name.clone()), PlaceId(*id));
    let (inputs, outputs) = (inputs.iter().map(port).collect(), outputs.iter().map(port).collect());
    let (name, guards, notes) = ("main".to_string(), Vec::new(), Vec::new());
    EntryPlan { name, inputs, outputs, places, steps, guards, notes }
}

/// A launch.
pub fn launch(kernel: u32, bind: &[u32]) -> Step {
    Step::Launch { kernel, bind: bind.iter().map(|place| PlaceId(*place)).collect() }
}

/// A plan that runs one kernel: what it reads is an input, what it writes is an output.
pub fn single(kernel: &Kernel) -> Plan {
    let places = kernel.buffers.iter().enumerate();
    let places = places.map(|(k, b)| place(&k.to_string(), b.dtype, b.size.clone(), PlaceClass::Caller));
    let all = 0..kernel.buffers.len() as u32;
    let access = |k: &u32| kernel.buffers[*k as usize].access;
    let inputs: Vec<u32> = all.clone().filter(|k| access(k) != Access::Write).collect();
    let outputs: Vec<u32> = all.clone().filter(|k| access(k) != Access::Read).collect();
    let steps = vec![launch(0, &all.collect::<Vec<_>>())];
    plan(vec![kernel.clone()], entry(places.collect(), &inputs, &outputs, steps))
}

/// Values of sizes.
pub fn sizes(values: &[(&str, i64)]) -> Sizes {
    values.iter().map(|(name, value)| (Symbol::new(name), *value)).collect()
}

/// Results of one kernel for inputs in buffer order.
pub fn run(device: Device, kernel: &Kernel, inputs: &[Vec<f64>], at: &Sizes) -> (Device, Vec<Vec<f64>>) {
    let mut session = Session::new(device, &single(kernel));
    let read = kernel.buffers.iter().enumerate().filter(|(_, b)| b.access != Access::Write);
    let named: Vec<(String, HostBytes)> =
        read.zip(inputs).map(|((k, b), values)| (k.to_string(), tensor(b.dtype, values))).collect();
    let given: Vec<(&str, HostBytes)> = named.iter().map(|(name, t)| (name.as_str(), t.clone())).collect();
    let results = session.call("main", &given, at).unwrap_or_else(|error| panic!("{}: {error}", kernel.name));
    let values = results.iter().map(|(_, tensor)| decode(tensor.dtype, &tensor.bytes)).collect();
    (session.into_device(), values)
}
