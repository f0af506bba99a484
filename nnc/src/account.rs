//! What a build costs: parameters, operations, memory, kernels and why each is there.

use crate::pipeline::Compiled;
use nnc_ir::graph::{Port, SlotKind};
use nnc_ir::kernel::{Expr, Kernel, Scalar, Statement};
use nnc_ir::plan::{EntryPlan, Place, PlaceClass, Plan, Step};
use nnc_ir::session::{Sizes, working_bytes};
use nnc_ir::training::{Plain, Training};
use nnc_ir::{Dim, Symbol};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The account of a plan.
#[derive(Debug, Serialize)]
pub struct Account {
    /// Elements of all weights.
    pub parameters: i64,
    /// The run-time sizes that numbers are given for.
    pub sizes: BTreeMap<String, i64>,
    /// Every weight, state and cache.
    pub slots: Vec<SlotAccount>,
    /// Every entry.
    pub entries: Vec<EntryAccount>,
    /// Bytes of machine code, or of source text where the target compiles that.
    pub code_bytes: usize,
    /// Time from tensor IR to code.
    pub build_milliseconds: f64,
}

/// A slot.
#[derive(Debug, Serialize)]
pub struct SlotAccount {
    /// Its path.
    pub path: String,
    /// weight, state or cache.
    pub kind: &'static str,
    /// Its type.
    pub r#type: String,
    /// Its size, where it is known.
    pub bytes: Option<i64>,
}

/// An entry.
#[derive(Debug, Serialize)]
pub struct EntryAccount {
    /// Its name.
    pub name: String,
    /// Arithmetic operations of a call, as a polynomial of the run-time sizes.
    pub flops: String,
    /// The same at the declared sizes.
    pub flops_here: Option<i64>,
    /// Bytes of the slots it touches.
    pub slot_bytes: Option<i64>,
    /// Bytes of inputs, outputs and values on the way, memory shared where lifetimes allow.
    pub working_bytes: Option<usize>,
    /// Bytes of the values that wait for the backward half while the loss is known.
    pub saved_bytes: Option<i64>,
    /// Both together.
    pub peak_bytes: Option<i64>,
    /// Launches, turns of loops counted.
    pub launches: Option<i64>,
    /// Its kernels, in the order of their first launch.
    pub kernels: Vec<KernelAccount>,
}

/// A kernel of an entry.
#[derive(Debug, Serialize)]
pub struct KernelAccount {
    /// Its name.
    pub name: String,
    /// Why it is a kernel.
    pub why: String,
    /// Operations of all its launches at the declared sizes.
    pub flops_here: Option<i64>,
}

/// Accounts for a compiled program.
pub fn account(compiled: &Compiled) -> Account {
    let plan = &compiled.plan;
    let sizes = declared(plan, compiled.training.as_ref());
    let weights = plan.slots.iter().filter(|slot| slot.kind == SlotKind::Weight);
    let slots = plan.slots.iter().map(|slot| SlotAccount {
        path: slot.path.clone(),
        kind: slot.kind.name(),
        r#type: slot.ty.to_string(),
        bytes: bytes(&slot.ty.size(), slot.ty.dtype.size(), &sizes),
    });
    Account {
        parameters: weights.filter_map(|slot| slot.ty.size().as_constant()).sum(),
        slots: slots.collect(),
        entries: plan.entries.iter().map(|entry| of_entry(plan, entry, &sizes)).collect(),
        sizes: sizes.iter().map(|(symbol, size)| (symbol.to_string(), *size)).collect(),
        code_bytes: compiled.code.iter().map(Vec::len).sum(),
        build_milliseconds: compiled.seconds * 1e3,
    }
}

/// Refuses a program whose slots and values need more memory than this machine has: asking for it would end the process.
pub fn fits_memory(plan: &Plan, training: Option<&Training>) -> Result<(), String> {
    let sizes = declared(plan, training);
    let slots = plan.slots.iter().map(|slot| bytes(&slot.ty.size(), slot.ty.dtype.size(), &sizes));
    let slots: i128 = slots.flatten().map(i128::from).sum();
    let working = plan.entries.iter().filter_map(|entry| working_bytes(entry, &sizes)).max().unwrap_or(0);
    let (needed, has) = (slots + working as i128, nnc_runtime::report::machine_bytes());
    match has {
        Some(has) if needed > i128::from(has) => {
            let gib = |bytes: i128| bytes as f64 / f64::from(1 << 30);
            let (needed, has) = (gib(needed), gib(has.into()));
            Err(format!("this needs {needed:.1} GiB of memory; this machine has {has:.1} GiB"))
        }
        _ => Ok(()),
    }
}

