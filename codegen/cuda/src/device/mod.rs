//! A CUDA device that runs kernels for a session: one stream, so that everything happens in the order it is asked for.

mod error;

pub use error::DeviceError;

use crate::compile::compile;
use crate::kernels::{Options, print, symbol};
use cudarc::driver::{
    CudaContext, CudaFunction, CudaSlice, CudaStream, DevicePtr, LaunchConfig, PushKernelArg, result, sys,
};
use cudarc::nvrtc::Ptx;
use nnc_ir::DType;
use nnc_ir::kernel::Kernel;
use std::collections::HashMap;
use std::sync::Arc;

/// Threads of a block.
const BLOCK: u32 = 256;
/// Blocks of a launch: beyond, threads take several instances.
const MOST_BLOCKS: i64 = 1 << 24;

/// A CUDA device that has been opened.
pub struct Device {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    name: String,
    arch: String,
    programs: HashMap<String, CudaProgram>,
}

/// Device memory.
pub struct CudaBuffer(CudaSlice<u8>);

/// A compiled kernel.
#[derive(Clone)]
pub struct CudaProgram(CudaFunction);

impl Device {
    /// Opens the device of this number, counted from 0.
    pub fn open(number: usize) -> Result<Device, DeviceError> {
        // SAFETY: loads a library by name and runs its initializers, as any use of it would.
        if !unsafe { sys::is_culib_present() } {
            return Err(DeviceError::NoDriver);
        }
        let context = CudaContext::new(number)?;
        // SAFETY: all work goes to one stream, so no two uses of a buffer need an event between them.
        unsafe { context.disable_event_tracking() };
        let (major, minor) = context.compute_capability()?;
        let (name, stream) = (context.name()?, context.new_stream()?);
        Ok(Device { context, stream, name, arch: format!("sm_{major}{minor}"), programs: HashMap::new() })
    }

    /// The device's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What kernels are compiled for, such as `sm_90`.
    pub fn arch(&self) -> &str {
        &self.arch
    }

    fn load(&self, kernel: &Kernel, source: &str) -> Result<CudaProgram, DeviceError> {
        let cubin = compile(source, &self.arch)?;
        let module = self.context.load_module(Ptx::from_binary(cubin.code))?;
        Ok(CudaProgram(module.load_function(&symbol(kernel))?))
    }

    fn address(&self, buffer: &CudaBuffer) -> sys::CUdeviceptr {
        buffer.0.device_ptr(&self.stream).0
    }

    /// Whether `bytes` bytes lie inside the buffer.
    fn check(buffer: &CudaBuffer, bytes: usize) -> Result<(), DeviceError> {
        let limit = buffer.0.len();
        if bytes > limit { Err(DeviceError::OutOfBounds { bytes, limit }) } else { Ok(()) }
    }
}

impl nnc_ir::session::Device for Device {
    type Buffer = CudaBuffer;
    type Program = CudaProgram;
    type Error = DeviceError;

    fn stride(&self, dtype: DType) -> Result<usize, DeviceError> {
        Ok(dtype.size())
    }

    fn allocate(&mut self, bytes: usize) -> Result<CudaBuffer, DeviceError> {
        // Every allocation has an address, also of nothing.
        Ok(CudaBuffer(self.stream.alloc_zeros(bytes.max(1))?))
    }

    fn prepare(&mut self, kernel: &Kernel, aliases: &[usize]) -> Result<CudaProgram, DeviceError> {
        let distinct = aliases.iter().enumerate().all(|(place, first)| place == *first);
        let source = print(kernel, &Options { distinct })?;
        if let Some(program) = self.programs.get(&source) {
            return Ok(program.clone());
        }
        let program = self.load(kernel, &source)?;
        self.programs.insert(source, program.clone());
        Ok(program)
    }

    fn write(&mut self, buffer: &CudaBuffer, _: DType, elements: &[u8]) -> Result<(), DeviceError> {
        Device::check(buffer, elements.len())?;
        self.context.bind_to_thread()?;
        if !elements.is_empty() {
            // SAFETY: the buffer is alive and large enough; the driver has read pageable memory when it returns.
            unsafe { result::memcpy_htod_async(self.address(buffer), elements, self.stream.cu_stream()) }?;
        }
        Ok(())
    }

    fn read(&mut self, wanted: &[(&CudaBuffer, DType, usize)]) -> Result<Vec<Vec<u8>>, DeviceError> {
        self.context.bind_to_thread()?;
        let mut found = Vec::with_capacity(wanted.len());
        for (buffer, dtype, count) in wanted {
            let mut bytes = vec![0u8; count * dtype.size()];
            Device::check(buffer, bytes.len())?;
            if !bytes.is_empty() {
                // SAFETY: both sides are alive until `finish` below, and the buffer is large enough.
                unsafe {
                    result::memcpy_dtoh_async(&mut bytes, self.address(buffer), self.stream.cu_stream())
                }?;
            }
            found.push(bytes);
        }
        self.finish()?;
        Ok(found)
    }

    fn copy(&mut self, from: &CudaBuffer, to: &CudaBuffer, bytes: usize) -> Result<(), DeviceError> {
        Device::check(from, bytes)?;
        Device::check(to, bytes)?;
        self.context.bind_to_thread()?;
        if bytes > 0 {
            let (from, to) = (self.address(from), self.address(to));
            // SAFETY: both buffers are alive and large enough; frees are ordered by the same stream.
            unsafe { result::memcpy_dtod_async(to, from, bytes, self.stream.cu_stream()) }?;
        }
        Ok(())
    }

    fn launch(
        &mut self,
        program: &CudaProgram,
        buffers: nnc_ir::session::Buffers<'_, CudaBuffer>,
        sizes: &[i64],
        instances: i64,
    ) -> Result<(), DeviceError> {
        let addresses: Vec<sys::CUdeviceptr> = buffers.iter().map(|buffer| self.address(buffer)).collect();
        let blocks = (instances as u64).div_ceil(u64::from(BLOCK)).min(MOST_BLOCKS as u64) as u32;
        let mut launch = self.stream.launch_builder(&program.0);
        for address in &addresses {
            launch.arg(address);
        }
        for size in sizes {
            launch.arg(size);
        }
        let shape = LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (BLOCK, 1, 1), shared_mem_bytes: 0 };
        // SAFETY: the arguments are those of the printed signature, in order; the plan keeps accesses in bounds.
        unsafe { launch.launch(shape) }?;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), DeviceError> {
        Ok(self.stream.synchronize()?)
    }
}
