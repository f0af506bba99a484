//! Sheet lines that select some layers of a stack, `layer[0..4].mlp.**`, cut its loop into runs of equal layers.
//!
//! The layers of a run have the segment `layer[4..8]` in their paths; their keys count on: `layer[4]`, `layer[5]`, ..

use super::Elaborator;
use nnc_grammar::syntax as ast;
use nnc_ir::Dim;
use nnc_ir::graph::{copied_range, segments};
use std::ops::Range;

/// Layers that stay one loop, and what is added to their name.
pub(crate) struct Layers {
    pub first: Dim,
    pub count: Dim,
    pub suffix: String,
}

impl Elaborator<'_> {
    /// The runs of a stack at `path`, in order; one where no line cuts it.
    pub(crate) fn runs(&self, path: &str, count: &Dim, shared: bool) -> Vec<Layers> {
        let whole = || vec![Layers { first: Dim::zero(), count: count.clone(), suffix: String::new() }];
        let Some(number) = count.as_constant().filter(|_| !shared) else { return whole() };
        let mut borders = vec![0, number];
        for (prefix, sheet) in &self.sheets {
            let Some(inside) = super::sheets::below(prefix, path) else { continue };
            let names = segments(inside);
            for select in sheet.rules.iter().flat_map(|rule| &rule.selects) {
                let cuts = (0..select.segs.len()).filter_map(|place| {
                    let ast::SegKind::Name { range: Some(range), .. } = &select.segs[place].kind else {
                        return None;
                    };
                    super::sheets::matches_names(&select.segs[..=place], &names).then_some(range)
                });
                borders.extend(cuts.filter_map(|range| literal(range)).flat_map(|r| [r.start, r.end]));
            }
        }
        borders.retain(|border| (0..=number).contains(border));
        borders.sort_unstable();
        borders.dedup();
        if borders.len() <= 2 {
            return whole();
        }
        let run = |ends: &[i64]| Layers {
            first: Dim::constant(ends[0]),
            count: Dim::constant(ends[1] - ends[0]),
            suffix: format!("[{}..{}]", ends[0], ends[1]),
        };
        borders.windows(2).map(run).collect()
    }
}

/// The copies that a segment of a selection names, where they are written as numbers.
pub(crate) fn literal(range: &ast::Expr) -> Option<Range<i64>> {
    match &range.kind {
        ast::ExprKind::Int(n) => Some(*n..n.checked_add(1)?),
        ast::ExprKind::Range { start, end } => match (&start.kind, &end.kind) {
            (ast::ExprKind::Int(start), ast::ExprKind::Int(end)) if start < end => Some(*start..*end),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a segment of a path, `layer[4..8]` or `expert[3]`, is among the copies that a selection names.
pub(crate) fn among(segment: &str, wanted: &ast::Expr) -> bool {
    let Some(wanted) = literal(wanted) else { return false };
    let single = || {
        let number = segment.split_once('[')?.1.strip_suffix(']')?.parse::<i64>().ok()?;
        Some(number..number + 1)
    };
    let own = copied_range(segment).map(|(_, range)| range.start as i64..range.end as i64);
    own.or_else(single).is_some_and(|own| wanted.start <= own.start && own.end <= wanted.end)
}
