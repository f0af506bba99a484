//! In which order training meets its samples. An order is a pure function of seed and position, so a run that
//! resumes from a saved [`Position`] continues with exactly the samples it would have met.

use super::split::Samples;
use nnc_kernels::random::threefry2x32;
use serde::{Deserialize, Serialize};

/// How far training has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Passes completed. Windows drawn at random have no passes: it stays 0.
    pub epoch: u64,
    /// Samples drawn in this epoch.
    pub drawn: u64,
}

/// The order of samples in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// As they lie in the data, again and again.
    Sequential,
    /// Items: a new permutation each epoch. Windows: a random place each time.
    Shuffled {
        /// Equal seeds give equal orders.
        seed: u64,
    },
}

/// Draws the samples of training batches without end: a batch may begin in one epoch and end in the next, so that all
/// batches are full and every epoch has every item once.
#[derive(Clone, Debug)]
pub struct Sampler {
    samples: Samples,
    order: Order,
    position: Position,
}

impl Sampler {
    /// Starts at `position`.
    ///
    /// # Panics
    /// If there are no samples; the parts that a data set offers for training never are empty.
    pub fn new(samples: Samples, order: Order, position: Position) -> Sampler {
        assert!(samples.positions() > 0, "samples to draw from");
        Sampler { samples, order, position }
    }

    /// Where the next sample is drawn.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Fills `indices` with the next samples.
    pub fn draw(&mut self, indices: &mut [u64]) {
        indices.iter_mut().for_each(|index| *index = self.next_sample());
    }

    fn next_sample(&mut self) -> u64 {
        let Position { epoch, drawn } = self.position;
        let (sample, epoch_len) = match (self.order, &self.samples) {
            (Order::Shuffled { seed }, Samples::Windows { .. }) => {
                (self.samples.at(random_below(self.samples.positions(), seed, drawn)), u64::MAX)
            }
            (Order::Shuffled { seed }, Samples::Items(_)) => {
                let count = self.samples.positions();
                (self.samples.at(permute(drawn % count, count, seed, epoch)), count)
            }
            (Order::Sequential, samples) => {
                let count = samples.pass_len();
                (samples.in_pass(drawn % count), count)
            }
        };
        self.position = match drawn + 1 < epoch_len {
            true => Position { epoch, drawn: drawn + 1 },
            false => Position { epoch: epoch.wrapping_add(1), drawn: 0 },
        };
        sample
    }
}

/// Keeps the two uses of one seed apart.
const WINDOWS: u64 = 0x77696e646f777300;
const PERMUTATION: u64 = 0x7065726d75746500;

fn words(value: u64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}

/// The key of one use of a seed.
fn key(seed: u64, purpose: u64) -> [u32; 2] {
    threefry2x32(words(seed), words(purpose))
}

/// The `counter`-th random number below `bound`. Scaling 64 random bits leaves a bias below `bound / 2^64`.
fn random_below(bound: u64, seed: u64, counter: u64) -> u64 {
    let [low, high] = threefry2x32(key(seed, WINDOWS), words(counter));
    let bits = u64::from(high) << 32 | u64::from(low);
    ((u128::from(bits) * u128::from(bound)) >> 64) as u64
}

/// Rounds of the Feistel network; four make it pseudorandom (Luby and Rackoff 1988), the rest is margin.
const ROUNDS: u32 = 8;

/// Where `index` goes in permutation `epoch` of `0..count`: a Feistel network on the next power of four, walked until
/// it lands below `count` (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002).
fn permute(index: u64, count: u64, seed: u64, epoch: u64) -> u64 {
    let key = threefry2x32(key(seed, PERMUTATION), words(epoch));
    let bits = u64::BITS - (count - 1).leading_zeros();
    let half = bits.div_ceil(2);
    let mut walked = feistel(index, half, key);
    while walked >= count {
        walked = feistel(walked, half, key);
    }
    walked
}

/// A bijection of the numbers of `2 * half` bits.
fn feistel(value: u64, half: u32, key: [u32; 2]) -> u64 {
    let mask = (1u64 << half) - 1;
    let (mut left, mut right) = (value >> half, value & mask);
    for round in 0..ROUNDS {
        let mixed = u64::from(threefry2x32(key, [right as u32, round])[0]) & mask;
        (left, right) = (right, left ^ mixed);
    }
    left << half | right
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn drawn(samples: &Samples, order: Order, from: Position, count: usize) -> (Vec<u64>, Position) {
        let mut sampler = Sampler::new(samples.clone(), order, from);
        let mut indices = vec![0; count];
        sampler.draw(&mut indices);
        (indices, sampler.position())
    }

    #[test]
    fn every_epoch_has_every_item_once_in_a_new_order() {
        for count in [1, 2, 3, 5, 16, 17, 1000] {
            let samples = Samples::Items(7..7 + count);
            let both =
                drawn(&samples, Order::Shuffled { seed: 1 }, Position::default(), 2 * count as usize).0;
            let (first, second) = both.split_at(count as usize);
            for epoch in [first, second] {
                assert_eq!(epoch.iter().copied().collect::<BTreeSet<_>>(), (7..7 + count).collect());
            }
            assert!(count < 16 || (first != second && !first.is_sorted()), "{count} items are shuffled anew");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_order_and_another_seed_another() {
        for samples in [Samples::Items(0..100), Samples::Windows { tokens: 0..500, context: 9 }] {
            let order = |seed| drawn(&samples, Order::Shuffled { seed }, Position::default(), 50).0;
            assert_eq!(order(3), order(3));
            assert_ne!(order(3), order(4));
        }
    }

    #[test]
    fn a_saved_position_continues_the_same_order() {
        let sets = [Samples::Items(0..23), Samples::Windows { tokens: 0..60, context: 9 }];
        for (samples, order) in sets.iter().flat_map(|samples| {
            [Order::Sequential, Order::Shuffled { seed: 5 }].map(|order| (samples, order))
        }) {
            let whole = drawn(samples, order, Position::default(), 70).0;
            let (first, saved) = drawn(samples, order, Position::default(), 31);
            let rest = drawn(samples, order, saved, 39).0;
            assert_eq!([first, rest].concat(), whole);
        }
    }

    #[test]
    fn random_windows_reach_every_position_and_no_other() {
        let samples = Samples::Windows { tokens: 10..30, context: 8 };
        let starts = drawn(&samples, Order::Shuffled { seed: 2 }, Position::default(), 2000).0;
        assert_eq!(starts.into_iter().collect::<BTreeSet<_>>(), (10..22).collect());
    }

    #[test]
    fn places_in_a_permutation_are_even() {
        let mut seen = [[0u32; 8]; 8];
        for epoch in 0..4000 {
            (0..8).for_each(|index| seen[index as usize][permute(index, 8, 9, epoch) as usize] += 1);
        }
        // 500 expected in each of the 64 cells, standard deviation 21.
        assert!(seen.iter().flatten().all(|count| (400..600).contains(count)), "{seen:?}");
    }
}
