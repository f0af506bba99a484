//! A product in terms of letters: which are its rows, columns and sums, and how operands lie in memory along them.

use super::runs::Run;
use crate::schedule::expand::{At, Expansion, internal, summed};
use crate::schedule::rows::Stored;
use crate::schedule::units::Group;
use crate::schedule::units::joining::letters_at;
use crate::schedule::writer::Writer;
use nnc_base::Diagnostic;
use nnc_ir::kernel::{Access, BufferId};
use nnc_ir::ops::Op;
use nnc_ir::{Dim, Symbol, Value};
use std::collections::HashMap;

/// Places of an image that a tile holds at most, for every row of a product.
const WIDEST: i64 = 4096;

/// One letter that is not of size 1.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) symbol: Symbol,
    pub(super) extent: Dim,
}

/// A strided operand or result.
#[derive(Clone, Debug)]
pub(super) struct Strided {
    pub(super) buffer: BufferId,
    pub(super) base: Dim,
    pub(super) slopes: HashMap<Symbol, Dim>,
}

impl Strided {
    pub(super) fn slope(&self, symbol: &Symbol) -> Dim {
        self.slopes.get(symbol).cloned().unwrap_or_default()
    }
}

/// The product in terms of letters.
pub(super) struct Shape {
    pub(super) value: Value,
    pub(super) at: At,
    pub(super) batch: Vec<Letter>,
    pub(super) rows: Vec<Letter>,
    pub(super) columns: Vec<Letter>,
    pub(super) summed: Vec<Letter>,
    pub(super) lhs: Strided,
    pub(super) rhs: Strided,
    /// The last two letters of the columns are one axis, on which the first takes so many steps; see
    /// [`Shape::wide_pitch`].
    pub(super) pitch: Option<i64>,
}

impl Shape {
    pub(super) fn new(writer: &mut Writer, group: &Group) -> Result<Shape, Diagnostic> {
        let (value, at) = group.anchor.clone().ok_or_else(|| internal("a group has no product"))?;
        let node = writer.expander.graph.node(value).ok_or_else(|| internal("a product has no node"))?;
        let Op::Contract(op) = &node.op else { return Err(internal("a product is no contraction")) };
        let extents = writer.expander.letters(op, &node.operands);
        let mut index = letters_at(op, &at);
        for (letter, place) in &mut index {
            if extents[letter].is_one() && !op.out.contains(letter) {
                *place = Dim::zero();
            }
        }
        let letter = |letter: &u32| {
            let symbol = index[letter].as_symbol()?.clone();
            Some(Letter { symbol, extent: extents[letter].clone() })
        };
        let list =
            |keep: &dyn Fn(&u32) -> bool| op.out.iter().filter(|l| keep(l)).filter_map(letter).collect();
        let (left, right) = (|l: &u32| op.lhs.contains(l), |l: &u32| op.rhs.contains(l));
        let batch: Vec<Letter> = list(&|l| left(l) && right(l));
        let (rows, columns): (Vec<Letter>, Vec<Letter>) =
            (list(&|l| left(l) && !right(l)), list(&|l| !left(l) && right(l)));
        let inner: Vec<Letter> = summed(op).iter().filter_map(letter).collect();
        for letter in batch.iter().chain(&rows).chain(&columns).chain(&inner) {
            writer.ranges.counter(&letter.symbol, &letter.extent);
        }
        let symbols: Vec<Symbol> = batch
            .iter()
            .chain(&rows)
            .chain(&columns)
            .chain(&inner)
            .map(|letter| letter.symbol.clone())
            .collect();
        let side = |letters: &[u32]| -> At { letters.iter().map(|letter| index[letter].clone()).collect() };
        let lhs = strided(writer, node.operands[0], &side(&op.lhs), &symbols)?;
        let rhs = strided(writer, node.operands[1], &side(&op.rhs), &symbols)?;
        Ok(Shape { value, at, batch, rows, columns, summed: inner, lhs, rhs, pitch: None })
    }

    /// The same product, its columns being contiguous where the first root is stored, if either side is.
    pub(super) fn towards(self, writer: &mut Writer, roots: &[Stored]) -> Shape {
        let Some((root, home)) = roots.first() else { return self };
        let offset = writer.offset(home, &root.at);
        let is_contiguous = |letters: &[Letter]| {
            letters
                .iter()
                .any(|letter| offset.linear_in(&letter.symbol).is_some_and(|(slope, _)| slope.is_one()))
        };
        if !is_contiguous(&self.rows) || is_contiguous(&self.columns) {
            return self;
        }
        self.turned()
    }

