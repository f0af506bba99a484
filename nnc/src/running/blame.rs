//! Which operation of a program first leaves the finite numbers: told by the reference interpreter.

use crate::account;
use nnc_compiler::elaborate::regions::Region;
use nnc_compiler::program::Program;
use nnc_ir::evaluate::{Broken, first_broken};
use nnc_ir::graph::{Module, Port};
use nnc_ir::plan::Plan;
use nnc_ir::session::Sizes;
use nnc_ir::{Array, Dim, Type};
use nnc_runtime::trainer::Blame;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What is known of a program before it is scheduled.
pub struct Graph {
    pub module: Module,
    pub regions: BTreeMap<String, Vec<Region>>,
    pub program: Program,
    pub plan: Plan,
}

/// Operations up to which a step is searched: the interpreter does them one by one.
const PATIENCE: i64 = 20_000_000_000;

impl Graph {
    /// A search of the graph.
    pub fn blame(graph: &Rc<Graph>) -> Blame {
        let graph = graph.clone();
        Box::new(move |entry, output, given, sizes| {
            let entry = graph.module.entry(entry)?;
            if account::entry(&graph.plan, &entry.name, sizes)?.flops_here? > PATIENCE {
                return None;
            }
            eprintln!("looking for the operation at which that begins ..");
            let function = &entry.function;
            let params = entry.inputs.iter().zip(&function.body.params);
            let params = params.map(|(port, value)| match given.iter().find(|(known, _)| known == port) {
                Some((_, array)) => Some(array.clone()),
                None => unread(function.ty(*value), sizes),
            });
            let params = params.collect::<Option<Vec<_>>>()?;
            let place = entry.outputs.iter().position(|port| *port == Port::Named(output.to_string()))?;
            let broken = first_broken(function, &params, sizes, function.body.results[place]).ok()??;
            let name = function.values[broken.value.0 as usize].name.as_deref();
            Some(graph.describe(&entry.name, name, &broken))
        })
    }

    /// ``inf, made by `exp` in `layer[2].mlp` as `h`, model.nn:12``.
    fn describe(&self, entry: &str, name: Option<&str>, broken: &Broken) -> String {
        let mut text = format!("{}, made by `{}`", broken.number, broken.op);
        if let Some(path) = self.path(entry, broken) {
            text += &format!(" in `{path}`");
        }
        if let Some(name) = name {
            text += &format!(" as `{name}`");
        }
        if let Some((file, line)) = self.program.line(broken.span) {
            text += &format!(", {file}:{line}");
        }
        text
    }

    /// The path of the innermost block around the value, with the turns of the loops in it.
    fn path(&self, entry: &str, broken: &Broken) -> Option<String> {
        let around = |region: &&Region| region.values.contains(&broken.value.0) && !region.path.is_empty();
        let region =
            self.regions.get(entry)?.iter().filter(around).min_by_key(|region| region.values.len())?;
        let turn = |segment: &str| {
            let own = |name: &str| name.split('.').next() == Some(segment);
            broken.turns.iter().find(|(counter, _)| own(&counter.0)).map(|(_, turn)| *turn)
        };
        let segments = region.path.split('.').map(|segment| match turn(segment) {
            Some(turn) => format!("{segment}[{turn}]"),
            None => segment.to_string(),
        });
        Some(segments.collect::<Vec<_>>().join("."))
    }
}

/// What stands for a parameter that the plan does without.
fn unread(ty: &Type, sizes: &Sizes) -> Option<Array> {
    let size = |dim: &Dim| usize::try_from(dim.evaluate(&|symbol| sizes.get(symbol).copied())?).ok();
    let shape = ty.shape.iter().map(size).collect::<Option<Vec<_>>>()?;
    Some(Array::filled(shape, 0.0))
}
