//! How a product is cut into panels: enough of them for many threads, as square as they can be, for the micro-kernel
//! copies the operands of each panel into its own order. Nothing here depends on the number of threads.

use nnc_ir::{Dim, Symbol};

/// Elements that a tile may have.
pub(super) const TILE: f64 = 65536.0;
/// Multiplications below which a product is not cut.
const SMALL: f64 = 65536.0;
/// Multiplications that are a panel's worth of work, where there are many: some 35 microseconds.
const PANEL: f64 = 3e6;
/// Panels of a product that is large enough to be cut, at least and at most.
const PANELS: (f64, f64) = (4.0, 48.0);
/// Share of the wanted panels that is enough.
const ENOUGH: f64 = 0.75;
/// Rows come in multiples of a register tile's rows, columns in multiples of its columns, on every level.
const ROWS: f64 = 12.0;
const COLUMNS: f64 = 32.0;
/// Panels of equal rows are taken as they are if the rows are a multiple of this.
const EVEN: f64 = 4.0;
/// What reading an element of an operand costs against copying it.
const READ: f64 = 0.2;

/// An extent in panels of `length`: the counter of panels with their number, and the length of the current one; `None`
/// if one panel holds it.
pub(super) fn cut(extent: &Dim, length: i64, name: &str) -> Option<((Symbol, Dim), Dim)> {
    let constant = extent.as_constant();
    if constant.is_some_and(|extent| extent <= length) {
        return None;
    }
    let (width, number) = (Dim::constant(length), Symbol::new(name));
    let left = extent - &(&width * &Dim::from(&number));
    let even = constant.is_some_and(|extent| extent % length == 0);
    let size = if even { width.clone() } else { width.minimum(&left) };
    Some(((number, extent.ceil_div(&width)), size))
}

/// Guessed sizes, from which panels are chosen.
pub(super) struct Sizes {
    /// Products of this shape.
    pub instances: f64,
    /// Length of the micro-kernel's rows.
    pub rows: f64,
    /// Length of its columns.
    pub columns: f64,
    /// All columns of the result, those in outer loops included.
    pub width: f64,
    /// Length of the sum.
    pub depth: f64,
    /// The result goes straight to its place.
    pub is_direct: bool,
    /// Columns may be cut.
    pub may_cut_columns: bool,
    /// The left operand is copied too: its rows are not contiguous.
    pub packs_rows: bool,
}

impl Sizes {
    /// Rows of a panel, and columns if these are cut.
    pub fn panels(&self) -> (i64, Option<i64>) {
        let wanted = self.wanted();
        let cuts = [1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0];
        let allowed = cuts.into_iter().filter(|cut| *cut == 1.0 || self.may_cut_columns && *cut <= wanted);
        let panels = allowed.map(|cut| self.panel(wanted, cut));
        let rank = |panel: (f64, f64)| ((ENOUGH * wanted - self.count(panel)).max(0.0), self.copies(panel));
        let best = panels.map(|panel| (rank(panel), panel)).min_by(|(a, _), (b, _)| {
            let (few, copies) = (a.0.total_cmp(&b.0), a.1.total_cmp(&b.1));
            few.then(copies)
        });
        let (rows, columns) = best.map_or((ROWS, self.columns), |(_, panel)| panel);
        let is_cut = self.may_cut_columns && columns < self.columns;
        (rows as i64, is_cut.then_some(columns as i64))
    }

    /// Panels that one product should have.
    fn wanted(&self) -> f64 {
        let work = self.instances * self.rows * self.width * self.depth;
        let panels = if work < PANELS.0 * SMALL { work / SMALL } else { (work / PANEL).max(PANELS.0) };
        (panels.min(PANELS.1) / self.instances).ceil().max(1.0)
    }

    /// Rows and columns of a panel, if columns are cut into `cut` and the rest into rows.
    fn panel(&self, wanted: f64, cut: f64) -> (f64, f64) {
        let columns = if cut == 1.0 { self.columns } else { multiple(self.columns / cut, COLUMNS) };
        let width = self.width / self.columns.max(1.0) * columns;
        let part = self.rows / (wanted / cut).ceil();
        let rows = if part % EVEN == 0.0 { part } else { multiple(part, ROWS) };
        let most = if self.is_direct { rows } else { (TILE / width.max(1.0)).floor().max(1.0) };
        (rows.min(most), columns)
    }

    /// How many panels of this size there are.
    fn count(&self, (rows, columns): (f64, f64)) -> f64 {
        (self.rows / rows).ceil() * (self.columns / columns.max(1.0)).ceil()
    }

    /// What panels of this size copy and read.
    fn copies(&self, (rows, columns): (f64, f64)) -> f64 {
        self.count((rows, columns)) * (rows * if self.packs_rows { 1.0 } else { READ } + columns)
    }
}

/// `length` rounded up.
fn multiple(length: f64, of: f64) -> f64 {
    (length / of).ceil().max(1.0) * of
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(rows: f64, columns: f64, depth: f64) -> Sizes {
        Sizes {
            instances: 1.0,
            rows,
            columns,
            width: columns,
            depth,
            is_direct: true,
            may_cut_columns: true,
            packs_rows: false,
        }
    }

    #[test]
    fn small_products_are_one_panel() {
        let (rows, columns) = product(32.0, 32.0, 32.0).panels();
        assert!(rows >= 32 && columns.is_none());
    }

    #[test]
    fn weights_and_activations_are_cut_into_equal_parts() {
        for (m, n, k) in
            [(768.0, 512.0, 128.0), (512.0, 128.0, 768.0), (128.0, 128.0, 768.0), (4.0, 4096.0, 4096.0)]
        {
            let (rows, columns) = product(m, n, k).panels();
            let columns = columns.map_or(n, |columns| columns as f64);
            let panels = (m / rows as f64).ceil() * (n / columns).ceil();
            assert!((4.0..=64.0).contains(&panels), "{m} {n} {k}: {rows} x {columns}, {panels} panels");
        }
    }

    #[test]
    fn tiles_stay_small() {
        let sizes = Sizes { is_direct: false, may_cut_columns: false, ..product(4096.0, 3000.0, 64.0) };
        let (rows, columns) = sizes.panels();
        assert!(columns.is_none() && rows as f64 * 3000.0 <= TILE);
    }
}