/// The first size of an input is the batch, the second of a text's the context; others count as their smallest value.
pub fn declared(plan: &Plan, training: Option<&Training>) -> Sizes {
    let mut sizes: Sizes = plan.sizes.iter().map(|size| (size.symbol.clone(), size.min.max(1))).collect();
    let Some(fit) = training.and_then(|training| training.fits.first()) else { return sizes };
    let option = |name: &str| match fit.data.options.get(name) {
        Some(Plain::Int(n)) if *n > 0 => Some(*n),
        _ => None,
    };
    let entries = plan.entries.iter().flat_map(|entry| entry.inputs.iter().map(move |input| (entry, input)));
    for (entry, (port, place)) in entries {
        let (Port::Named(_), Some(place)) = (port, entry.places.get(place.0 as usize)) else { continue };
        for (dim, number) in place.shape.iter().zip([option("batch"), option("context")]) {
            if let (Some(symbol), Some(number)) = (dim.as_symbol(), number) {
                sizes.insert(symbol.clone(), number);
            }
        }
    }
    sizes
}

fn evaluate(dim: &Dim, sizes: &Sizes) -> Option<i64> {
    dim.evaluate(&|symbol| sizes.get(symbol).copied())
}

fn bytes(elements: &Dim, width: usize, sizes: &Sizes) -> Option<i64> {
    evaluate(elements, sizes)?.checked_mul(width as i64)
}

/// The account of one entry.
pub fn entry(plan: &Plan, name: &str, sizes: &Sizes) -> Option<EntryAccount> {
    plan.entries.iter().find(|entry| entry.name == name).map(|entry| of_entry(plan, entry, sizes))
}

fn of_entry(plan: &Plan, entry: &EntryPlan, sizes: &Sizes) -> EntryAccount {
    let mut tally = Tally { plan, flops: BTreeMap::new(), order: Vec::new(), launches: Dim::zero() };
    tally.steps(&entry.steps, &Dim::one());
    let total = tally.flops.values().fold(Dim::zero(), |sum, flops| &sum + flops);
    let touched = entry.places.iter().filter(|place| matches!(place.class, PlaceClass::Slot(_)));
    let slot_bytes = sum(touched, sizes);
    let working = working_bytes(entry, sizes);
    let kernels = tally.order.iter().map(|kernel| KernelAccount {
        name: plan.kernels[*kernel].name.clone(),
        why: why(entry, &plan.kernels[*kernel].name),
        flops_here: evaluate(&tally.flops[kernel], sizes),
    });
    EntryAccount {
        name: entry.name.clone(),
        kernels: kernels.collect(),
        flops: if total.is_poisoned() { "more than 2^63".into() } else { total.to_string() },
        flops_here: evaluate(&total, sizes),
        slot_bytes,
        working_bytes: working,
        saved_bytes: saved(entry, sizes),
        peak_bytes: slot_bytes.zip(working).map(|(slots, working)| slots + working as i64),
        launches: evaluate(&tally.launches, sizes),
    }
}

fn sum<'a>(places: impl Iterator<Item = &'a Place>, sizes: &Sizes) -> Option<i64> {
    places.map(|place| bytes(&place.size(), place.dtype.size(), sizes)).sum()
}

/// Why the plan has a kernel: what the scheduler noted.
fn why(entry: &EntryPlan, name: &str) -> String {
    let notes = entry.notes.iter().filter_map(|note| note.strip_prefix(name)?.strip_prefix(": "));
    let mut notes: Vec<&str> = notes.collect();
    notes.sort_by_key(|note| note.starts_with("guarded"));
    let mut told = BTreeSet::new();
    notes.retain(|note| told.insert(*note));
    if notes.is_empty() { "an operation with a kernel of its own".into() } else { notes.join("; ") }
}

/// What lies in memory, made before and read after the step that makes the loss. Only a training step has some.
fn saved(entry: &EntryPlan, sizes: &Sizes) -> Option<i64> {
    if !entry.name.starts_with("step") {
        return Some(0);
    }
    let (_, loss) = entry.outputs.iter().find(|(port, _)| *port == Port::Named("loss".into()))?;
    let made = entry.steps.iter().rposition(|step| touches(step, loss.0))? as u32;
    let waiting = entry.places.iter().filter(
        |place| matches!(place.class, PlaceClass::Scratch { first, last } if first <= made && made < last),
    );
    sum(waiting, sizes)
}

