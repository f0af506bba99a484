//! Axes of tensors as the language sees them: a name, a size, and inside an index definition an index.
//!
//! The IR knows only sizes; names live here and settle which axis of one operand meets which of another.

use nnc_base::Span;
use nnc_ir::{Dim, Value};
use std::rc::Rc;

/// One axis of a tensor.
#[derive(Clone, Debug)]
pub struct Axis {
    /// Its label, or the name of its size as written in the type that introduced it.
    pub name: Option<Rc<str>>,
    /// Whether the name is a label: labels of two operands must agree.
    pub label: bool,
    /// Its size: the capacity, if the axis is counted.
    pub size: Dim,
    /// The index that runs over it, inside an index definition.
    pub index: Option<usize>,
    /// For a counted axis the number of live elements, an `i32[]`.
    pub live: Option<Value>,
    /// Where its size was written.
    pub origin: Option<Span>,
}

impl Axis {
    /// An axis called `name`.
    pub fn named(name: &str, size: Dim) -> Axis {
        Axis { name: Some(Rc::from(name)), ..Axis::sized(size) }
    }

    /// An axis without a name.
    pub fn sized(size: Dim) -> Axis {
        Axis { name: None, label: false, size, index: None, live: None, origin: None }
    }

    /// The same axis, run over by `index`.
    pub fn indexed(&self, index: usize) -> Axis {
        Axis { index: Some(index), ..self.clone() }
    }

    /// As people write it: `to: 4`, `d = 128`, or `128`.
    pub fn describe(&self) -> String {
        match &self.name {
            Some(name) if self.label => format!("{name}: {}", self.size),
            Some(name) if **name != self.size.to_string() => format!("{name} = {}", self.size),
            _ => self.size.to_string(),
        }
    }

    /// Whether two axes may be one.
    pub(super) fn fits(&self, other: &Axis) -> bool {
        let labels = self.label && other.label && self.name != other.name;
        self.size == other.size && !labels && self.index == other.index
    }

    /// How strongly two axes belong together, if they may.
    fn likeness(&self, other: &Axis) -> Option<u32> {
        let same = self.name.is_some() && self.name == other.name;
        self.fits(other).then_some(if same {
            4
        } else {
            u32::from(self.name.is_none() || other.name.is_none())
        })
    }
}

/// Axes as a list in square brackets.
pub fn describe(axes: &[Axis]) -> String {
    let parts: Vec<String> = axes.iter().map(Axis::describe).collect();
    format!("[{}]", parts.join(", "))
}

/// How two operands meet.
pub struct Alignment {
    /// Axes of the result.
    pub axes: Vec<Axis>,
    /// For each axis of the left operand, its place in the result.
    pub left: Vec<usize>,
    /// For each axis of the right operand, its place in the result.
    pub right: Vec<usize>,
}

/// Why two operands do not meet.
pub enum Misfit {
    /// Axis `left` of one meets axis `right` of the other, and they differ.
    Size {
        /// Place in the left operand.
        left: usize,
        /// Place in the right operand.
        right: usize,
    },
    /// The axis of the smaller operand (right, if `right`) is not in the larger one.
    Foreign {
        /// Whether the axis is the right operand's.
        right: bool,
        /// Its place.
        place: usize,
    },
    /// The smaller operand's axes fit at several places.
    Ambiguous,
}

/// Aligns by index where there is one, by name and order elsewhere. Indices may be new on either side; other axes
/// must all occur in one operand.
pub fn align(left: &[Axis], right: &[Axis]) -> Result<Alignment, Misfit> {
    let (plain_left, plain_right) = (plain(left), plain(right));
    let swapped = plain_right.len() > plain_left.len();
    let (long, short) = if swapped { (&plain_right, &plain_left) } else { (&plain_left, &plain_right) };
    let (long_axes, short_axes) = if swapped { (right, left) } else { (left, right) };
    let places = embed(&pick(long_axes, long), &pick(short_axes, short)).map_err(|error| match error {
        Misfit::Size { left: l, right: r } if swapped => Misfit::Size { left: short[r], right: long[l] },
        Misfit::Size { left: l, right: r } => Misfit::Size { left: long[l], right: short[r] },
        Misfit::Foreign { place, .. } => Misfit::Foreign { right: !swapped, place: short[place] },
        Misfit::Ambiguous => Misfit::Ambiguous,
    })?;
    let mut axes = pick(long_axes, long);
    let mut long_map = vec![usize::MAX; long_axes.len()];
    let mut short_map = vec![usize::MAX; short_axes.len()];
    for (place, axis) in long.iter().enumerate() {
        long_map[*axis] = place;
    }
    for (axis, place) in short.iter().zip(&places) {
        short_map[*axis] = *place;
        merge_names(&mut axes[*place], &short_axes[*axis]);
    }
    let (mut left_map, mut right_map) = if swapped { (short_map, long_map) } else { (long_map, short_map) };
    place_indices(left, &mut left_map, &mut axes, true)?;
    place_indices(right, &mut right_map, &mut axes, false)?;
    Ok(Alignment { axes, left: left_map, right: right_map })
}

