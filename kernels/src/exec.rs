//! Executable memory for stored machine code. A page is writable or executable, never both at once.

use std::io;

/// Machine code mapped read-execute. The code must be position-independent: it may lie at any page boundary.
#[derive(Debug)]
pub struct CodePage {
    start: *mut libc::c_void,
    len: usize,
}

// SAFETY: the mapping is immutable after construction and owned by this value alone.
unsafe impl Send for CodePage {}
// SAFETY: as above.
unsafe impl Sync for CodePage {}

impl CodePage {
    /// Maps a copy of `code`. Empty code is refused.
    pub fn new(code: &[u8]) -> io::Result<CodePage> {
        if code.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a code page needs at least one byte of code",
            ));
        }
        let page = CodePage { start: map_writable(code.len())?, len: code.len() };
        // SAFETY: the fresh mapping is writable for `len` bytes and overlaps nothing.
        unsafe { std::ptr::copy_nonoverlapping(code.as_ptr(), page.start.cast(), code.len()) };
        page.make_executable()?;
        Ok(page)
    }

    /// The address of the instruction at `offset`, or `None` past the end.
    ///
    /// Turning it into a function pointer is the caller's claim that code of that signature starts there.
    pub fn address(&self, offset: usize) -> Option<*const ()> {
        // SAFETY: the offset lies inside the mapping.
        (offset < self.len).then(|| unsafe { self.start.cast::<u8>().add(offset) as *const () })
    }

    /// The function that starts at `offset`, as the function pointer type `F`; `None` past the end.
    ///
    /// # Safety
    /// `F` is a function pointer type, and code with that signature and calling convention starts at `offset`. The
    /// returned pointer must not be called after `self` is dropped.
    pub unsafe fn as_fn<F: Copy>(&self, offset: usize) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<*const ()>(), "F is a function pointer") };
        let address = self.address(offset)?;
        // SAFETY: the caller promises that F is a function pointer type for the code at this address; sizes are equal.
        Some(unsafe { std::mem::transmute_copy::<*const (), F>(&address) })
    }

    /// Bytes of code.
    pub fn len(&self) -> usize {
        self.len
    }

    /// False: empty code is refused at construction.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn make_executable(&self) -> io::Result<()> {
        // SAFETY: start and len are those of our own mapping.
        let code = unsafe { libc::mprotect(self.start, self.len, libc::PROT_READ | libc::PROT_EXEC) };
        if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl Drop for CodePage {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and functions taken from it must not outlive `self`. A failure leaks it.
        unsafe { libc::munmap(self.start, self.len) };
    }
}

fn map_writable(len: usize) -> io::Result<*mut libc::c_void> {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANON);
    // SAFETY: an anonymous private mapping at an address of the kernel's choice touches no existing memory.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(start) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn stored_code_runs() {
        // mov eax, edi; add eax, esi; ret
        let page = CodePage::new(&[0x90, 0x89, 0xf8, 0x01, 0xf0, 0xc3]).unwrap();
        // SAFETY: the bytes above are a System V function (i32, i32) -> i32.
        let add: extern "sysv64" fn(i32, i32) -> i32 = unsafe { page.as_fn(1) }.unwrap();
        assert_eq!(add(40, 2), 42);
    }

    #[test]
    fn offsets_past_the_end_and_empty_code_are_refused() {
        let page = CodePage::new(&[0xc3]).unwrap();
        assert!(page.address(0).is_some() && page.address(1).is_none());
        assert_eq!(CodePage::new(&[]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn no_page_is_writable_and_executable() {
        let page = CodePage::new(&[0xc3]).unwrap();
        let address = page.address(0).unwrap() as usize;
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        // Neighboring mappings of the same protection are listed as one.
        let holds = |line: &&str| {
            let (start, end) =
                line.split_whitespace().next().and_then(|range| range.split_once('-')).unwrap();
            let bound = |text| usize::from_str_radix(text, 16).unwrap();
            (bound(start)..bound(end)).contains(&address)
        };
        let line = maps.lines().find(holds).expect("the page is mapped");
        assert_eq!(line.split_whitespace().nth(1), Some("r-xp"));
    }
}
