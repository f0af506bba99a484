//! Places boxes in layers (Sugiyama, Tagawa and Toda 1981): every box is laid out by itself, from the innermost out.
//! A node stands below all that it reads; edges over several layers pass through places kept free for them.

use super::graph::Diagram;
use super::labels::{LINE, heading, lines, text_width};
use std::collections::{BTreeSet, HashMap};

/// Space around what lies in a box.
const PAD: f64 = 16.0;
/// Space for the title of a box.
pub(crate) const HEAD: f64 = 24.0;
/// Space between neighbours of a layer.
const GAP: f64 = 22.0;
/// Space between layers.
const DROP: f64 = 30.0;
/// A rectangle, in pixels; `y` grows downwards.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rect {
    pub x: f64,
    pub y: f64,
    pub w: f64,
    pub h: f64,
}

/// An edge as drawn.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Route {
    /// Points it passes.
    pub points: Vec<(f64, f64)>,
    /// It passes a layer by, as a residual does.
    pub long: bool,
    /// It ends inside a box's border, where no arrow head is wanted.
    pub open: bool,
}

/// A drawing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    /// Where each node lies.
    pub rects: Vec<Rect>,
    /// All edges.
    pub routes: Vec<Route>,
    /// Size of the whole.
    pub size: (f64, f64),
}

/// Lays a diagram out.
pub(crate) fn layout(diagram: &Diagram) -> Layout {
    let mut task = Task {
        diagram,
        levels: levels(diagram),
        children: HashMap::new(),
        placed: vec![Placed::default(); diagram.nodes.len()],
        inner: HashMap::new(),
    };
    for (place, node) in diagram.nodes.iter().enumerate() {
        task.children.entry(node.parent).or_default().push(place);
    }
    let whole = task.measure(None);
    let mut out = Layout {
        rects: vec![Rect::default(); diagram.nodes.len()],
        size: (whole.w, whole.h),
        ..Layout::default()
    };
    task.settle(None, 0.0, 0.0, &mut out);
    out
}

/// Ends of an edge inside a box: a node, or the border.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum End {
    In,
    Node(usize),
    Out,
}

/// The edges of each box, lifted to what lies directly in it.
fn levels(diagram: &Diagram) -> HashMap<Option<usize>, BTreeSet<(End, End)>> {
    let chain = |node: usize| {
        let mut chain = vec![node];
        while let Some(outer) = diagram.nodes[chain[chain.len() - 1]].parent {
            chain.push(outer);
        }
        chain.reverse();
        chain
    };
    let mut levels: HashMap<Option<usize>, BTreeSet<(End, End)>> = HashMap::new();
    for edge in &diagram.edges {
        let (from, to) = (chain(edge.from), chain(edge.to));
        let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
        if common == from.len() || common == to.len() {
            continue;
        }
        let around = common.checked_sub(1).map(|place| from[place]);
        levels.entry(around).or_default().insert((End::Node(from[common]), End::Node(to[common])));
        for pair in from[common..].windows(2) {
            levels.entry(Some(pair[0])).or_default().insert((End::Node(pair[1]), End::Out));
        }
        for pair in to[common..].windows(2) {
            levels.entry(Some(pair[0])).or_default().insert((End::In, End::Node(pair[1])));
        }
    }
    levels
}

/// A measured node: its size, and where edges enter and leave, from its left.
#[derive(Clone, Copy, Debug, Default)]
struct Placed {
    w: f64,
    h: f64,
    enter: f64,
    leave: f64,
}

/// Something with a place in a layer: a node, a border, or room for a passing edge.
#[derive(Clone, Debug)]
struct Spot {
    end: Option<End>,
    w: f64,
    h: f64,
    rank: usize,
    x: f64,
    y: f64,
}

/// The inside of a box.
struct Inner {
    spots: Vec<Spot>,
    /// Spots that each edge passes, ends included.
    edges: Vec<Vec<usize>>,
}

struct Task<'d> {
    diagram: &'d Diagram,
    levels: HashMap<Option<usize>, BTreeSet<(End, End)>>,
    children: HashMap<Option<usize>, Vec<usize>>,
    placed: Vec<Placed>,
    inner: HashMap<Option<usize>, Inner>,
}

