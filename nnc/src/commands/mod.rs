//! One file per command: its arguments and what it does.

pub mod graph;
pub mod new;
pub mod opt;
