//! When the places of the arena are alive, in top-level steps: a loop is one step, so what it carries lives through it.

use nnc_ir::plan::{Place, PlaceClass, PlaceId, Step};
use std::collections::HashMap;

/// `places` with the lifetimes that `steps` give them.
pub(super) fn lifetimes(mut places: Vec<Place>, steps: &[Step]) -> Vec<Place> {
    let mut spans: HashMap<PlaceId, (u32, u32)> = HashMap::new();
    for (number, step) in steps.iter().enumerate() {
        touch(step, &mut |place| {
            let span = spans.entry(place).or_insert((number as u32, number as u32));
            span.1 = number as u32;
        });
    }
    for (number, place) in places.iter_mut().enumerate() {
        if let PlaceClass::Scratch { first, last } = &mut place.class {
            (*first, *last) = spans.get(&PlaceId(number as u32)).copied().unwrap_or((0, 0));
        }
    }
    places
}

fn touch(step: &Step, visit: &mut dyn FnMut(PlaceId)) {
    match step {
        Step::Launch { bind, .. } => bind.iter().for_each(|place| visit(*place)),
        Step::Loop { body, .. } => body.iter().for_each(|step| touch(step, visit)),
        Step::If { condition, then, otherwise } => {
            visit(*condition);
            then.iter().chain(otherwise).for_each(|step| touch(step, visit));
        }
        Step::Copy { from, to } => {
            visit(*from);
            visit(*to);
        }
    }
}
