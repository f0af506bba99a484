//! Tests of the two IRs. Most are generated from the catalog of operations: every example is a test of evaluation, of
//! the gradient, of the lowering and of the text.

mod dims;
mod evaluation;
mod examples;
mod gradients;
mod kernels;
mod lowering;
mod mutation;
mod programs;
mod text;
mod verification;
