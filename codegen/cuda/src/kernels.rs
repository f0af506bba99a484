//! A whole kernel: signature and grid-stride loop around the body that the shared walk prints.

use crate::expressions::Cuda;
use crate::types::element;
use nnc_ir::kernel::cfamily::{self, Frame, Library, Printed, Unsupported};
use nnc_ir::kernel::{Access, Kernel};
use std::fmt::Write;

/// What may be assumed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// No two buffers overlap, so loads may move across stores.
    pub distinct: bool,
}

/// The name of a kernel's function.
pub fn symbol(kernel: &Kernel) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    format!("nnc_{}", kernel.name.chars().map(legal).collect::<String>())
}

/// Prints `kernel` as CUDA C++ with one function, [`symbol`], of the buffers and then the sizes as 64-bit integers.
pub fn print(kernel: &Kernel, options: &Options) -> Result<String, Unsupported> {
    let frame = Frame { instance: "instance", depth: 2, aliases: &[] };
    let printed = cfamily::print(kernel, &Cuda, frame)?;
    let tiles =
        tiles(kernel, &printed).map_err(|reason| Unsupported { kernel: kernel.name.clone(), reason })?;
    let library = Library::new(include_str!("library.cu")).select(&format!("{tiles}{}", printed.body));
    Ok(format!(
        "{library}{}{}{tiles}{}    }}\n}}\n",
        head(kernel, options, &printed),
        stride(&printed),
        printed.body
    ))
}

fn head(kernel: &Kernel, options: &Options, printed: &Printed) -> String {
    let restrict = if options.distinct { " __restrict__" } else { "" };
    let buffers = printed.memories.iter().filter_map(|memory| {
        let constant = if memory.access? == Access::Read { "const " } else { "" };
        Some(format!("{constant}{}*{restrict} {}", element(memory.dtype), memory.name))
    });
    let sizes = printed.sizes.iter().map(|size| format!("long long {size}"));
    let parameters: Vec<String> = buffers.chain(sizes).collect();
    format!("extern \"C\" __global__ void {}({}) {{\n", symbol(kernel), parameters.join(", "))
}

fn stride(printed: &Printed) -> String {
    format!(
        "    for (long long instance = (long long)blockIdx.x * blockDim.x + threadIdx.x; instance < {}; \
         instance += (long long)gridDim.x * blockDim.x) {{\n",
        printed.instances
    )
}

fn tiles(kernel: &Kernel, printed: &Printed) -> Result<String, String> {
    let mut text = String::new();
    for (memory, size) in printed.tiles(kernel)? {
        let _ = writeln!(text, "        {} {}[{size}];", element(memory.dtype), memory.name);
    }
    Ok(text)
}
