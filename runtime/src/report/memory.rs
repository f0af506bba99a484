//! The most memory that this process has had resident, and what the machine has.

/// Peak resident bytes; nothing where the system does not tell.
pub fn peak_bytes() -> Option<u64> {
    peak_of(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// Bytes of memory and swap space of this machine; nothing where the system does not tell.
pub fn machine_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    Some(line_of(&text, "MemTotal:")? + line_of(&text, "SwapTotal:").unwrap_or(0))
}

/// The `VmHWM` line of a Linux status file, which is in KiB.
fn peak_of(status: &str) -> Option<u64> {
    line_of(status, "VmHWM:")
}

fn line_of(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_in_bytes() {
        assert_eq!(peak_of("Name:\tnnc\nVmHWM:\t    1234 kB\nVmRSS:\t 9 kB\n"), Some(1234 * 1024));
        assert_eq!(peak_of("Name:\tnnc\n"), None);
        assert_eq!(peak_of("VmHWM:\tmany kB\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_peak_covers_memory_in_use() {
        let memory = std::hint::black_box(vec![1u8; 32 << 20]);
        assert!(peak_bytes().unwrap() > memory.len() as u64);
    }
}
