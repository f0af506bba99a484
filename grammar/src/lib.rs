//! The grammar of the language: text to syntax tree, and back to text.
//!
//! ```text
//! text ── tokens ── brackets ── items ── statements ── pest ── tree ── Syntax
//! ```
//!
//! [`parse`] never fails: brackets and limits are checked on the tokens, items and
//! statements are cut apart where they are broken, and `nn.pest` reads each piece.
//! [`tokens`] is for whatever has to see broken text.

mod brackets;
mod expected;
mod format;
pub mod limits;
mod names;
mod nearest;
mod parse;
mod slips;
pub mod syntax;
mod tokens;
mod tree;
#[cfg(test)]
mod whole;

pub use format::format;
pub use parse::parse;
pub use tokens::{RESERVED, STARTERS, TokenKind, is_reserved, tokens};
