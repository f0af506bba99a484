//! From text to plan: `program` loads and resolves, `elaborate` specializes and builds the tensor IR, `differentiate`
//! and `passes` transform it, `schedule` makes kernels of it. Files, devices and clocks come through [`world::World`].

pub mod elaborate;
mod nearest;
pub mod program;
pub mod world;

pub use nearest::nearest;
