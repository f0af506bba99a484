//! The instruction set of a level, as Cranelift wants it described.
//!
//! Features come from the [`CpuLevel`] alone, never from the machine that compiles, so equal levels give equal code. The
//! scalar level still asks for SSE4.1 on x86-64 (every such processor since 2008): without it rounding would become
//! library calls, and stored code must not need any.

use crate::error::Emit;
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::settings::{self, Configurable};
use nnc_kernels::CpuLevel;

/// Cranelift features of each level; a level has those of the lower ones too.
const FEATURES: [(CpuLevel, &[&str]); 3] = [
    (CpuLevel::Scalar, &["has_sse3", "has_ssse3", "has_sse41"]),
    (
        CpuLevel::Avx2,
        &["has_sse42", "has_popcnt", "has_avx", "has_avx2", "has_fma", "has_bmi1", "has_bmi2", "has_lzcnt"],
    ),
    (CpuLevel::Avx512, &["has_avx512f", "has_avx512dq", "has_avx512vl"]),
];

/// The description of this architecture at `level`, for one of Cranelift's optimization levels.
pub(crate) fn isa(level: CpuLevel, optimization: &str) -> Emit<OwnedTargetIsa> {
    let mut builder = cranelift_native::builder_with_options(false).map_err(str::to_owned)?;
    if cfg!(target_arch = "x86_64") {
        let enabled = FEATURES.iter().filter(|(of, _)| *of <= level).flat_map(|(_, names)| *names);
        for name in enabled {
            builder.enable(name).map_err(|error| error.to_string())?;
        }
    }
    builder.finish(settings::Flags::new(flags(optimization)?)).map_err(|error| error.to_string())
}

/// Settings shared by all levels. Stack probes are off because they are library calls; frames stay far below a page
/// guard.
fn flags(optimization: &str) -> Emit<settings::Builder> {
    let mut flags = settings::builder();
    let verifier = if cfg!(debug_assertions) { "true" } else { "false" };
    let wanted = [
        ("opt_level", optimization),
        ("is_pic", "true"),
        ("enable_verifier", verifier),
        ("enable_probestack", "false"),
        ("unwind_info", "false"),
    ];
    for (name, value) in wanted {
        flags.set(name, value).map_err(|error| error.to_string())?;
    }
    Ok(flags)
}

/// Whether `level` has a fused multiply-add that needs no library call.
pub(crate) fn has_fma(level: CpuLevel) -> bool {
    !cfg!(target_arch = "x86_64") || level >= CpuLevel::Avx2
}
