//! What this processor can do, found out once at run time, never assumed at build time.

use std::sync::OnceLock;

/// The instruction level a kernel variant needs. Later levels include earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CpuLevel {
    /// Portable Rust.
    Scalar,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 F, DQ, BW and VL (and the Avx2 level).
    Avx512,
}

impl CpuLevel {
    /// The highest level of this processor.
    pub fn detect() -> CpuLevel {
        static LEVEL: OnceLock<CpuLevel> = OnceLock::new();
        *LEVEL.get_or_init(ask_processor)
    }

    /// Every level that this processor can run, lowest first.
    pub fn available() -> impl Iterator<Item = CpuLevel> {
        [CpuLevel::Scalar, CpuLevel::Avx2, CpuLevel::Avx512]
            .into_iter()
            .filter(|level| *level <= CpuLevel::detect())
    }

    /// The name used in artifacts and reports.
    pub fn name(self) -> &'static str {
        match self {
            CpuLevel::Scalar => "scalar",
            CpuLevel::Avx2 => "avx2",
            CpuLevel::Avx512 => "avx512",
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn ask_processor() -> CpuLevel {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl");
    match (avx2, avx512) {
        (true, true) => CpuLevel::Avx512,
        (true, false) => CpuLevel::Avx2,
        (false, _) => CpuLevel::Scalar,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn ask_processor() -> CpuLevel {
    CpuLevel::Scalar
}

/// Hardware threads this process may use; at least one.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// One line for reports: processor name, usable cores and level, such as `AMD EPYC, 2 cores, avx2`.
pub fn describe() -> String {
    let name = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| model_name(&text));
    let name = name.unwrap_or_else(|| format!("unknown {} processor", std::env::consts::ARCH));
    let cores = cores();
    let noun = if cores == 1 { "core" } else { "cores" };
    format!("{name}, {cores} {noun}, {}", CpuLevel::detect().name())
}

/// The first `model name` of a `/proc/cpuinfo` text.
fn model_name(cpuinfo: &str) -> Option<String> {
    let value = cpuinfo
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == "model name")?;
    Some(value.1.trim().to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_name_is_the_first_one_listed() {
        let text = "processor\t: 0\nmodel name\t: Fast One 9\n\nprocessor\t: 1\nmodel name\t: Other\n";
        assert_eq!(model_name(text).as_deref(), Some("Fast One 9"));
        assert_eq!(model_name("CPU implementer : 0x41\n"), None);
    }

    #[test]
    fn the_description_names_the_level() {
        assert!(describe().ends_with(CpuLevel::detect().name()));
        assert_eq!(CpuLevel::available().last(), Some(CpuLevel::detect()));
    }
}
