//! Where the places of an entry lie. Scratch places share a buffer only if their lifetimes are disjoint, so one launch
//! never sees two places in one buffer unless they are the same place.

use super::bind::Bound;
use super::{CallError, Device, Held, Sizes};
use crate::plan::{EntryPlan, Place, PlaceClass, PlaceId};
use crate::{Dim, Symbol};

/// Memory of one entry at given sizes.
pub(super) struct Memory<B, P> {
    /// What it is settled for.
    pub(super) sizes: Sizes,
    /// Where each place lies.
    pub(super) spots: Vec<Spot>,
    pub(super) buffers: Vec<B>,
    /// The entry's steps, once they are bound to this memory.
    pub(super) steps: Option<Vec<Bound<P>>>,
}

/// Where a place lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spot {
    /// A buffer of the entry.
    Own(usize),
    /// A slot.
    Slot(usize),
}

/// A buffer that scratch places share: its size, and the last step that touches it.
struct Share {
    bytes: usize,
    last: Option<u32>,
}

impl<B, P> Memory<B, P> {
    /// Assigns and allocates.
    pub(super) fn new<D: Device<Buffer = B>>(
        device: &mut D,
        entry: &EntryPlan,
        sizes: &Sizes,
    ) -> Result<Memory<B, P>, CallError<D::Error>> {
        let mut bytes = Vec::new();
        for place in &entry.places {
            let elements = natural(&place.size(), sizes)?;
            let stride = device.stride(place.dtype)?;
            bytes.push(elements.checked_mul(stride).ok_or_else(|| CallError::TooLarge(place.name.clone()))?);
        }
        let (spots, shares) = assign(&entry.places, &bytes);
        let buffers: Vec<B> =
            shares.iter().map(|share| device.allocate(share.bytes)).collect::<Result<_, _>>()?;
        Ok(Memory { sizes: sizes.clone(), spots, buffers, steps: None })
    }

    /// Where `place` lies.
    pub(super) fn spot<E: std::error::Error>(&self, place: PlaceId) -> Result<Spot, CallError<E>> {
        self.spots.get(place.0 as usize).copied().ok_or(CallError::NoPlace(place))
    }
}

/// Bytes that a call of `entry` needs beside the slots: inputs, results, and values on the way, which share memory where
/// their lifetimes are disjoint. `None` if a size has no value or is too large. Elements take what they take on the host.
pub fn working_bytes(entry: &EntryPlan, sizes: &Sizes) -> Option<usize> {
    let bytes = entry.places.iter().map(|place| {
        let elements = place.size().evaluate(&|symbol| sizes.get(symbol).copied())?;
        usize::try_from(elements).ok()?.checked_mul(place.dtype.size())
    });
    let (_, shares) = assign(&entry.places, &bytes.collect::<Option<Vec<_>>>()?);
    shares.iter().try_fold(0usize, |sum, share| sum.checked_add(share.bytes))
}

/// Best fit over lifetimes, in order of their first step.
fn assign(places: &[Place], bytes: &[usize]) -> (Vec<Spot>, Vec<Share>) {
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by_key(|place| lifetime(&places[*place]).map_or(0, |(first, _)| first));
    let (mut spots, mut shares) = (vec![Spot::Own(0); places.len()], Vec::<Share>::new());
    for place in order {
        spots[place] = match places[place].class {
            PlaceClass::Slot(slot) => Spot::Slot(slot),
            _ => Spot::Own(take(&mut shares, bytes[place], lifetime(&places[place]))),
        };
    }
    (spots, shares)
}

fn lifetime(place: &Place) -> Option<(u32, u32)> {
    match place.class {
        PlaceClass::Scratch { first, last } => Some((first, last)),
        _ => None,
    }
}

