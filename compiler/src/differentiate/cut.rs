//! Minimum cuts of small networks: Dinic's algorithm ("Algorithm for solution of a problem of maximum flow in networks
//! with power estimation", 1970), without recursion.

use std::collections::VecDeque;

/// More than any capacity.
pub(super) const UNBOUNDED: u64 = u64::MAX / 4;

/// A network with a source and a sink.
pub(super) struct Network {
    arcs: Vec<Arc>,
    /// Arcs by the vertex they leave; arc `i ^ 1` is the reverse of arc `i`.
    leaving: Vec<Vec<usize>>,
}

struct Arc {
    to: usize,
    left: u64,
}

impl Network {
    /// The vertex that flow comes from.
    pub const SOURCE: usize = 0;
    /// The vertex that it goes to.
    pub const SINK: usize = 1;

    /// Vertices without arcs, source and sink counted.
    pub fn new(vertices: usize) -> Network {
        Network { arcs: Vec::new(), leaving: vec![Vec::new(); vertices] }
    }

    /// Adds an arc.
    pub fn arc(&mut self, from: usize, to: usize, capacity: u64) {
        self.leaving[from].push(self.arcs.len());
        self.arcs.push(Arc { to, left: capacity });
        self.leaving[to].push(self.arcs.len());
        self.arcs.push(Arc { to: from, left: 0 });
    }

    /// The vertices on the sink's side of the minimum cut that lies closest to the sink.
    pub fn sink_side(mut self) -> Vec<bool> {
        loop {
            let levels = self.levels();
            if levels[Network::SINK] == usize::MAX {
                return self.reaching_sink();
            }
            self.block(&levels);
        }
    }

    fn levels(&self) -> Vec<usize> {
        let mut levels = vec![usize::MAX; self.leaving.len()];
        levels[Network::SOURCE] = 0;
        let mut open = VecDeque::from([Network::SOURCE]);
        while let Some(vertex) = open.pop_front() {
            for arc in self.leaving[vertex].iter().map(|arc| &self.arcs[*arc]) {
                if arc.left > 0 && levels[arc.to] == usize::MAX {
                    levels[arc.to] = levels[vertex] + 1;
                    open.push_back(arc.to);
                }
            }
        }
        levels
    }

    /// Saturates every shortest path.
    fn block(&mut self, levels: &[usize]) {
        let mut next = vec![0; self.leaving.len()];
        let mut path: Vec<usize> = Vec::new();
        loop {
            let vertex = path.last().map_or(Network::SOURCE, |arc| self.arcs[*arc].to);
            if vertex == Network::SINK {
                self.push(&mut path);
                continue;
            }
            let onward = |arc: &usize| {
                let arc = &self.arcs[*arc];
                arc.left > 0 && levels[arc.to] != usize::MAX && levels[arc.to] == levels[vertex] + 1
            };
            match self.leaving[vertex][next[vertex]..].iter().position(onward) {
                Some(skipped) => {
                    next[vertex] += skipped;
                    path.push(self.leaving[vertex][next[vertex]]);
                }
                None => {
                    next[vertex] = self.leaving[vertex].len();
                    let Some(arc) = path.pop() else { return };
                    let before = self.arcs[arc ^ 1].to;
                    next[before] += 1;
                }
            }
        }
    }

    /// Sends what fits along `path`, and keeps the part before the first arc that is full.
    fn push(&mut self, path: &mut Vec<usize>) {
        let amount = path.iter().map(|arc| self.arcs[*arc].left).min().unwrap_or(0);
        for arc in path.iter() {
            self.arcs[*arc].left -= amount;
            self.arcs[*arc ^ 1].left = self.arcs[*arc ^ 1].left.saturating_add(amount);
        }
        let full = path.iter().position(|arc| self.arcs[*arc].left == 0).unwrap_or(0);
        path.truncate(full);
    }

    fn reaching_sink(&self) -> Vec<bool> {
        let mut reaching = vec![false; self.leaving.len()];
        reaching[Network::SINK] = true;
        let mut open = vec![Network::SINK];
        while let Some(vertex) = open.pop() {
            for arc in &self.leaving[vertex] {
                let (before, left) = (self.arcs[*arc].to, self.arcs[*arc ^ 1].left);
                if left > 0 && !reaching[before] {
                    reaching[before] = true;
                    open.push(before);
                }
            }
        }
        reaching
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cut_is_smallest_and_closest_to_the_sink() {
        // 2 -3-> 3 -3-> 4 -9-> sink; both arcs of 3 are minimal, the later one is cut.
        let mut network = Network::new(5);
        network.arc(Network::SOURCE, 2, UNBOUNDED);
        network.arc(2, 3, 3);
        network.arc(3, 4, 3);
        network.arc(4, Network::SINK, 9);
        assert_eq!(network.sink_side(), [false, true, false, false, true]);
    }

    #[test]
    fn one_wide_value_is_dearer_than_two_narrow_ones() {
        // 2 and 3 make 4: either both are cut (2 + 2), or 4 alone (5).
        let mut network = Network::new(8);
        for (vertex, size) in [(2, 2), (4, 2)] {
            network.arc(Network::SOURCE, vertex, UNBOUNDED);
            network.arc(vertex, vertex + 1, size);
            network.arc(vertex + 1, 6, UNBOUNDED);
        }
        network.arc(6, 7, 5);
        network.arc(7, Network::SINK, UNBOUNDED);
        let side = network.sink_side();
        assert!(!side[2] && side[3] && !side[4] && side[5] && side[6]);
    }
}
