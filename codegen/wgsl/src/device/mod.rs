//! A wgpu device that runs kernels for a session.
//!
//! Launches and copies are gathered and submitted together; whatever needs their results submits first. Every wgpu error
//! lands in one place and becomes the error of the next operation, so nothing panics and nothing is lost.

mod batch;
mod convert;
mod error;

pub use error::DeviceError;

use crate::kernels::{MAX_SIZES, Options, bindings, print};
use batch::{Batch, Launch, Operation};
use error::Faults;
use nnc_ir::DType;
use nnc_ir::kernel::Kernel;
use std::collections::HashMap;
use std::sync::{Arc, mpsc};

/// A wgpu adapter that has been opened.
pub struct Device {
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: wgpu::AdapterInfo,
    limits: wgpu::Limits,
    options: Options,
    faults: Faults,
    sizes_layout: wgpu::BindGroupLayout,
    programs: HashMap<String, WgslProgram>,
    groups: HashMap<(usize, Vec<u64>), wgpu::BindGroup>,
    batch: Batch,
    buffers: u64,
}

/// Device memory: 32-bit words.
pub struct WgslBuffer {
    buffer: wgpu::Buffer,
    /// Distinguishes buffers of a device, dropped ones included.
    number: u64,
}

/// A compiled kernel.
#[derive(Clone)]
pub struct WgslProgram(Arc<Compiled>);

struct Compiled {
    /// Distinguishes the programs of a device.
    number: usize,
    pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
    /// The kernel's buffers that have a binding.
    bound: Vec<usize>,
}

impl Device {
    /// Opens the fastest adapter. Drivers that compute on the CPU count: see [`Device::is_software`].
    pub fn open() -> Result<Device, DeviceError> {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
        // OpenGL is asked for by name only: looking for it prints warnings on machines without a display.
        descriptor.backends = wgpu::Backends::from_env().unwrap_or(wgpu::Backends::PRIMARY);
        let instance = wgpu::Instance::new(descriptor);
        let wanted = wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            ..Default::default()
        };
        let adapter = block_on(instance.request_adapter(&wanted))
            .map_err(|error| DeviceError::NoAdapter(error.to_string()))?;
        let limits = adapter.limits();
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("nnc"),
            required_limits: limits.clone(),
            ..Default::default()
        };
        let (device, queue) = block_on(adapter.request_device(&descriptor))
            .map_err(|error| DeviceError::NoDevice(error.to_string()))?;
        Ok(Device::new(device, queue, adapter.get_info(), limits))
    }

    fn new(
        device: wgpu::Device,
        queue: wgpu::Queue,
        info: wgpu::AdapterInfo,
        limits: wgpu::Limits,
    ) -> Device {
        let faults = Faults::watch(&device);
        let options = Options {
            max_storage_buffers: limits.max_storage_buffers_per_shader_stage as usize,
            workgroup: limits.max_compute_invocations_per_workgroup.min(64),
            aliases: Vec::new(),
        };
        Device {
            sizes_layout: sizes_layout(&device),
            device,
            queue,
            info,
            limits,
            options,
            faults,
            programs: HashMap::new(),
            groups: HashMap::new(),
            batch: Batch::default(),
            buffers: 0,
        }
    }

    /// The adapter's name.
    pub fn name(&self) -> &str {
        &self.info.name
    }

    /// Whether the adapter is a program on the CPU: right, but slow.
    pub fn is_software(&self) -> bool {
        self.info.device_type == wgpu::DeviceType::Cpu
    }

    /// What kernels are printed for.
    pub fn options(&self) -> &Options {
        &self.options
    }

    fn compile(&self, source: &str, kernel: &Kernel, aliases: &[usize]) -> WgslProgram {
        let bound = bindings(kernel, aliases);
        let layout = storage_layout(&self.device, &bound);
        let module = self.device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(&kernel.name),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        });
        let whole = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(&kernel.name),
            bind_group_layouts: &[Some(&layout), Some(&self.sizes_layout)],
            immediate_size: 0,
        });
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&kernel.name),
            layout: Some(&whole),
            module: &module,
            entry_point: Some("main"),
            compilation_options: Default::default(),
            cache: None,
        });
        let (number, bound) = (self.programs.len(), bound.into_iter().map(|(place, _)| place).collect());
        WgslProgram(Arc::new(Compiled { number, pipeline, layout, bound }))
    }

    /// The bind group of a program and its buffers: made once, until memory is allocated anew.
    fn group(&mut self, program: &Compiled, buffers: &[&WgslBuffer]) -> wgpu::BindGroup {
        let key = (program.number, buffers.iter().map(|buffer| buffer.number).collect());
        let device = &self.device;
        let made = self.groups.entry(key).or_insert_with(|| {
            let entry = |(binding, place): (usize, &usize)| wgpu::BindGroupEntry {
                binding: binding as u32,
                resource: buffers[*place].buffer.as_entire_binding(),
            };
            let entries: Vec<_> = program.bound.iter().enumerate().map(entry).collect();
            let layout = &program.layout;
            device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries })
        });
        made.clone()
    }

    /// Workgroups in x and y that cover `instances`, neither beyond the limit.
    fn workgroups(&self, instances: i64) -> Result<(u32, u32), DeviceError> {
        let limit = i64::from(self.limits.max_compute_workgroups_per_dimension.max(1));
        let groups = (instances as u64).div_ceil(u64::from(self.options.workgroup)) as i64;
        let rows = (groups as u64).div_ceil(limit as u64) as i64;
        let columns = (groups as u64).div_ceil(rows.max(1) as u64) as i64;
        // Instance numbers, those past the end included, are 32-bit.
        if rows > limit || columns * rows * i64::from(self.options.workgroup) > i64::from(i32::MAX) {
            return Err(DeviceError::TooManyInstances(instances));
        }
        Ok((columns as u32, rows as u32))
    }

    fn submit(&mut self) -> Result<(), DeviceError> {
        self.batch.submit(&self.device, &self.queue, &self.sizes_layout);
        self.faults.check()
    }

    fn wait(&mut self) -> Result<(), DeviceError> {
        let waited = self.device.poll(wgpu::PollType::wait_indefinitely());
        self.faults.check()?;
        waited.map(|_| ()).map_err(|error| DeviceError::Lost(error.to_string()))
    }

    /// Queues the copy of a buffer's first `bytes` bytes into memory that the host can map.
    fn stage(&mut self, buffer: &WgslBuffer, bytes: u64) -> wgpu::Buffer {
        let staged = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("staging"),
            size: bytes.max(4),
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let (from, to) = (buffer.buffer.clone(), staged.clone());
        self.batch.push(Operation::Copy { from, to, bytes });
        staged
    }
}

