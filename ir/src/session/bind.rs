//! Steps with everything looked up: made once for an entry and the sizes of a call, run as often as it is called. Running
//! them allocates nothing.

use super::memory::{Spot, natural, value};
use super::run::kernel_of;
use super::{CallError, Device, Session, Sizes};
use crate::plan::{EntryPlan, PlaceId, Plan, Step};
use crate::{DType, Dim, Symbol};

/// A step that is ready to run.
pub(super) enum Bound<P> {
    Launch(Launch<P>),
    Loop { counter: Symbol, count: Dim, reverse: bool, body: Vec<Bound<P>> },
    If { condition: Spot, then: Vec<Bound<P>>, otherwise: Vec<Bound<P>> },
    Copy { from: Spot, to: Spot, elements: Dim, dtype: DType },
}

/// A kernel with the memory of its buffers.
pub(super) struct Launch<P> {
    pub(super) program: P,
    pub(super) buffers: Vec<Spot>,
    /// The kernel's sizes; those that are counters of loops are written before each run.
    pub(super) sizes: Vec<i64>,
    pub(super) counters: Vec<(usize, usize)>,
    pub(super) instances: Dim,
}

/// Values of run-time sizes and of the counters of the loops that are open.
pub(super) struct Scope<'c> {
    pub(super) sizes: &'c Sizes,
    pub(super) counters: &'c mut Vec<(Symbol, i64)>,
}

impl Scope<'_> {
    /// The value of `dim`; the innermost loop that counts a symbol decides.
    pub(super) fn count<E: std::error::Error>(&self, dim: &Dim) -> Result<i64, CallError<E>> {
        let lookup = |symbol: &Symbol| {
            let counter = self.counters.iter().rev().find(|(known, _)| known == symbol);
            counter.map(|(_, value)| *value).or_else(|| self.sizes.get(symbol).copied())
        };
        let found = dim.evaluate(&lookup).ok_or_else(|| CallError::NoValue(dim.clone()))?;
        if found < 0 { Err(CallError::Negative { dim: dim.clone(), value: found }) } else { Ok(found) }
    }
}

/// Looks everything up that the steps of an entry need.
pub(super) struct Binder<'s, 'p, D: Device> {
    pub(super) session: &'s mut Session<D>,
    pub(super) plan: &'p Plan,
    pub(super) entry: &'p EntryPlan,
    pub(super) spots: &'s [Spot],
    pub(super) sizes: &'s Sizes,
    /// Counters of the loops around the current step, outermost first.
    pub(super) counters: Vec<Symbol>,
}

impl<D: Device> Binder<'_, '_, D> {
    pub(super) fn steps(&mut self, steps: &[Step]) -> Result<Vec<Bound<D::Program>>, CallError<D::Error>> {
        steps.iter().map(|step| self.step(step)).collect()
    }

    fn step(&mut self, step: &Step) -> Result<Bound<D::Program>, CallError<D::Error>> {
        Ok(match step {
            Step::Launch { kernel, bind } => Bound::Launch(self.launch(*kernel, bind)?),
            Step::Loop { counter, count, reverse, body } => {
                self.counters.push(counter.clone());
                let body = self.steps(body);
                self.counters.pop();
                Bound::Loop { counter: counter.clone(), count: count.clone(), reverse: *reverse, body: body? }
            }
            Step::If { condition, then, otherwise } => Bound::If {
                condition: self.spot(*condition)?,
                then: self.steps(then)?,
                otherwise: self.steps(otherwise)?,
            },
            Step::Copy { from, to } => {
                let place = self.entry.places.get(from.0 as usize).ok_or(CallError::NoPlace(*from))?;
                let (elements, dtype) = (place.size(), place.dtype);
                Bound::Copy { from: self.spot(*from)?, to: self.spot(*to)?, elements, dtype }
            }
        })
    }

    fn spot(&self, place: PlaceId) -> Result<Spot, CallError<D::Error>> {
        self.spots.get(place.0 as usize).copied().ok_or(CallError::NoPlace(place))
    }

    fn launch(&mut self, kernel: u32, bind: &[PlaceId]) -> Result<Launch<D::Program>, CallError<D::Error>> {
        let declared = kernel_of(self.plan, kernel)?;
        let buffers: Vec<Spot> = bind.iter().map(|place| self.spot(*place)).collect::<Result<_, _>>()?;
        // For each buffer, the first one that is the same memory.
        let aliases: Vec<usize> =
            buffers.iter().map(|spot| buffers.iter().position(|other| other == spot).unwrap_or(0)).collect();
        let key = (kernel, aliases);
        if !self.session.programs.contains_key(&key) {
            let program = self.session.device.prepare(declared, &key.1)?;
            self.session.programs.insert(key.clone(), program);
        }
        let program = self.session.programs.get(&key).ok_or(CallError::NoKernel(kernel))?.clone();
        let (mut sizes, mut counters) = (Vec::new(), Vec::new());
        for (place, symbol) in declared.sizes.iter().enumerate() {
            match self.counters.iter().rposition(|counter| counter == symbol) {
                Some(counter) => {
                    counters.push((place, counter));
                    sizes.push(0);
                }
                None => sizes.push(value(&Dim::from(symbol), self.sizes)?),
            }
        }
        let mut instances = declared.grid.iter().fold(Dim::one(), |product, (_, extent)| &product * extent);
        if counters.is_empty() {
            instances = Dim::constant(natural(&instances, self.sizes)? as i64);
        }
        Ok(Launch { program, buffers, sizes, counters, instances })
    }
}