impl Task<'_> {
    fn measure(&mut self, node: Option<usize>) -> Placed {
        let children = self.children.get(&node).cloned().unwrap_or_default();
        for child in &children {
            self.placed[*child] =
                if self.diagram.nodes[*child].open { self.measure(Some(*child)) } else { self.leaf(*child) };
        }
        let mut inner = self.spots(node, &children);
        order(&mut inner);
        let (width, height) = place(&mut inner);
        let head = if node.is_some() { HEAD } else { 0.0 };
        let wanted = node.map_or(0.0, |n| text_width(&heading(&self.diagram.nodes[n]), 6.4) + 2.0 * PAD);
        let shift = PAD + ((wanted - width - 2.0 * PAD) / 2.0).max(0.0);
        for spot in &mut inner.spots {
            spot.x += shift;
            spot.y += head + PAD;
        }
        let at = |wanted: End| inner.spots.iter().find(|s| s.end == Some(wanted)).map(|s| s.x);
        let whole = Placed {
            w: width + 2.0 * shift,
            h: height + head + 2.0 * PAD,
            enter: at(End::In).unwrap_or(width / 2.0 + shift),
            leave: at(End::Out).unwrap_or(width / 2.0 + shift),
        };
        self.inner.insert(node, inner);
        whole
    }

    fn leaf(&self, node: usize) -> Placed {
        let lines = lines(&self.diagram.nodes[node]);
        let width = lines
            .iter()
            .enumerate()
            .map(|(place, line)| text_width(line, if place == 0 { 7.4 } else { 6.3 }));
        let w = width.fold(60.0, f64::max) + 20.0;
        let h = lines.len() as f64 * LINE + 12.0;
        Placed { w, h, enter: w / 2.0, leave: w / 2.0 }
    }

    /// Ranks by the longest path, and room for edges that pass layers by.
    fn spots(&self, node: Option<usize>, children: &[usize]) -> Inner {
        let edges = self.levels.get(&node).cloned().unwrap_or_default();
        let mut ends: Vec<End> = children.iter().map(|child| End::Node(*child)).collect();
        ends.insert(0, End::In);
        ends.push(End::Out);
        ends.retain(|end| matches!(end, End::Node(_)) || edges.iter().any(|(a, b)| a == end || b == end));
        let mut rank: HashMap<End, usize> = HashMap::new();
        for end in &ends {
            let before = edges.iter().filter(|(from, to)| to == end && from < to);
            rank.insert(*end, before.map(|(from, _)| rank.get(from).map_or(0, |r| r + 1)).max().unwrap_or(0));
        }
        // What nothing enters stands right above what reads it first.
        for end in ends.iter().filter(|end| **end != End::In) {
            let enters = edges.iter().any(|(_, to)| to == end);
            let first = edges.iter().filter(|(from, _)| from == end).filter_map(|(_, to)| rank.get(to)).min();
            if let (false, Some(first)) = (enters, first.copied()) {
                rank.insert(*end, first.saturating_sub(1));
            }
        }
        let mut spots: Vec<Spot> = Vec::new();
        for end in &ends {
            let (w, h) = match end {
                End::Node(node) => (self.placed[*node].w, self.placed[*node].h),
                End::In | End::Out => (8.0, 0.0),
            };
            spots.push(Spot { end: Some(*end), w, h, rank: rank[end], x: 0.0, y: 0.0 });
        }
        let mut paths = Vec::new();
        for (from, to) in &edges {
            let find = |wanted: &End| ends.iter().position(|end| end == wanted);
            let (Some(from), Some(to)) = (find(from), find(to)) else { continue };
            let mut path = vec![from];
            for between in spots[from].rank + 1..spots[to].rank {
                spots.push(Spot { end: None, w: 10.0, h: 0.0, rank: between, x: 0.0, y: 0.0 });
                path.push(spots.len() - 1);
            }
            path.push(to);
            paths.push(path);
        }
        Inner { spots, edges: paths }
    }

    fn settle(&self, node: Option<usize>, x: f64, y: f64, out: &mut Layout) {
        let Some(inner) = self.inner.get(&node) else { return };
        for spot in &inner.spots {
            let Some(End::Node(child)) = spot.end else { continue };
            let rect = Rect { x: x + spot.x - spot.w / 2.0, y: y + spot.y, w: spot.w, h: spot.h };
            out.rects[child] = rect;
            if self.diagram.nodes[child].open {
                self.settle(Some(child), rect.x, rect.y, out);
            }
        }
        let height = node.map_or(0.0, |node| out.rects[node].h);
        for edge in &inner.edges {
            out.routes.push(self.route(inner, edge, (x, y), height));
        }
    }

    fn route(&self, inner: &Inner, edge: &[usize], origin: (f64, f64), height: f64) -> Route {
        let mut points = Vec::new();
        for (place, spot) in edge.iter().map(|spot| &inner.spots[*spot]).enumerate() {
            let (first, last) = (place == 0, place + 1 == edge.len());
            let left = origin.0 + spot.x - spot.w / 2.0;
            let (top, bottom) = (origin.1 + spot.y, origin.1 + spot.y + spot.h);
            match spot.end {
                Some(End::Node(node)) if first => points.push((left + self.placed[node].leave, bottom)),
                Some(End::Node(node)) => points.push((left + self.placed[node].enter, top)),
                Some(End::In) => points.push((origin.0 + spot.x, origin.1)),
                Some(End::Out) => points.push((origin.0 + spot.x, origin.1 + height)),
                None => points.extend([(origin.0 + spot.x, top), (origin.0 + spot.x, bottom)]),
            }
            debug_assert!(first || last || spot.end.is_none());
        }
        let open = edge.last().is_some_and(|spot| inner.spots[*spot].end == Some(End::Out));
        Route { points, long: edge.len() > 2, open }
    }
}