    /// The distance of image rows, if the product is a convolution: its two last columns (or rows) are places in an
    /// image whose rows are longer than what is asked of them. Then it pays to compute whole rows, and to drop what
    /// lies between those asked for: places become one contiguous axis.
    pub(super) fn wide_pitch(&self) -> Option<i64> {
        self.pitch_of(&self.columns, &self.rhs).or_else(|| self.pitch_of(&self.rows, &self.lhs))
    }

    pub(super) fn pitch_of(&self, letters: &[Letter], matrix: &Strided) -> Option<i64> {
        let [.., row, column] = letters else { return None };
        let windowed = self.summed.iter().filter(|letter| matrix.slope(&letter.symbol).is_one()).count() == 1;
        let (height, width) = (row.extent.as_constant()?, column.extent.as_constant()?);
        let slope = |letter: &Letter| matrix.slope(&letter.symbol).as_constant().filter(|slope| *slope > 0);
        let (down, step) = (slope(row)?, slope(column)?);
        let pitch = down / step;
        let fits = windowed && down % step == 0 && (width..=3 * width).contains(&pitch);
        (fits && (height - 1) * pitch + width <= WIDEST).then_some(pitch)
    }

    /// Columns are places in an image with rows of `pitch`; all other columns are fixed in an instance.
    pub(super) fn widened(self, pitch: i64) -> Shape {
        let mut shape = if self.pitch_of(&self.columns, &self.rhs).is_some() { self } else { self.turned() };
        let image = shape.columns.split_off(shape.columns.len() - 2);
        shape.batch.append(&mut shape.columns);
        Shape { columns: image, pitch: Some(pitch), ..shape }
    }

    /// Elements between places of neighbouring letters, and places altogether.
    pub(super) fn wide_run(&self) -> Option<(Run, Dim)> {
        let (pitch, [row, column]) = (self.pitch?, self.columns.as_slice()) else { return None };
        let pitch = Dim::constant(pitch);
        let extent = &(&(&row.extent - &Dim::one()) * &pitch) + &column.extent;
        Some((Run { letters: self.columns.clone(), extent }, pitch))
    }

    /// The same product with rows and columns exchanged.
    pub(super) fn turned(self) -> Shape {
        Shape { rows: self.columns, columns: self.rows, lhs: self.rhs, rhs: self.lhs, ..self }
    }

    /// The same product, these letters being fixed in it.
    pub(super) fn with_batch(mut self, symbols: &[Symbol]) -> Shape {
        for letters in [&mut self.rows, &mut self.columns] {
            let is_batch = |letter: &mut Letter| symbols.contains(&letter.symbol);
            self.batch.extend(letters.extract_if(.., is_batch));
        }
        self
    }
}

/// Follows views to memory.
pub(super) fn strided(
    writer: &mut Writer,
    value: Value,
    at: &[Dim],
    symbols: &[Symbol],
) -> Result<Strided, Diagnostic> {
    if writer.is_loaded(value) {
        let home = writer.homes[&value].clone();
        let offset = writer.offset(&home, at);
        let buffer = writer.buffer(home.place, Access::Read);
        return split(buffer, offset, symbols);
    }
    let domains = writer.domains.clone();
    match writer.expander.expand(value, at, &domains, &mut writer.ranges)? {
        Expansion::View { operand, guards, .. } if guards.is_empty() => {
            strided(writer, operand.0, &operand.1, symbols)
        }
        _ => Err(internal("an operand of a product is not strided memory")),
    }
}

pub(super) fn split(buffer: BufferId, offset: Dim, symbols: &[Symbol]) -> Result<Strided, Diagnostic> {
    let (mut base, mut slopes) = (offset, HashMap::new());
    for symbol in symbols {
        let (slope, rest) = base
            .linear_in(symbol)
            .ok_or_else(|| internal(format!("`{base}` is not linear in `{symbol}`")))?;
        if !slope.is_zero() {
            slopes.insert(symbol.clone(), slope);
        }
        base = rest;
    }
    Ok(Strided { buffer, base, slopes })
}

/// The place of the result, if the product can be written there as it is.
pub(super) fn direct(
    writer: &mut Writer,
    shape: &Shape,
    roots: &[Stored],
) -> Result<Option<Strided>, Diagnostic> {
    let [(root, home)] = roots else { return Ok(None) };
    if shape.pitch.is_some() || root.value != shape.value || root.at != shape.at {
        return Ok(None);
    }
    let offset = writer.offset(home, &root.at);
    let buffer = writer.buffer(home.place, Access::Write);
    let symbols: Vec<Symbol> = shape
        .batch
        .iter()
        .chain(&shape.rows)
        .chain(&shape.columns)
        .map(|letter| letter.symbol.clone())
        .collect();
    split(buffer, offset, &symbols).map(Some)
}
