//! What executes the plan of a case on each target.

use crate::elements::{decode, encode};
use nnc_ir::Array;
use nnc_ir::plan::Plan;
use nnc_ir::session::{Device, HostBytes, Session, Sizes};
use nnc_kernels::CpuLevel;
use nnc_runtime::cpu::Cpu;
use std::borrow::Cow;
use std::collections::HashSet;

/// Executes plans with the one entry `main` over inputs in order.
pub trait Machine {
    /// The results; none if the target can only be compiled for here.
    fn run(&mut self, plan: &Plan, arguments: &[Array], sizes: &Sizes) -> Result<Option<Vec<Array>>, String>;
}

fn call<D: Device>(
    device: D,
    plan: &Plan,
    arguments: &[Array],
    sizes: &Sizes,
) -> (Result<Vec<Array>, String>, D) {
    let entry = &plan.entries[0];
    let inputs: Vec<(String, HostBytes)> = entry
        .inputs
        .iter()
        .zip(arguments)
        .map(|((_, place), array)| {
            let place = &entry.places[place.0 as usize];
            let bytes = Cow::Owned(encode(place.dtype, &array.data));
            (place.name.clone(), HostBytes { dtype: place.dtype, shape: array.shape.clone(), bytes })
        })
        .collect();
    let given: Vec<(&str, HostBytes)> = inputs.iter().map(|(name, t)| (name.as_str(), t.clone())).collect();
    let mut session = Session::new(device, plan);
    let outputs = session.call("main", &given, sizes).map_err(|error| error.to_string());
    let arrays = outputs.map(|outputs| {
        outputs.into_iter().map(|(_, t)| Array::new(t.shape.clone(), decode(t.dtype, &t.bytes))).collect()
    });
    (arrays, session.into_device())
}

/// Machine code on this processor.
pub struct Processor;

impl Machine for Processor {
    fn run(&mut self, plan: &Plan, arguments: &[Array], sizes: &Sizes) -> Result<Option<Vec<Array>>, String> {
        let compiled =
            nnc_cpu::compile_all(&plan.kernels, CpuLevel::detect(), 1).map_err(|e| e.to_string())?;
        let code: Vec<Vec<u8>> = compiled.into_iter().map(|kernel| kernel.code).collect();
        let cpu = Cpu::new(&plan.kernels, &code, None).map_err(|error| error.to_string())?;
        call(cpu, plan, arguments, sizes).0.map(Some)
    }
}

/// WGSL on a graphics adapter.
pub struct Wgsl(Option<nnc_wgsl::Device>);

impl Wgsl {
    pub fn new(device: nnc_wgsl::Device) -> Wgsl {
        Wgsl(Some(device))
    }
}

impl Machine for Wgsl {
    fn run(&mut self, plan: &Plan, arguments: &[Array], sizes: &Sizes) -> Result<Option<Vec<Array>>, String> {
        let device = self.0.take().ok_or("the device is lost")?;
        let (found, device) = call(device, plan, arguments, sizes);
        self.0 = Some(device);
        found.map(Some)
    }
}

/// CUDA C++: compiled, and run where there is a device.
pub struct Cuda {
    device: Option<nnc_cuda::Device>,
    compiled: HashSet<String>,
}

impl Cuda {
    pub fn new(device: Option<nnc_cuda::Device>) -> Cuda {
        Cuda { device, compiled: HashSet::new() }
    }
}

impl Machine for Cuda {
    fn run(&mut self, plan: &Plan, arguments: &[Array], sizes: &Sizes) -> Result<Option<Vec<Array>>, String> {
        for kernel in &plan.kernels {
            let source = nnc_cuda::print(kernel, &Default::default()).map_err(|error| error.to_string())?;
            if self.compiled.insert(source.clone()) {
                nnc_cuda::compile(&source, "sm_80").map_err(|error| format!("{error}\n{source}"))?;
            }
        }
        let Some(device) = self.device.take() else { return Ok(None) };
        let (found, device) = call(device, plan, arguments, sizes);
        self.device = Some(device);
        found.map(Some)
    }
}
