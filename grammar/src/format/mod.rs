//! The formatter: one layout for every program. It changes blanks, newlines,
//! semicolons and the commas behind last elements, and nothing else.
//!
//! Four spaces, 100 columns. A list that breaks takes one element per line and a
//! comma behind each. Neighbouring slots, fields, rules, writes, entries and lets
//! align. The author decides about empty lines (one at most), about bodies on one
//! line, and about the breaks of a pipe.

mod align;
mod doc;
mod expr;
mod item;
mod layout;
mod pen;
mod stmt;
mod types;

use crate::brackets;
use crate::parse::parse;
use crate::tokens::tokens;
use nnc_base::{Diagnostic, SourceId};

/// Formats a program that has no syntax errors.
///
/// # Errors
///
/// The findings of [`parse`] with the default source, if there are any.
pub fn format(text: &str) -> Result<String, Vec<Diagnostic>> {
    let source = SourceId::default();
    let syntax = parse(text, source);
    if !syntax.errors.is_empty() {
        return Err(syntax.errors);
    }
    let tokens = tokens(text, source);
    let matches = brackets::matches(text, &tokens);
    let mut pen = pen::Pen { text, tokens, matches, at: 0 };
    let doc = pen.file(&syntax);
    Ok(layout::render(doc))
}
