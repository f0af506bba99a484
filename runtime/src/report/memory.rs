//! The most memory that this process has had resident.

/// Peak resident bytes; nothing where the system does not tell.
pub fn peak_bytes() -> Option<u64> {
    peak_of(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// The `VmHWM` line of a Linux status file, which is in KiB.
fn peak_of(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
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
