//! This processor as a device: stored machine code runs on the thread team, chunk by chunk.
//!
//! How a grid is cut depends on the number of threads, what an instance computes does not: results are the same on
//! any team.

use nnc_ir::kernel::Kernel;
use nnc_ir::session::{Buffers, Device};
use nnc_ir::{DType, Symbol};
use nnc_kernels::AlignedBytes;
use nnc_kernels::context::{Context, KernelFn, tile_end};
use nnc_kernels::exec::CodePage;
use nnc_kernels::host::HOST;
use nnc_kernels::team::Team;
use std::cell::UnsafeCell;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Nanoseconds of work below which handing a chunk to another thread does not pay.
const CHUNK_NANOSECONDS: f64 = 20_000.0;
/// Chunks per thread, so that a late thread finds less left.
const CHUNKS_PER_THREAD: i64 = 4;
/// Code starts at multiples of this: its constants are read in aligned pieces.
const CODE_ALIGNMENT: usize = 64;

/// Why the processor could not do its part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuError {
    /// One sentence.
    pub message: String,
}

impl fmt::Display for CpuError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CpuError {}

fn error(message: impl Into<String>) -> CpuError {
    CpuError { message: message.into() }
}

/// Kernels with their machine code, ready to run.
pub struct Cpu {
    team: &'static Team,
    kernels: Vec<Kernel>,
    page: CodePage,
    starts: Vec<usize>,
    scratch: Vec<AlignedBytes>,
    /// Where the scratch memory of each worker starts.
    tiles: Vec<usize>,
    /// Addresses of the buffers of the current launch.
    addresses: Vec<usize>,
    bytes: usize,
    profile: Option<Profile>,
}

/// What was launched when, in order.
#[derive(Clone, Debug)]
pub struct Profile {
    begin: Instant,
    /// The launches.
    pub launches: Vec<Launch>,
}

/// One launch of a kernel.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Its name, unique in a plan.
    pub kernel: String,
    /// Since measuring began.
    pub start: Duration,
    /// How long it took.
    pub time: Duration,
}

/// Memory that kernels write through shared references.
pub struct CpuBuffer(UnsafeCell<AlignedBytes>);

impl CpuBuffer {
    fn address(&self) -> *mut u8 {
        // SAFETY: no other reference to the cell's content lives while a call runs: the session owns the buffer.
        unsafe { (&mut *self.0.get()).as_mut_ptr() }
    }

    fn len(&self) -> usize {
        // SAFETY: as above; the length never changes.
        unsafe { (&*self.0.get()).len() }
    }
}

/// A kernel that is ready to run.
#[derive(Clone)]
pub struct CpuProgram {
    run: KernelFn,
    kernel: Arc<Kernel>,
}

impl Cpu {
    /// Kernels and the code of each, in the same order.
    pub fn new(kernels: &[Kernel], code: &[Vec<u8>], threads: Option<usize>) -> Result<Cpu, CpuError> {
        if kernels.len() != code.len() {
            return Err(error(format!("{} kernels have {} pieces of code", kernels.len(), code.len())));
        }
        let team = match threads {
            Some(threads) => Team::set_threads(threads),
            None => Team::global(),
        };
        let team = team.map_err(|e| error(format!("the thread team cannot start: {e}")))?;
        let (mut bytes, mut starts) = (Vec::new(), Vec::new());
        for piece in code {
            bytes.resize(bytes.len().next_multiple_of(CODE_ALIGNMENT), 0u8);
            starts.push(bytes.len());
            bytes.extend_from_slice(piece);
        }
        bytes.push(0);
        let page = CodePage::new(&bytes).map_err(|e| error(format!("the code cannot be mapped: {e}")))?;
        let mut scratch: Vec<AlignedBytes> = (0..team.threads()).map(|_| AlignedBytes::zeroed(0)).collect();
        let tiles = scratch.iter_mut().map(|s| s.as_mut_ptr() as usize).collect();
        let (kernels, addresses) = (kernels.to_vec(), Vec::new());
        Ok(Cpu { team, kernels, page, starts, scratch, tiles, addresses, bytes: 0, profile: None })
    }

    /// Bytes allocated so far for slots, results and scratch memory.
    pub fn allocated(&self) -> usize {
        self.bytes + self.scratch.iter().map(|s| s.len()).sum::<usize>()
    }

    /// Starts to measure every launch, or measures anew.
    pub fn measure(&mut self) {
        self.profile = Some(Profile { begin: Instant::now(), launches: Vec::new() });
    }

    /// What was measured.
    pub fn profile(&self) -> Option<&Profile> {
        self.profile.as_ref()
    }

    fn reserve(&mut self, bytes: usize) {
        for (scratch, tile) in self.scratch.iter_mut().zip(&mut self.tiles) {
            if scratch.len() < bytes {
                *scratch = AlignedBytes::zeroed(bytes);
            }
            *tile = scratch.as_mut_ptr() as usize;
        }
    }
}

