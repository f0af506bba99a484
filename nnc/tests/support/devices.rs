//! Devices for tests. What is absent skips a test with a message; where `NNC_REQUIRE_GPU_TESTS` names it (`wgsl`,
//! `nvrtc`, `cuda`, separated by commas), its absence fails the test.

#![allow(dead_code, reason = "each test that includes it uses a part")]

use std::fmt::Display;

fn absent(name: &str, why: impl Display) {
    let required = std::env::var("NNC_REQUIRE_GPU_TESTS").unwrap_or_default();
    assert!(!required.split(',').any(|wanted| wanted == name), "{name} is required, but absent: {why}");
    println!("skipped: {name} is absent: {why}");
}

/// The graphics adapter.
pub fn wgsl() -> Option<nnc_wgsl::Device> {
    nnc_wgsl::Device::open().map_err(|error| absent("wgsl", error)).ok()
}

/// Whether CUDA sources can be compiled.
pub fn nvrtc() -> bool {
    nnc_cuda::compiler_is_present().map_err(|error| absent("nvrtc", error)).is_ok()
}

/// The CUDA device.
pub fn cuda() -> Option<nnc_cuda::Device> {
    nnc_cuda::Device::open(0).map_err(|error| absent("cuda", error)).ok()
}
