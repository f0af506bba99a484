//! Work that is not submitted yet. Launches between copies share a compute pass; sizes of all launches share one
//! uniform buffer, each distinct list of sizes in a slice of its own.

use crate::kernels::MAX_SIZES;
use std::collections::HashMap;

/// Bytes of a slice of sizes; any device allows offsets that are multiples of it.
const SLICE: usize = MAX_SIZES * 4;
/// Operations of one submission: enough to hide its cost, few enough for drivers that watch the clock.
const FULL: usize = 1024;

/// Operations in order.
#[derive(Default)]
pub(super) struct Batch {
    operations: Vec<Operation>,
    slices: HashMap<Vec<i32>, u32>,
    sizes: Vec<u8>,
}

/// One operation.
pub(super) enum Operation {
    /// Runs a kernel.
    Launch(Launch),
    /// Copies from the start of a buffer to the start of another.
    Copy { from: wgpu::Buffer, to: wgpu::Buffer, bytes: u64 },
}

/// A kernel with all it needs.
pub(super) struct Launch {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) group: wgpu::BindGroup,
    /// Offset of its sizes.
    pub(super) slice: u32,
    pub(super) workgroups: (u32, u32),
}

impl Batch {
    /// Adds an operation.
    pub(super) fn push(&mut self, operation: Operation) {
        self.operations.push(operation);
    }

    /// Whether it should be submitted now.
    pub(super) fn is_full(&self) -> bool {
        self.operations.len() >= FULL
    }

    /// Where these sizes lie.
    pub(super) fn slice(&mut self, sizes: Vec<i32>) -> u32 {
        if let Some(offset) = self.slices.get(&sizes) {
            return *offset;
        }
        let start = self.sizes.len();
        self.sizes.extend(sizes.iter().flat_map(|size| size.to_ne_bytes()));
        self.sizes.resize(start + SLICE, 0);
        self.slices.insert(sizes, start as u32);
        start as u32
    }

    /// Hands everything to the queue and starts anew.
    pub(super) fn submit(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        layout: &wgpu::BindGroupLayout,
    ) {
        if self.operations.is_empty() {
            return;
        }
        let batch = std::mem::take(self);
        let sizes = batch.bind_sizes(device, queue, layout);
        let mut encoder = device.create_command_encoder(&Default::default());
        for run in batch.operations.chunk_by(|a, b| a.is_launch() && b.is_launch()) {
            encode(&mut encoder, run, &sizes);
        }
        queue.submit([encoder.finish()]);
    }

    fn bind_sizes(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        layout: &wgpu::BindGroupLayout,
    ) -> wgpu::BindGroup {
        let buffer = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("sizes"),
            size: self.sizes.len().max(SLICE) as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        if !self.sizes.is_empty() {
            queue.write_buffer(&buffer, 0, &self.sizes);
        }
        let slice =
            wgpu::BufferBinding { buffer: &buffer, offset: 0, size: std::num::NonZeroU64::new(SLICE as u64) };
        let entries = [wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::Buffer(slice) }];
        device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("sizes"),
            layout,
            entries: &entries,
        })
    }
}

impl Operation {
    fn is_launch(&self) -> bool {
        matches!(self, Operation::Launch(_))
    }
}

/// One copy, or launches in one pass.
fn encode(encoder: &mut wgpu::CommandEncoder, run: &[Operation], sizes: &wgpu::BindGroup) {
    if let [Operation::Copy { from, to, bytes }] = run {
        if *bytes > 0 {
            encoder.copy_buffer_to_buffer(from, 0, to, 0, *bytes);
        }
        return;
    }
    let mut pass = encoder.begin_compute_pass(&Default::default());
    for operation in run {
        let Operation::Launch(launch) = operation else { continue };
        pass.set_pipeline(&launch.pipeline);
        pass.set_bind_group(0, &launch.group, &[]);
        pass.set_bind_group(1, sizes, &[launch.slice]);
        pass.dispatch_workgroups(launch.workgroups.0, launch.workgroups.1, 1);
    }
}
