//! Removes inputs that an entry does not use: random keys of initial values, slots that only dead code read.

use super::{Findings, Pass};
use nnc_ir::Value;
use nnc_ir::graph::{Entry, Module};
use std::collections::BTreeSet;

/// See the module.
pub const PRUNE_INPUTS: Pass =
    Pass { name: "prune-inputs", about: "remove inputs that an entry does not use", run: prune_inputs };

fn prune_inputs(mut module: Module) -> Result<Module, Findings> {
    module.entries.iter_mut().for_each(prune);
    Ok(module)
}

fn prune(entry: &mut Entry) {
    let body = &mut entry.function.body;
    let mut used: BTreeSet<Value> = body.results.iter().copied().collect();
    body.visit(&mut |node| used.extend(node.uses()));
    let kept: Vec<bool> = body.params.iter().map(|param| used.contains(param)).collect();
    let mut keep = kept.iter().copied();
    body.params.retain(|_| keep.next().unwrap_or(true));
    let mut keep = kept.iter().copied();
    entry.inputs.retain(|_| keep.next().unwrap_or(true));
}

#[cfg(test)]
mod tests {
    use super::*;
    use nnc_ir::graph::Port;
    use nnc_ir::{Builder, DType, Type};

    #[test]
    fn an_input_nobody_reads_goes_with_its_port() {
        let mut b = Builder::new();
        let (x, _) = (b.param(Type::scalar(DType::F32)), b.param(Type::scalar(DType::U32)));
        let y = b.neg(x);
        let port = |name: &str| Port::Named(name.into());
        let entry = Entry {
            name: "forward".into(),
            inputs: vec![port("x"), port("seed")],
            outputs: vec![port("y")],
            function: b.finish(vec![y]),
        };
        let module = Module { entries: vec![entry], ..Module::default() };
        let pruned = prune_inputs(module).expect("pruning finds nothing wrong");
        assert_eq!(pruned.entries[0].inputs, [port("x")]);
        assert_eq!(pruned.entries[0].function.body.params, [x]);
    }
}