fn tile_bytes(kernel: &Kernel, sizes: &[i64]) -> Option<usize> {
    let value = |symbol: &Symbol| kernel.sizes.iter().position(|s| s == symbol).map(|place| sizes[place]);
    let tile = |tile: &nnc_ir::kernel::Tile| {
        let elements = usize::try_from(tile.size.evaluate(&value)?).ok()?;
        elements.checked_mul(tile.dtype.size())
    };
    kernel.tiles.iter().try_fold(0, |end, declared| tile_end(end, tile(declared)?))
}

impl Device for Cpu {
    type Buffer = CpuBuffer;
    type Program = CpuProgram;
    type Error = CpuError;

    fn stride(&self, dtype: DType) -> Result<usize, CpuError> {
        Ok(dtype.size())
    }

    fn allocate(&mut self, bytes: usize) -> Result<CpuBuffer, CpuError> {
        self.bytes += bytes;
        Ok(CpuBuffer(UnsafeCell::new(AlignedBytes::zeroed(bytes))))
    }

    fn prepare(&mut self, kernel: &Kernel, _: &[usize]) -> Result<CpuProgram, CpuError> {
        // By text: a kernel may hold a NaN, which equals nothing.
        let text = kernel.to_string();
        let found =
            self.kernels.iter().position(|known| known.name == kernel.name && known.to_string() == text);
        let place = found.ok_or_else(|| error(format!("there is no code for kernel `{}`", kernel.name)))?;
        // SAFETY: the code was printed for this kernel with the calling convention of `KernelFn`.
        let run = unsafe { self.page.as_fn::<KernelFn>(self.starts[place]) };
        let run = run.ok_or_else(|| error(format!("the code of kernel `{}` is cut off", kernel.name)))?;
        Ok(CpuProgram { run, kernel: Arc::new(kernel.clone()) })
    }

    fn write(&mut self, buffer: &CpuBuffer, _: DType, elements: &[u8]) -> Result<(), CpuError> {
        if elements.len() > buffer.len() {
            return Err(error("more bytes are written than the buffer has"));
        }
        // SAFETY: both ranges are valid, and the caller's memory is not ours.
        unsafe { std::ptr::copy_nonoverlapping(elements.as_ptr(), buffer.address(), elements.len()) };
        Ok(())
    }

    fn read(&mut self, wanted: &[(&CpuBuffer, DType, usize)]) -> Result<Vec<Vec<u8>>, CpuError> {
        let one = |(buffer, dtype, count): &(&CpuBuffer, DType, usize)| {
            let bytes = count * dtype.size();
            if bytes > buffer.len() {
                return Err(error("more bytes are read than the buffer has"));
            }
            // SAFETY: the range was just checked, and no kernel runs now.
            Ok(unsafe { std::slice::from_raw_parts(buffer.address(), bytes) }.to_vec())
        };
        wanted.iter().map(one).collect()
    }

    fn copy(&mut self, from: &CpuBuffer, to: &CpuBuffer, bytes: usize) -> Result<(), CpuError> {
        if bytes > from.len() || bytes > to.len() {
            return Err(error("more bytes are copied than the buffers have"));
        }
        // SAFETY: both ranges were just checked; `copy` allows them to be one buffer.
        unsafe { std::ptr::copy(from.address(), to.address(), bytes) };
        Ok(())
    }

    fn launch(
        &mut self,
        program: &CpuProgram,
        buffers: Buffers<'_, CpuBuffer>,
        sizes: &[i64],
        instances: i64,
    ) -> Result<(), CpuError> {
        if !program.kernel.tiles.is_empty() {
            let bytes = tile_bytes(&program.kernel, sizes).ok_or_else(|| {
                error(format!("kernel `{}` needs more scratch memory than there is", program.kernel.name))
            })?;
            self.reserve(bytes);
        }
        self.addresses.clear();
        self.addresses.extend(buffers.iter().map(|buffer| buffer.address() as usize));
        let (pointers, values) = (self.addresses.as_ptr() as usize, sizes.as_ptr() as usize);
        let tiles = &self.tiles;
        let threads = self.team.threads() as i64;
        let least = (CHUNK_NANOSECONDS / program.kernel.cost.max(1.0)).ceil() as i64;
        let fair = (instances + threads * CHUNKS_PER_THREAD - 1) / (threads * CHUNKS_PER_THREAD);
        let chunk = least.max(fair).max(1);
        let chunks = (instances + chunk - 1) / chunk;
        let run = program.run;
        let body = |place: usize, worker: usize| {
            let start = place as i64 * chunk;
            let cx = Context {
                buffers: pointers as *const *mut u8,
                sizes: values as *const i64,
                scratch: tiles[worker] as *mut u8,
                host: HOST.as_ptr(),
            };
            // SAFETY: the session bound buffers of the sizes the kernel states; instances write disjoint places; each
            // worker has scratch memory of its own.
            unsafe { run(&cx, start, (start + chunk).min(instances)) };
        };
        let start = self.profile.is_some().then(Instant::now);
        self.team.run(chunks as usize, &body).map_err(|panic| error(panic.message))?;
        if let (Some(profile), Some(start)) = (&mut self.profile, start) {
            let (time, start) = (start.elapsed(), start.duration_since(profile.begin));
            profile.launches.push(Launch { kernel: program.kernel.name.clone(), start, time });
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), CpuError> {
        Ok(())
    }
}
