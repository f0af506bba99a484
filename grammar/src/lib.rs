//! Part of nnc.