impl nnc_ir::session::Device for Device {
    type Buffer = WgslBuffer;
    type Program = WgslProgram;
    type Error = DeviceError;

    fn stride(&self, dtype: DType) -> Result<usize, DeviceError> {
        if dtype == DType::F64 { Err(DeviceError::NoF64) } else { Ok(4) }
    }

    fn allocate(&mut self, bytes: usize) -> Result<WgslBuffer, DeviceError> {
        let limit = self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size);
        if bytes as u64 > limit {
            return Err(DeviceError::TooLarge { bytes: bytes as u64, limit });
        }
        // Bind groups keep buffers alive, also those the session has dropped.
        self.groups.clear();
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: (bytes as u64).max(4),
            usage,
            mapped_at_creation: false,
        });
        self.faults.check()?;
        self.buffers += 1;
        Ok(WgslBuffer { buffer, number: self.buffers })
    }

    fn prepare(&mut self, kernel: &Kernel, aliases: &[usize]) -> Result<WgslProgram, DeviceError> {
        let options = Options { aliases: aliases.to_vec(), ..self.options.clone() };
        let source = print(kernel, &options)?;
        if let Some(program) = self.programs.get(&source) {
            return Ok(program.clone());
        }
        let program = self.compile(&source, kernel, aliases);
        self.faults.check()?;
        self.programs.insert(source, program.clone());
        Ok(program)
    }

    fn write(&mut self, buffer: &WgslBuffer, dtype: DType, elements: &[u8]) -> Result<(), DeviceError> {
        // The queue writes ahead of everything that is not submitted yet.
        self.submit()?;
        let words = convert::to_words(dtype, elements);
        if !words.is_empty() {
            self.queue.write_buffer(&buffer.buffer, 0, &words);
        }
        self.faults.check()
    }

    fn read(&mut self, wanted: &[(&WgslBuffer, DType, usize)]) -> Result<Vec<Vec<u8>>, DeviceError> {
        let staged: Vec<wgpu::Buffer> =
            wanted.iter().map(|(buffer, _, count)| self.stage(buffer, *count as u64 * 4)).collect();
        self.submit()?;
        let (sender, receiver) = mpsc::channel();
        for buffer in &staged {
            let sender = sender.clone();
            buffer.map_async(wgpu::MapMode::Read, .., move |mapped| {
                let _ = sender.send(mapped);
            });
        }
        self.wait()?;
        for _ in &staged {
            let mapped = receiver.recv().map_err(|error| DeviceError::Lost(error.to_string()))?;
            mapped.map_err(|error| DeviceError::Lost(error.to_string()))?;
        }
        let elements = |(buffer, (_, dtype, count)): (&wgpu::Buffer, &(_, DType, usize))| {
            let view = buffer.get_mapped_range(..).map_err(|error| DeviceError::Lost(error.to_string()))?;
            Ok(convert::from_words(*dtype, &view[..count * 4]))
        };
        staged.iter().zip(wanted).map(elements).collect()
    }

    fn copy(&mut self, from: &WgslBuffer, to: &WgslBuffer, bytes: usize) -> Result<(), DeviceError> {
        if bytes > 0 {
            let (from, to) = (from.buffer.clone(), to.buffer.clone());
            self.batch.push(Operation::Copy { from, to, bytes: bytes as u64 });
        }
        if self.batch.is_full() { self.submit() } else { Ok(()) }
    }

    fn launch(
        &mut self,
        program: &WgslProgram,
        buffers: nnc_ir::session::Buffers<'_, WgslBuffer>,
        sizes: &[i64],
        instances: i64,
    ) -> Result<(), DeviceError> {
        let workgroups = self.workgroups(instances)?;
        let sizes = sizes.iter().map(|size| i32::try_from(*size).map_err(|_| DeviceError::LargeSize(*size)));
        let sizes = sizes.collect::<Result<Vec<i32>, _>>()?;
        let group = self.group(&program.0, &buffers.iter().collect::<Vec<_>>());
        let slice = self.batch.slice(sizes);
        let pipeline = program.0.pipeline.clone();
        self.batch.push(Operation::Launch(Launch { pipeline, group, slice, workgroups }));
        if self.batch.is_full() { self.submit() } else { Ok(()) }
    }

    fn finish(&mut self) -> Result<(), DeviceError> {
        self.submit()?;
        self.wait()
    }
}

