//! Columns. Neighbouring lines of one kind align what comes before their `=` or
//! `:`. Only the widths of those parts decide, never the blanks of the author, so
//! formatting twice is formatting once.

use super::doc::{Doc, concat, pad, text};

/// The most blanks that alignment adds to a line.
const SPREAD: usize = 16;

/// Lines that may align.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Class {
    /// A slot or field with a type.
    Typed,
    /// A slot or field without.
    Untyped,
    /// `let x = ..`.
    Let,
    /// `let x[i] = ..`.
    LetIndexed,
    Entry,
    Write,
    Rule,
}

/// A line in columns: cells, and what follows the last of them.
pub(super) struct Row {
    /// With whom it aligns.
    pub(super) class: Option<Class>,
    pub(super) cells: Vec<Doc>,
    pub(super) tail: Doc,
    /// What stands between two cells.
    pub(super) space: &'static str,
}

impl Row {
    /// A line without columns.
    pub(super) fn whole(doc: Doc) -> Row {
        Row { class: None, cells: Vec::new(), tail: doc, space: "" }
    }

    /// The line on its own.
    pub(super) fn plain(self) -> Doc {
        self.padded(&[])
    }

    /// The widths of the cells that something follows.
    fn widths(&self) -> Option<Vec<usize>> {
        let count =
            if self.tail.flat == Some(0) { self.cells.len().saturating_sub(1) } else { self.cells.len() };
        self.cells[..count].iter().map(|cell| cell.flat).collect()
    }

    fn padded(self, columns: &[usize]) -> Doc {
        let mut parts = Vec::new();
        let count = self.cells.len();
        let open = self.tail.flat != Some(0);
        for (at, cell) in self.cells.into_iter().enumerate() {
            let width = cell.flat.unwrap_or(0);
            let last = at + 1 == count;
            parts.push(cell);
            if let Some(column) = columns.get(at).filter(|_| !last || open) {
                parts.push(pad(column.saturating_sub(width)));
            }
            parts.extend((!last).then(|| text(self.space)));
        }
        parts.push(self.tail);
        concat(parts)
    }
}

/// The lines, aligned in runs. `close[i]` says that line `i` is a neighbour of the one before.
pub(super) fn align(rows: Vec<Row>, close: &[bool]) -> Vec<Doc> {
    let mut found = Vec::new();
    let mut run = Run::default();
    for (at, row) in rows.into_iter().enumerate() {
        if !close[at] || !run.takes(&row) {
            run.flush(&mut found);
        }
        run.push(row);
    }
    run.flush(&mut found);
    found
}

/// Lines that align, and the widths of their columns.
#[derive(Default)]
struct Run {
    rows: Vec<Row>,
    least: Vec<usize>,
    most: Vec<usize>,
}

impl Run {
    fn takes(&self, row: &Row) -> bool {
        let alike = |last: &Row| {
            last.class.is_some() && last.class == row.class && last.cells.len() == row.cells.len()
        };
        let Some(widths) = row.widths().filter(|_| self.rows.last().is_some_and(alike)) else { return false };
        let spread = |at: usize, width: usize| {
            let least = self.least.get(at).map_or(width, |least| width.min(*least));
            self.most.get(at).map_or(width, |most| width.max(*most)) - least
        };
        widths.iter().enumerate().all(|(at, width)| spread(at, *width) <= SPREAD)
    }

    fn push(&mut self, row: Row) {
        for (at, width) in row.widths().unwrap_or_default().into_iter().enumerate() {
            match (self.least.get_mut(at), self.most.get_mut(at)) {
                (Some(least), Some(most)) => (*least, *most) = (width.min(*least), width.max(*most)),
                _ => {
                    self.least.push(width);
                    self.most.push(width);
                }
            }
        }
        self.rows.push(row);
    }

    fn flush(&mut self, found: &mut Vec<Doc>) {
        let run = std::mem::take(self);
        found.extend(run.rows.into_iter().map(|row| row.padded(&run.most)));
    }
}
