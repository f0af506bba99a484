//! From the tensor IR to a plan: which values are computed where, which get memory, and the kernels that do it.
//!
//! Values are pulled: an element of a result is expanded, operation by operation, down to what lies in memory. What may
//! not be computed twice gets memory of its own. So fusion is one decision, "in memory or not", and a kernel is right
//! whatever is decided. `units` decides, `chain` merges what is read row by row, `settle` orders, `rows`, `product` and
//! `special` write, `strips` cuts loops with costly functions.

mod block;
mod borders;
mod chain;
mod cost;
mod depths;
mod expand;
mod facts;
mod finish;
mod graph;
mod home;
mod index;
mod library;
mod lifetimes;
mod panels;
mod prepare;
mod product;
mod rows;
mod settle;
mod sizes;
mod special;
mod strips;
mod target;
mod units;
mod visit;
mod writer;

pub use target::{GAPS, Gap, Kind, Target};

use block::Scheduler;
use expand::Expander;
use facts::Facts;
use graph::Graph;
use home::Home;
use library::Library;
use nnc_base::{Diagnostic, Span};
use nnc_ir::Value;
use nnc_ir::graph::{Entry, Module, Port};
use nnc_ir::kernel::Kernel;
use nnc_ir::plan::{EntryPlan, Place, PlaceClass, PlaceId, Plan};
use sizes::Guess;
use std::collections::{HashMap, HashSet};

/// Buffers below which no schedule is tried: every operation alone needs fewer.
const LEAST_BUFFERS: usize = 4;

/// The plan of `module` for `target`.
pub fn schedule(module: &Module, target: &Target) -> Result<Plan, Vec<Diagnostic>> {
    let mut library = Library::default();
    let (mut entries, mut errors) = (Vec::new(), Vec::new());
    for entry in &module.entries {
        match fit_entry(module, entry, target, &mut library) {
            Ok(plan) => entries.push(plan),
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let (sizes, slots) = (module.sizes.clone(), module.slots.clone());
    Ok(Plan { sizes, slots, entries, kernels: library.kernels })
}

/// The plan of an entry whose kernels touch no more buffers than the target has. What a kernel will read is known when
/// it is written, and only estimated when it is planned: if one reads too much, kernels are planned for fewer buffers.
fn fit_entry(
    module: &Module,
    entry: &Entry,
    target: &Target,
    library: &mut Library,
) -> Result<EntryPlan, Diagnostic> {
    if let Some(refusal) = target::refusal(target, &entry.function) {
        return Err(refusal);
    }
    let before = library.kernels.len();
    let mut room = target.max_buffers;
    loop {
        let plan = plan_entry(module, entry, &Target { max_buffers: room, ..target.clone() }, library)?;
        let fits = |kernel: &Kernel| kernel.buffers.len() <= target.max_buffers;
        match library.kernels[before..].iter().find(|kernel| !fits(kernel)) {
            None => return Ok(plan),
            Some(kernel) if room <= LEAST_BUFFERS => {
                let (name, found, most) = (&kernel.name, kernel.buffers.len(), target.max_buffers);
                let message = format!("kernel `{name}` needs {found} buffers, the target binds {most}");
                return Err(expand::unsupported(Span::default(), message).help("compile for another target"));
            }
            Some(_) => {
                library.forget_from(before);
                room -= 1;
            }
        }
    }
}

fn plan_entry(
    module: &Module,
    entry: &Entry,
    target: &Target,
    library: &mut Library,
) -> Result<EntryPlan, Diagnostic> {
    let guess = Guess::new(&module.sizes, &target.usual);
    let function = prepare::prepare(&entry.function, target, &guess);
    let graph = Graph::new(&function);
    let expander = Expander { graph: &graph, target };
    let facts = Facts::new(expander, &function.body, target.max_buffers);
    let mut scheduler = Scheduler {
        graph: &graph,
        expander,
        facts: &facts,
        guess,
        ranges: module.ranges(),
        homes: HashMap::new(),
        places: Vec::new(),
        histories: HashSet::new(),
        library,
        notes: Vec::new(),
    };
    let mut ports = Ports::default();
    let inputs = ports.bind(&mut scheduler, &entry.inputs, &function.body.params);
    for (value, home) in &inputs {
        scheduler.homes.insert(*value, home.clone());
    }
    let results = ports.bind(&mut scheduler, &entry.outputs, &function.body.results);
    let steps = scheduler.block(&function.body.nodes, &results)?;
    let places = lifetimes::lifetimes(scheduler.places, &steps);
    let bound = |ports: &[Port], values: &[(Value, Home)]| {
        ports.iter().cloned().zip(values.iter().map(|(_, home)| home.place)).collect()
    };
    Ok(EntryPlan {
        name: entry.name.clone(),
        inputs: bound(&entry.inputs, &inputs),
        outputs: bound(&entry.outputs, &results),
        places,
        steps,
        guards: Vec::new(),
        notes: scheduler.notes,
    })
}

/// Places of parameters and results. A slot has one place, read and written.
#[derive(Default)]
struct Ports {
    slots: HashMap<usize, PlaceId>,
}

impl Ports {
    fn bind(&mut self, scheduler: &mut Scheduler, ports: &[Port], values: &[Value]) -> Vec<(Value, Home)> {
        let pairs = ports.iter().zip(values);
        pairs.map(|(port, value)| (*value, self.home(scheduler, port, *value))).collect()
    }

    fn home(&mut self, scheduler: &mut Scheduler, port: &Port, value: Value) -> Home {
        let ty = scheduler.graph.ty(value);
        let (name, class) = match port {
            Port::Named(name) => (name.clone(), PlaceClass::Caller),
            Port::Slot(slot) => {
                if let Some(place) = self.slots.get(slot) {
                    return Home::whole(*place, &ty.shape);
                }
                (scheduler.graph.name(value), PlaceClass::Slot(*slot))
            }
        };
        let id = PlaceId(scheduler.places.len() as u32);
        scheduler.places.push(Place { name, dtype: ty.dtype, shape: ty.shape.clone(), class });
        if let Port::Slot(slot) = port {
            self.slots.insert(*slot, id);
        }
        Home::whole(id, &ty.shape)
    }
}
