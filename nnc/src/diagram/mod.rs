//! The drawing of a model: what flows where, laid out in layers, as SVG or HTML.

mod graph;
mod html;
mod labels;
mod layout;
mod svg;

pub use graph::{Diagram, diagram};
pub use html::page;
pub use svg::picture;