fn touches(step: &Step, place: u32) -> bool {
    match step {
        Step::Launch { bind, .. } => bind.iter().any(|bound| bound.0 == place),
        Step::Loop { body, .. } => body.iter().any(|step| touches(step, place)),
        Step::If { then, otherwise, .. } => then.iter().chain(otherwise).any(|step| touches(step, place)),
        Step::Copy { from, to } => from.0 == place || to.0 == place,
    }
}

/// Counts operations over the steps of an entry.
struct Tally<'p> {
    plan: &'p Plan,
    flops: BTreeMap<usize, Dim>,
    order: Vec<usize>,
    launches: Dim,
}

impl Tally<'_> {
    fn steps(&mut self, steps: &[Step], times: &Dim) {
        for step in steps {
            match step {
                Step::Launch { kernel, .. } => self.launch(*kernel as usize, times),
                Step::Loop { counter, count, body, .. } => {
                    let before = std::mem::take(&mut self.flops);
                    self.steps(body, &(times * count));
                    let inside = std::mem::replace(&mut self.flops, before);
                    for (kernel, flops) in inside {
                        let known = self.flops.entry(kernel).or_default();
                        *known = &*known + &midway(&flops, counter, count);
                    }
                }
                // Either body may run; both are counted.
                Step::If { then, otherwise, .. } => {
                    self.steps(then, times);
                    self.steps(otherwise, times);
                }
                Step::Copy { .. } => {}
            }
        }
    }

    fn launch(&mut self, place: usize, times: &Dim) {
        if !self.order.contains(&place) {
            self.order.push(place);
        }
        let one = kernel_flops(&self.plan.kernels[place]);
        let known = self.flops.entry(place).or_default();
        *known = &*known + &(&one * times);
        self.launches = &self.launches + times;
    }
}

/// Operations of all instances of a kernel.
fn kernel_flops(kernel: &Kernel) -> Dim {
    let mut flops = body_flops(&kernel.body);
    for (counter, extent) in kernel.grid.iter().rev() {
        flops = &midway(&flops, counter, extent) * extent;
    }
    flops
}

/// A count that depends on a counter, at the middle of its range: exact for triangles.
fn midway(flops: &Dim, counter: &Symbol, extent: &Dim) -> Dim {
    if !flops.mentions(counter) {
        return flops.clone();
    }
    let middle = (extent - &Dim::one()).floor_div(&Dim::constant(2));
    flops.substitute(&|symbol| (symbol == counter).then(|| middle.clone()))
}

fn body_flops(body: &[Statement]) -> Dim {
    body.iter().map(statement_flops).fold(Dim::zero(), |sum, flops| &sum + &flops)
}

fn statement_flops(statement: &Statement) -> Dim {
    match statement {
        Statement::For { counter, extent, body, .. } => &midway(&body_flops(body), counter, extent) * extent,
        Statement::Guard { body, .. } => body_flops(body),
        Statement::Let(_, value) | Statement::Store { value, .. } => Dim::constant(flops(value)),
        Statement::Accumulate { value, .. } => Dim::constant(1 + flops(value)),
        Statement::Fold { .. } | Statement::Index { .. } => Dim::zero(),
        Statement::Map { len, .. } => len.clone(),
        Statement::Gemm(gemm) => &(&(&gemm.m * &gemm.n) * &gemm.k) * &Dim::constant(2),
    }
}

/// Arithmetic of an expression: one per function of numbers; moving, comparing and choosing count nothing.
fn flops(value: &Expr) -> i64 {
    match value {
        Expr::Apply(function, operands) => {
            let free = matches!(
                function,
                Scalar::Compare(_)
                    | Scalar::Select
                    | Scalar::Cast(_)
                    | Scalar::Bitcast(_)
                    | Scalar::And
                    | Scalar::Or
                    | Scalar::Xor
                    | Scalar::Not
                    | Scalar::Shl
                    | Scalar::Shr
                    | Scalar::Popcount
            );
            i64::from(!free) + operands.iter().map(flops).sum::<i64>()
        }
        Expr::Guarded { value, .. } => flops(value),
        _ => 0,
    }
}
