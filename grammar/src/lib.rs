//! The grammar of the language: text to syntax tree, and back to text.

pub mod limits;
pub mod syntax;
