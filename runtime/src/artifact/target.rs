//! What machine code relies on: the processor, the calling convention, and the host functions it calls by number.

use nnc_kernels::CpuLevel;
use nnc_kernels::host::HostFn;
use serde::{Deserialize, Serialize};

/// What the code of an artifact was made for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// `cpu`.
    pub kind: String,
    /// The instruction set, as Rust names it: `x86_64`.
    pub arch: String,
    /// How functions receive their arguments: `system-v` or `windows`.
    pub convention: String,
    /// Levels of processors there is code for, lowest first.
    pub levels: Vec<String>,
    /// The functions that code calls by their place in this list. A runtime may know more, never others.
    pub host: Vec<String>,
}

impl Target {
    /// This machine's kind, with code for these levels.
    pub fn here(levels: &[CpuLevel]) -> Target {
        Target {
            kind: "cpu".into(),
            arch: std::env::consts::ARCH.into(),
            convention: if cfg!(windows) { "windows" } else { "system-v" }.into(),
            levels: levels.iter().map(|level| level.name().to_string()).collect(),
            host: HostFn::ALL.iter().map(|function| function.name().to_string()).collect(),
        }
    }

    /// The best level of code that this machine can run; an error says what is in the way.
    pub fn level_here(&self) -> Result<CpuLevel, String> {
        let own = Target::here(&[]);
        if self.kind != own.kind {
            return Err(format!(
                "its code is for `{}`; this runtime runs code for `{}`",
                self.kind, own.kind
            ));
        }
        if (&self.arch, &self.convention) != (&own.arch, &own.convention) {
            let (made, here) = ((&self.arch, &self.convention), (&own.arch, &own.convention));
            return Err(format!(
                "its code is for {} ({}), this machine is {} ({})",
                made.0, made.1, here.0, here.1
            ));
        }
        if let Some(unknown) =
            (0..self.host.len()).find(|place| self.host.get(*place) != own.host.get(*place))
        {
            let name = &self.host[unknown];
            return Err(format!(
                "its code calls the host function `{name}`, which this version of nnc lacks"
            ));
        }
        let available: Vec<CpuLevel> = CpuLevel::available().collect();
        let best = available.iter().rev().find(|level| self.levels.iter().any(|name| name == level.name()));
        best.copied().ok_or_else(|| {
            let highest = CpuLevel::detect().name();
            format!("its code is for processors of level {}; this one has {highest}", self.levels.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_level_that_runs_here_is_chosen() {
        let all: Vec<CpuLevel> = CpuLevel::available().collect();
        assert_eq!(Target::here(&all).level_here(), Ok(CpuLevel::detect()));
        assert_eq!(Target::here(&[CpuLevel::Scalar]).level_here(), Ok(CpuLevel::Scalar));
        assert!(Target::here(&[]).level_here().is_err());
    }

    #[test]
    fn other_machines_and_other_host_tables_are_told() {
        let here = Target::here(&[CpuLevel::Scalar]);
        let refused = |target: Target| target.level_here().unwrap_err();
        assert!(refused(Target { kind: "cuda".into(), ..here.clone() }).contains("`cuda`"));
        assert!(refused(Target { arch: "other".into(), ..here.clone() }).contains("other"));
        let mut later = here.clone();
        later.host.push("NewF32".into());
        assert!(refused(later).contains("`NewF32`"));
        let mut earlier = here;
        earlier.host.pop();
        assert_eq!(earlier.level_here(), Ok(CpuLevel::Scalar));
    }
}
