//! A whole kernel: bindings, sizes, instance number and bounds check around the body that the shared walk prints.

use crate::expressions::Wgsl;
use crate::types::{kind, word};
use nnc_ir::kernel::cfamily::{self, Frame, Library, Printed, Unsupported};
use nnc_ir::kernel::{Access, Kernel};
use std::fmt::Write;

/// Sizes that fit into one slice of the uniform buffer: 256 bytes, the coarsest offset alignment.
pub(crate) const MAX_SIZES: usize = 64;

/// The variable of the library that keeps float expressions as they are written.
const UNSEEN: &str = "unseen_bits";

/// What the target is like, and how the buffers are bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Storage buffers that one stage may bind. WebGPU promises 8.
    pub max_storage_buffers: usize,
    /// Invocations of a workgroup.
    pub workgroup: u32,
    /// For each buffer the first buffer that is the same memory; empty if all differ. One launch must not bind one
    /// memory twice if it writes it, so aliases share one binding.
    pub aliases: Vec<usize>,
}

impl Default for Options {
    fn default() -> Options {
        Options { max_storage_buffers: 8, workgroup: 64, aliases: Vec::new() }
    }
}

/// The buffers that get a binding, in the order of binding numbers, and whether they are written.
pub fn bindings(kernel: &Kernel, aliases: &[usize]) -> Vec<(usize, bool)> {
    let first = |place: usize| aliases.get(place).copied().unwrap_or(place);
    let writes = |owner: usize| {
        kernel.buffers.iter().enumerate().any(|(k, b)| first(k) == owner && b.access != Access::Read)
    };
    (0..kernel.buffers.len())
        .filter(|place| first(*place) == *place)
        .map(|place| (place, writes(place)))
        .collect()
}

/// Prints `kernel` as a WGSL module with the entry point `main`. Storage buffers are group 0 in the order of
/// [`bindings`], the sizes are a uniform array of vectors at group 1, binding 0.
pub fn print(kernel: &Kernel, options: &Options) -> Result<String, Unsupported> {
    let refuse = |reason: String| Unsupported { kernel: kernel.name.clone(), reason };
    check(kernel, options).map_err(refuse)?;
    let frame = Frame { instance: "instance", depth: 1, aliases: &options.aliases };
    let printed = cfamily::print(kernel, &Wgsl, frame)?;
    let tiles = tiles(kernel, &printed).map_err(refuse)?;
    let library = Library::new(include_str!("library.wgsl")).select(&printed.body);
    let main = main(options, &printed, &tiles, library.contains(UNSEEN));
    Ok(format!("{}{library}{main}", globals(kernel, options, &printed)))
}

fn check(kernel: &Kernel, options: &Options) -> Result<(), String> {
    for dtype in kernel.buffers.iter().map(|b| b.dtype).chain(kernel.tiles.iter().map(|t| t.dtype)) {
        kind(dtype)?;
    }
    kernel.scalars.iter().try_for_each(|dtype| kind(*dtype).map(|_| ()))?;
    if kernel.sizes.len() > MAX_SIZES {
        return Err(format!("reads {} sizes, the limit is {MAX_SIZES}", kernel.sizes.len()));
    }
    let bound = bindings(kernel, &options.aliases);
    if bound.len() > options.max_storage_buffers {
        let limit = options.max_storage_buffers;
        return Err(format!("needs {} storage buffers, the target has {limit}", bound.len()));
    }
    let same = |(place, first): (usize, &usize)| {
        kernel
            .buffers
            .get(*first)
            .is_some_and(|b| kernel.buffers.get(place).is_some_and(|a| a.dtype == b.dtype))
    };
    match options.aliases.iter().enumerate().find(|alias| !same(*alias)) {
        Some((place, first)) => {
            Err(format!("binds buffers {place} and {first} of different types to one memory"))
        }
        None => Ok(()),
    }
}

fn globals(kernel: &Kernel, options: &Options, printed: &Printed) -> String {
    let mut text = String::new();
    for (binding, (place, writes)) in bindings(kernel, &options.aliases).into_iter().enumerate() {
        let memory = &printed.memories[place];
        let access = if writes { "read_write" } else { "read" };
        let (name, word) = (&memory.name, word(memory.dtype));
        let _ = writeln!(text, "@group(0) @binding({binding}) var<storage, {access}> {name}: array<{word}>;");
    }
    if !kernel.sizes.is_empty() {
        let vectors = kernel.sizes.len().div_ceil(4);
        let _ = writeln!(text, "@group(1) @binding(0) var<uniform> sizes: array<vec4<i32>, {vectors}>;");
    }
    text + "\n"
}

fn main(options: &Options, printed: &Printed, tiles: &str, sets_unseen: bool) -> String {
    let workgroup = options.workgroup;
    let mut text = format!(
        "@compute @workgroup_size({workgroup})\nfn main(@builtin(global_invocation_id) place: vec3<u32>, \
         @builtin(num_workgroups) groups: vec3<u32>) {{\n"
    );
    for (place, name) in printed.sizes.iter().enumerate() {
        let lane = ["x", "y", "z", "w"][place % 4];
        let _ = writeln!(text, "    let {name} = sizes[{}].{lane};", place / 4);
    }
    let _ = writeln!(text, "    let instance = i32(place.y * (groups.x * {workgroup}u) + place.x);");
    let _ = writeln!(text, "    if (instance >= {}) {{\n        return;\n    }}", printed.instances);
    if sets_unseen {
        // There is one layer of workgroups, but only the host knows.
        let _ = writeln!(text, "    {UNSEEN} = groups.z - 1u;");
    }
    text + tiles + &printed.body + "}\n"
}

fn tiles(kernel: &Kernel, printed: &Printed) -> Result<String, String> {
    let mut text = String::new();
    for (memory, size) in printed.tiles(kernel)? {
        let _ = writeln!(text, "    var {}: array<{}, {size}>;", memory.name, word(memory.dtype));
    }
    Ok(text)
}
