//! Where a program runs: how kernels are printed for a target, and the device that runs them. A device that is absent
//! is an error with a remedy, never another device.

use nnc_base::{Diagnostic, Span};
use nnc_compiler::schedule;
use nnc_ir::kernel::Kernel;
use nnc_kernels::CpuLevel;
use nnc_runtime::cpu::Cpu;

/// What a program is compiled for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Target {
    /// Machine code for this processor.
    #[default]
    Cpu,
    /// WebGPU shading language, run by the graphics driver.
    Wgsl,
    /// CUDA C++, run by an NVIDIA device.
    Cuda,
}

/// Does the same on the device of a target: `on_device!(target, compiled, threads, |device| ..)`. The devices have types
/// of their own, so what is done must be generic. Gives an error where the device is absent.
macro_rules! on_device {
    ($target:expr, $compiled:expr, $threads:expr, |$device:ident| $run:expr) => {
        match $target {
            $crate::target::Target::Cpu => {
                $crate::target::cpu(&$compiled.plan.kernels, &$compiled.code, $threads).map(|$device| $run)
            }
            $crate::target::Target::Wgsl => $crate::target::wgsl().map(|$device| $run),
            $crate::target::Target::Cuda => $crate::target::cuda().map(|$device| $run),
        }
    };
}
pub(crate) use on_device;

impl Target {
    /// What the scheduler must know.
    pub fn facts(self) -> schedule::Target {
        match self {
            Target::Cpu => schedule::Target::cpu(),
            Target::Wgsl => schedule::Target::wgsl(),
            Target::Cuda => schedule::Target::cuda(),
        }
    }

    /// What is stored of each kernel: machine code for the processor, source text for the others.
    pub fn code(self, kernels: &[Kernel]) -> Result<Vec<Vec<u8>>, Diagnostic> {
        let refuse =
            |reason: String| plain("support::kernel", reason).help("compile it for another `--target`");
        match self {
            Target::Cpu => nnc_cpu::compile_all(kernels, CpuLevel::detect(), nnc_kernels::cpu::cores())
                .map(|compiled| compiled.into_iter().map(|kernel| kernel.code).collect())
                .map_err(|error| refuse(error.to_string())),
            Target::Wgsl => texts(kernels, |kernel| nnc_wgsl::print(kernel, &Default::default()))
                .map_err(|error| refuse(format!("{error}, for WGSL"))),
            Target::Cuda => texts(kernels, |kernel| nnc_cuda::print(kernel, &Default::default()))
                .map_err(|error| refuse(format!("{error}, for CUDA"))),
        }
    }
}

fn texts<E>(kernels: &[Kernel], print: impl Fn(&Kernel) -> Result<String, E>) -> Result<Vec<Vec<u8>>, E> {
    kernels.iter().map(|kernel| print(kernel).map(String::into_bytes)).collect()
}

/// A finding about the machine, at no place of a program.
fn plain(code: &'static str, message: String) -> Diagnostic {
    Diagnostic { labels: Vec::new(), ..Diagnostic::error(code, Span::default(), message) }
}

fn missing(message: String, help: &str) -> Diagnostic {
    plain("device::missing", message).help(help)
}

/// This processor.
pub fn cpu(kernels: &[Kernel], code: &[Vec<u8>], threads: Option<usize>) -> Result<Cpu, Diagnostic> {
    Cpu::new(kernels, code, threads).map_err(|error| {
        missing(format!("this processor cannot run the program: {error}"), "check the thread limit")
    })
}

/// The fastest graphics adapter.
pub fn wgsl() -> Result<nnc_wgsl::Device, Diagnostic> {
    nnc_wgsl::Device::open().map_err(|error| {
        missing(
            format!("no device for `--target wgsl`: {error}"),
            "install a Vulkan driver (on Debian `mesa-vulkan-drivers libvulkan1` computes on the processor), or leave \
             `--target` out; `nnc doctor` lists the devices",
        )
    })
}

/// The first CUDA device, with the compiler for its kernels.
pub fn cuda() -> Result<nnc_cuda::Device, Diagnostic> {
    let refuse = |error: &dyn std::fmt::Display, help: &str| {
        missing(format!("no device for `--target cuda`: {error}"), help)
    };
    let device = nnc_cuda::Device::open(0).map_err(|error| {
        let help = "this needs an NVIDIA GPU with its driver; leave `--target` out to run on the processor; `nnc doctor` \
                    lists the devices";
        refuse(&error, help)
    })?;
    nnc_cuda::compiler_is_present()
        .map_err(|error| refuse(&error, "install NVRTC and set `NNC_NVRTC` to its folder"))?;
    Ok(device)
}

/// The devices of this machine, one line each; says why one is missing.
pub fn describe() -> Vec<String> {
    let wgsl = match nnc_wgsl::Device::open() {
        Ok(device) if device.is_software() => format!("{} (a program on the processor)", device.name()),
        Ok(device) => device.name().to_string(),
        Err(error) => format!("none: {error}"),
    };
    let cuda = match nnc_cuda::Device::open(0) {
        Ok(device) => format!("{}, {}", device.name(), device.arch()),
        Err(error) => format!("none: {error}"),
    };
    let compiler = match nnc_cuda::compiler_is_present() {
        Ok(()) => "present".to_string(),
        Err(error) => format!("none: {error}"),
    };
    vec![
        format!("cpu   {}", nnc_kernels::cpu::describe()),
        format!("wgsl  {wgsl}"),
        format!("cuda  {cuda}"),
        format!("cuda compiler (NVRTC)  {compiler}"),
    ]
}
