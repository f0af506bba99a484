//! One file per command: its arguments and what it does.

pub mod build;
pub mod graph;
pub mod new;
pub mod opt;
pub mod run;
