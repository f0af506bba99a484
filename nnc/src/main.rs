//! Part of nnc.
fn main() {}