/// Orders each layer so that edges cross little: nodes go to the mean of their neighbours.
fn order(inner: &mut Inner) {
    let mut ranks = by_rank(&inner.spots);
    let (before, after) = neighbours(inner);
    for sweep in 0..8 {
        let down = sweep % 2 == 0;
        let order: Vec<usize> =
            if down { (0..ranks.len()).collect() } else { (0..ranks.len()).rev().collect() };
        for rank in order {
            let mut places: HashMap<usize, f64> = HashMap::new();
            for layer in &ranks {
                let middle = layer.len() as f64 / 2.0;
                places.extend(layer.iter().enumerate().map(|(place, spot)| (*spot, place as f64 - middle)));
            }
            let toward = if down { &before } else { &after };
            let mean = |spot: &usize| {
                let near = &toward[*spot];
                if near.is_empty() {
                    places[spot]
                } else {
                    near.iter().map(|n| places[n]).sum::<f64>() / near.len() as f64
                }
            };
            ranks[rank].sort_by(|a, b| mean(a).total_cmp(&mean(b)));
        }
    }
    // The order is kept as the first guess of `x`.
    for rank in ranks {
        for (place, spot) in rank.into_iter().enumerate() {
            inner.spots[spot].x = place as f64;
        }
    }
}

fn by_rank(spots: &[Spot]) -> Vec<Vec<usize>> {
    let count = spots.iter().map(|spot| spot.rank + 1).max().unwrap_or(0);
    let mut ranks = vec![Vec::new(); count];
    spots.iter().enumerate().for_each(|(place, spot)| ranks[spot.rank].push(place));
    ranks
}

fn neighbours(inner: &Inner) -> (Vec<Vec<usize>>, Vec<Vec<usize>>) {
    let mut before = vec![Vec::new(); inner.spots.len()];
    let mut after = before.clone();
    for pair in inner.edges.iter().flat_map(|edge| edge.windows(2)) {
        before[pair[1]].push(pair[0]);
        after[pair[0]].push(pair[1]);
    }
    (before, after)
}

/// Coordinates of the spots' centers and tops; yields width and height of the whole.
fn place(inner: &mut Inner) -> (f64, f64) {
    let mut ranks = by_rank(&inner.spots);
    for rank in &mut ranks {
        rank.sort_by(|a, b| inner.spots[*a].x.total_cmp(&inner.spots[*b].x));
    }
    for rank in &ranks {
        let desired = vec![0.0; rank.len()];
        spread(&mut inner.spots, rank, &desired);
    }
    let (before, after) = neighbours(inner);
    for sweep in 0..12 {
        let down = sweep % 2 == 0;
        let toward = if down { &before } else { &after };
        let order: Vec<usize> =
            if down { (0..ranks.len()).collect() } else { (0..ranks.len()).rev().collect() };
        for rank in order {
            let desired: Vec<f64> =
                ranks[rank].iter().map(|spot| pull(&inner.spots, &toward[*spot], *spot)).collect();
            spread(&mut inner.spots, &ranks[rank], &desired);
        }
    }
    let mut y = 0.0;
    for rank in &ranks {
        let height = rank.iter().map(|spot| inner.spots[*spot].h).fold(0.0, f64::max);
        for spot in rank {
            let own = inner.spots[*spot].h;
            inner.spots[*spot].y =
                y + if inner.spots[*spot].end.is_some() { (height - own) / 2.0 } else { 0.0 };
            if inner.spots[*spot].end.is_none() {
                inner.spots[*spot].h = height;
            }
        }
        y += height + DROP;
    }
    let left = inner.spots.iter().map(|spot| spot.x - spot.w / 2.0).fold(f64::INFINITY, f64::min);
    let right = inner.spots.iter().map(|spot| spot.x + spot.w / 2.0).fold(f64::NEG_INFINITY, f64::max);
    if inner.spots.is_empty() {
        return (0.0, 0.0);
    }
    inner.spots.iter_mut().for_each(|spot| spot.x -= left);
    (right - left, y - DROP)
}

/// Where the neighbours of a spot want it: passing edges pull little.
fn pull(spots: &[Spot], near: &[usize], spot: usize) -> f64 {
    let weight = |n: &usize| if spots[*n].end.is_some() { 4.0 } else { 1.0 };
    let total: f64 = near.iter().map(weight).sum();
    if total == 0.0 {
        spots[spot].x
    } else {
        near.iter().map(|n| weight(n) * spots[*n].x).sum::<f64>() / total
    }
}

/// Puts the spots of a layer as near to where they want to be as their widths allow.
fn spread(spots: &mut [Spot], rank: &[usize], desired: &[f64]) {
    let mut at: Vec<f64> = Vec::with_capacity(rank.len());
    for (place, spot) in rank.iter().enumerate() {
        let least = match place.checked_sub(1) {
            Some(left) => at[left] + (spots[rank[left]].w + spots[*spot].w) / 2.0 + GAP,
            None => f64::NEG_INFINITY,
        };
        at.push(desired[place].max(least));
    }
    let shift = desired.iter().zip(&at).map(|(want, is)| want - is).sum::<f64>() / rank.len().max(1) as f64;
    for (spot, at) in rank.iter().zip(at) {
        spots[*spot].x = at + shift;
    }
}
