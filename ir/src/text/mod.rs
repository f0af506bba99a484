//! The text of the tensor IR. Printing, parsing and printing again gives the same text; parsing never panics and has
//! limits. Values are numbered in the order in which they are defined.

pub(crate) mod dims;
mod field;
pub(crate) mod lexer;
mod parse;
mod print;
pub(crate) mod reader;

pub use dims::parse_dim;
pub use field::Field;
pub use parse::parse;
pub use print::print;
pub use reader::Reader;

use std::fmt;

/// Why a text is refused, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// One sentence.
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for ParseError {}
