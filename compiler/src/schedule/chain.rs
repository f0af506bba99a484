//! Chains of groups around products: what one computes row by row and only the others read stays in cache. Attention
//! is the case in mind: scores are a product, their softmax is a group over rows, and its product with the values another.
//!
//! A chain walks its rows in panels. All its groups work on one panel after the other, on tiles of `rows x columns`
//! instead of whole matrices; a product that sums over the rows adds up panel by panel.

mod find;

use super::home::Home;
use super::panels::{self, TILE};
use super::product;
use super::rows::{self, Around, Stored};
use super::sizes::Guess;
use super::units::Group;
use super::writer::{FIRST_TILE, Writer};
use nnc_base::Diagnostic;
use nnc_ir::plan::PlaceId;
use nnc_ir::{Dim, Symbol, Value};

pub(super) use find::merge;

/// Rows of a panel, at least and at most.
const ROWS: (f64, f64) = (16.0, 64.0);

/// Groups that are one kernel. They share the names of batch and row counters.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    pub links: Vec<Link>,
    pub batch: Vec<(Symbol, Dim)>,
    pub row: (Symbol, Dim),
    /// Columns of the tiles.
    pub width: Dim,
    /// Axes before the rows.
    pub axes: usize,
    /// Values that live in tiles; their last two axes are rows and columns.
    pub tiled: Vec<Value>,
}

/// A group of a chain.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub group: Group,
    /// What it calls the rows.
    pub row: Symbol,
    /// It is a product that sums over the chain's rows.
    pub sums_rows: bool,
}

/// The rows that the groups of a chain work on.
pub(super) struct Panel {
    /// Number of the panel, if there are several.
    pub number: Option<(Symbol, Dim)>,
    /// Rows of a whole panel.
    pub length: Dim,
    /// Rows of the current panel.
    pub size: Dim,
    /// Counters of loops that are open.
    pub batch: Vec<Symbol>,
}

impl Panel {
    /// First row.
    pub fn start(&self) -> Dim {
        self.number.as_ref().map_or_else(Dim::zero, |(panel, _)| &self.length * &Dim::from(panel))
    }
}

impl Chain {
    /// Panels that leave the tiles in cache.
    pub fn panel(&self, guess: &Guess) -> Panel {
        let extent = self.row.1.clone();
        let batch = self.batch.iter().map(|(counter, _)| counter.clone()).collect();
        let row_size = guess.of(&self.width).max(1.0) * self.tiled.len() as f64;
        let length = ((TILE / row_size).clamp(ROWS.0, ROWS.1) / 4.0) as i64 * 4;
        match panels::cut(&extent, length, "panel@chain") {
            None => Panel { number: None, length: extent.clone(), size: extent, batch },
            Some((number, size)) => {
                Panel { number: Some(number), length: Dim::constant(length), size, batch }
            }
        }
    }

    /// Where the values in tiles lie. Tile n of the kernel stands for place [`FIRST_TILE`] + n.
    pub fn homes(&self, panel: &Panel) -> Vec<(Value, Home)> {
        let offset = &Dim::zero() - &(&panel.start() * &self.width);
        let home = |number: usize| {
            let mut strides = vec![Dim::zero(); self.axes];
            strides.extend([self.width.clone(), Dim::one()]);
            Home { place: PlaceId(FIRST_TILE + number as u32), offset: offset.clone(), strides }
        };
        self.tiled.iter().enumerate().map(|(number, value)| (*value, home(number))).collect()
    }
}

/// Writes the kernel of a chain, given the roots of every link; returns how many of its outermost loops are the grid.
pub(super) fn write(
    writer: &mut Writer,
    around: &Around,
    chain: &Chain,
    panel: &Panel,
    roots: &[Vec<Stored>],
) -> Result<usize, Diagnostic> {
    for value in &chain.tiled {
        let (name, dtype) = (writer.expander.graph.name(*value), writer.expander.graph.ty(*value).dtype);
        writer.tile(&name, dtype, &panel.length * &chain.width);
    }
    let panels: Vec<(Symbol, Dim)> = panel.number.iter().cloned().collect();
    writer.open_all(&chain.batch);
    let links = || chain.links.iter().zip(roots).filter(|(_, roots)| !roots.is_empty());
    for (link, roots) in links().filter(|(link, _)| link.sums_rows && !panels.is_empty()) {
        writer.begin(&link.group);
        product::clear(writer, around, link, roots, panel)?;
    }
    writer.open_all(&panels);
    for (link, roots) in links() {
        writer.begin(&link.group);
        match link.group.anchor {
            None => rows::write_panel(writer, around, link, roots, panel)?,
            Some(_) => product::write_panel(writer, around, link, roots, panel)?,
        }
    }
    writer.close_all(&panels);
    writer.close_all(&chain.batch);
    let adds_up = chain.links.iter().any(|link| link.sums_rows);
    Ok(chain.batch.len() + if adds_up { 0 } else { panels.len() })
}
