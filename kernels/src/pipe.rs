//! What a command does when the reader of its output goes away.

/// Ends the process quietly when it writes to a pipe nobody reads, as other commands do: `nnc build .. | head`.
pub fn end_quietly_on_closed_pipe() {
    // SAFETY: restores the default action of one signal before any thread is started.
    #[cfg(unix)]
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
}