/// The share that fits best: the one whose size changes least.
fn take(shares: &mut Vec<Share>, bytes: usize, lifetime: Option<(u32, u32)>) -> usize {
    let last = lifetime.map(|(_, last)| last);
    let free = |share: &Share| matches!((share.last, lifetime), (Some(end), Some((first, _))) if end < first);
    let best =
        (0..shares.len()).filter(|k| free(&shares[*k])).min_by_key(|k| shares[*k].bytes.abs_diff(bytes));
    let Some(best) = best else {
        shares.push(Share { bytes, last });
        return shares.len() - 1;
    };
    shares[best] = Share { bytes: shares[best].bytes.max(bytes), last };
    best
}

/// The buffer of a place.
pub(super) fn find<'b, B, P, E: std::error::Error>(
    memory: &'b Memory<B, P>,
    slots: &'b [Option<Held<B>>],
    place: PlaceId,
) -> Result<&'b B, CallError<E>> {
    Buffers { own: &memory.buffers, slots, spots: &[] }.at(memory.spot(place)?)
}

/// The buffers of a launch, in the order of its kernel's buffers.
pub struct Buffers<'b, B> {
    pub(super) own: &'b [B],
    pub(super) slots: &'b [Option<Held<B>>],
    pub(super) spots: &'b [Spot],
}

impl<B> Clone for Buffers<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B> Copy for Buffers<'_, B> {}

impl<'b, B> Buffers<'b, B> {
    /// One after the other.
    pub fn iter(self) -> impl Iterator<Item = &'b B> {
        self.spots.iter().filter_map(move |spot| self.get(*spot))
    }

    /// The same memory, for a launch that binds `spots`; all of them are settled.
    pub(super) fn of(self, spots: &'b [Spot]) -> Buffers<'b, B> {
        Buffers { spots, ..self }
    }

    fn get(self, spot: Spot) -> Option<&'b B> {
        match spot {
            Spot::Own(buffer) => self.own.get(buffer),
            Spot::Slot(slot) => self.slots.get(slot)?.as_ref().map(|held| &held.buffer),
        }
    }

    /// The buffer of a spot.
    pub(super) fn at<E: std::error::Error>(self, spot: Spot) -> Result<&'b B, CallError<E>> {
        self.get(spot).ok_or(match spot {
            Spot::Own(buffer) => CallError::NoPlace(PlaceId(buffer as u32)),
            Spot::Slot(slot) => CallError::NoSlot(slot),
        })
    }
}

/// The value of a dim.
pub(super) fn value<E: std::error::Error>(dim: &Dim, sizes: &Sizes) -> Result<i64, CallError<E>> {
    let lookup = |symbol: &Symbol| sizes.get(symbol).copied();
    dim.evaluate(&lookup).ok_or_else(|| CallError::NoValue(dim.clone()))
}

/// The value of a dim that counts something.
pub(super) fn natural<E: std::error::Error>(dim: &Dim, sizes: &Sizes) -> Result<usize, CallError<E>> {
    let found = value(dim, sizes)?;
    usize::try_from(found).map_err(|_| CallError::Negative { dim: dim.clone(), value: found })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    fn place(class: PlaceClass) -> Place {
        Place { name: "p".into(), dtype: DType::F32, shape: Vec::new(), class }
    }

    #[test]
    fn disjoint_lifetimes_share_and_overlapping_ones_do_not() {
        let scratch = |first, last| place(PlaceClass::Scratch { first, last });
        let places = [scratch(2, 3), scratch(0, 1), scratch(1, 2), place(PlaceClass::Caller), scratch(3, 3)];
        let (spots, shares) = assign(&places, &[40, 8, 16, 4, 4]);
        assert_eq!(spots[0], spots[1], "1 ends before 2 begins");
        assert_ne!(spots[1], spots[2], "both are alive in step 1");
        assert_eq!(spots[4], spots[2], "2 ends before 3 begins");
        assert!(spots[3] != spots[0] && spots[3] != spots[2], "the caller's memory is never shared");
        assert_eq!(shares.iter().map(|share| share.bytes).sum::<usize>(), 40 + 16 + 4);
    }
}