fn plain(axes: &[Axis]) -> Vec<usize> {
    (0..axes.len()).filter(|place| axes[*place].index.is_none()).collect()
}

fn pick(axes: &[Axis], places: &[usize]) -> Vec<Axis> {
    places.iter().map(|place| axes[*place].clone()).collect()
}

fn merge_names(into: &mut Axis, from: &Axis) {
    if into.name.is_none() || (from.label && !into.label) {
        into.name = from.name.clone();
        into.label = from.label;
    }
}

fn place_indices(axes: &[Axis], map: &mut [usize], result: &mut Vec<Axis>, left: bool) -> Result<(), Misfit> {
    for (place, axis) in axes.iter().enumerate() {
        if axis.index.is_none() {
            continue;
        }
        let found = result.iter().position(|known| known.index == axis.index);
        if let Some(found) = found.filter(|found| result[*found].size != axis.size) {
            let (l, r) = if left { (place, found) } else { (found, place) };
            return Err(Misfit::Size { left: l, right: r });
        }
        map[place] = found.unwrap_or_else(|| {
            result.push(axis.clone());
            result.len() - 1
        });
    }
    Ok(())
}

/// Places of the axes of `short` in `long`, in order; the embedding in which most names agree.
fn embed(long: &[Axis], short: &[Axis]) -> Result<Vec<usize>, Misfit> {
    if long.len() == short.len() {
        return match (0..long.len()).find(|place| !long[*place].fits(&short[*place])) {
            Some(place) => Err(Misfit::Size { left: place, right: place }),
            None => Ok((0..long.len()).collect()),
        };
    }
    // best[i][j]: (score, number of ways) of embedding short[i..] into long[j..].
    let (n, m) = (short.len(), long.len());
    let mut best = vec![vec![None; m + 1]; n + 1];
    best[n] = vec![Some((0u32, 1u32)); m + 1];
    for i in (0..n).rev() {
        for j in (0..m).rev() {
            let skip: Option<(u32, u32)> = best[i][j + 1];
            let take = short[i].likeness(&long[j]).and_then(|s| best[i + 1][j + 1].map(|(b, w)| (b + s, w)));
            best[i][j] = match (skip, take) {
                (Some(a), Some(b)) if a.0 == b.0 => Some((a.0, a.1 + b.1)),
                (a, b) => a.max(b),
            };
        }
    }
    match best[0][0] {
        None => {
            let place = (0..n).find(|i| !long.iter().any(|axis| axis.fits(&short[*i]))).unwrap_or(0);
            Err(Misfit::Foreign { right: true, place })
        }
        Some((_, ways)) if ways > 1 => Err(Misfit::Ambiguous),
        Some(_) => Ok(trace(long, short, &best)),
    }
}

fn trace(long: &[Axis], short: &[Axis], best: &[Vec<Option<(u32, u32)>>]) -> Vec<usize> {
    let (mut places, mut j) = (Vec::new(), 0);
    for row in &best[..short.len()] {
        while row[j] == row[j + 1] && j + 1 < long.len() {
            j += 1;
        }
        places.push(j);
        j += 1;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes(list: &[(&str, i64)]) -> Vec<Axis> {
        list.iter().map(|(name, size)| Axis::named(name, Dim::from(*size))).collect()
    }

    #[test]
    fn a_mean_over_the_width_meets_the_rows() {
        let found = align(&axes(&[("B", 2), ("T", 4), ("d", 4)]), &axes(&[("B", 2), ("T", 4)]));
        assert_eq!(found.map(|a| a.right).unwrap_or_default(), [0, 1]);
    }

    #[test]
    fn a_vector_meets_the_axis_of_its_name() {
        let found = align(&axes(&[("c", 4), ("H", 4), ("W", 4)]), &axes(&[("c", 4)]));
        assert_eq!(found.map(|a| a.right).unwrap_or_default(), [0]);
        let found = align(&axes(&[("c", 4), ("H", 4), ("W", 4)]), &axes(&[("W", 4)]));
        assert_eq!(found.map(|a| a.right).unwrap_or_default(), [2]);
    }

    #[test]
    fn a_nameless_fit_at_two_places_is_refused() {
        let found = align(&axes(&[("a", 4), ("b", 4)]), &axes(&[("z", 4)]));
        assert!(matches!(found, Err(Misfit::Ambiguous)));
    }

    #[test]
    fn another_size_is_a_misfit() {
        let found = align(&axes(&[("d", 4)]), &axes(&[("d", 5)]));
        assert!(matches!(found, Err(Misfit::Size { left: 0, right: 0 })));
    }
}