fn sizes_layout(device: &wgpu::Device) -> wgpu::BindGroupLayout {
    let ty = wgpu::BindingType::Buffer {
        ty: wgpu::BufferBindingType::Uniform,
        has_dynamic_offset: true,
        min_binding_size: std::num::NonZeroU64::new(MAX_SIZES as u64 * 4),
    };
    layout(device, "sizes", &[ty])
}

fn storage_layout(device: &wgpu::Device, bound: &[(usize, bool)]) -> wgpu::BindGroupLayout {
    let ty = |(_, writes): &(usize, bool)| wgpu::BindingType::Buffer {
        ty: wgpu::BufferBindingType::Storage { read_only: !writes },
        has_dynamic_offset: false,
        min_binding_size: None,
    };
    layout(device, "buffers", &bound.iter().map(ty).collect::<Vec<_>>())
}

fn layout(device: &wgpu::Device, label: &str, types: &[wgpu::BindingType]) -> wgpu::BindGroupLayout {
    let entry = |(binding, ty): (usize, &wgpu::BindingType)| wgpu::BindGroupLayoutEntry {
        binding: binding as u32,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: *ty,
        count: None,
    };
    let entries: Vec<_> = types.iter().enumerate().map(entry).collect();
    device
        .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(label), entries: &entries })
}

/// Runs a future that is ready at once, as wgpu's are outside of a browser.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::yield_now();
    }
}
