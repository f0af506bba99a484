//! Plans compute what the reference evaluation computes.

mod loops;
mod machine;
mod networks;
mod operations;
mod programs;
