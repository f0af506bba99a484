//! From text to plan: `program` loads and resolves, `elaborate` specializes and builds the tensor IR, `differentiate`
//! and `passes` transform it, `schedule` makes kernels of it. Files, devices and clocks come through [`world::World`].

pub mod differentiate;
pub mod elaborate;
pub mod entries;
mod nearest;
pub mod passes;
pub mod program;
mod resolve;
pub mod schedule;
pub mod settings;
mod starts;
mod usual;
pub mod world;

pub use nearest::nearest;
pub use usual::usual_sizes;
