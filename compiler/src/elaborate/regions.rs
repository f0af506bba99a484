//! What was applied where: blocks, branches, functions and loops as they were elaborated, for drawings.
//!
//! Values are numbered in the order in which they are made, so a region is a range of them, and ranges nest.

use super::Elaborator;
use nnc_base::Span;
use nnc_ir::Dim;
use std::ops::Range;

/// What a region is.
#[derive(Clone, Debug, PartialEq)]
pub enum RegionKind {
    /// A block, applied.
    Block,
    /// A residual branch.
    Branch,
    /// A function, called.
    Function,
    /// The body of a rolled loop, with the number of its turns.
    Loop(Dim),
}

/// One application, call or loop.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// The region around it.
    pub parent: Option<usize>,
    /// What it is.
    pub kind: RegionKind,
    /// The name of what is applied: `Linear`, `gelu`.
    pub title: String,
    /// Where its slots lie; empty for functions.
    pub path: String,
    /// Where it is applied.
    pub span: Span,
    /// Numbers of the values made inside.
    pub values: Range<u32>,
}

impl<'a> Elaborator<'a> {
    /// Opens a region; [`Elaborator::close_region`] ends the innermost.
    pub(crate) fn open_region(&mut self, kind: RegionKind, title: &str, path: &str, span: Span) {
        let start = self.b.function.values.len() as u32;
        let (title, path) = (title.to_string(), path.to_string());
        self.regions.push(Region { parent: self.region, kind, title, path, span, values: start..start });
        self.region = Some(self.regions.len() - 1);
    }

    /// Closes the innermost region. One without values leaves no trace.
    pub(crate) fn close_region(&mut self) {
        let Some(open) = self.region else { return };
        let end = self.b.function.values.len() as u32;
        self.regions[open].values.end = end;
        self.region = self.regions[open].parent;
        // What the surroundings add next belongs to the application, not to the last line inside it.
        self.b.span = self.regions[open].span;
        if self.regions[open].values.is_empty() {
            self.regions.truncate(open);
        }
    }

    /// Runs something inside a region.
    pub(crate) fn in_region<T>(
        &mut self,
        kind: RegionKind,
        title: &str,
        path: &str,
        span: Span,
        run: impl FnOnce(&mut Self) -> T,
    ) -> T {
        self.open_region(kind, title, path, span);
        let result = run(self);
        self.close_region();
        result
    }
}
