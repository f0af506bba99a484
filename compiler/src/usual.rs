//! The sizes that calls usually have: what a training program says of its batches.

use nnc_ir::graph::{Entry, Function, Module, Port};
use nnc_ir::training::{DataSource, Plain, Training};
use nnc_ir::{Symbol, Value};

/// Run-time sizes with the values they have in training: the first axis of an input is the batch, the second axis of a
/// text its context.
pub fn usual_sizes(module: &Module, training: &Training) -> Vec<(Symbol, i64)> {
    let mut found: Vec<(Symbol, i64)> = Vec::new();
    for fit in &training.fits {
        // A part of a program may lack the training step; the names of sizes are the same in all entries.
        for (function, param) in module.entries.iter().flat_map(named_inputs) {
            let shape = &function.ty(param).shape;
            for (dim, size) in shape.iter().zip(leading(&fit.data)) {
                let new = dim.as_symbol().filter(|symbol| !found.iter().any(|(known, _)| known == *symbol));
                found.extend(new.map(|symbol| (symbol.clone(), size)));
            }
        }
    }
    found
}

/// Parameters for what the caller gives.
fn named_inputs(entry: &Entry) -> impl Iterator<Item = (&Function, Value)> {
    let params = entry.inputs.iter().zip(&entry.function.body.params);
    let named = params.filter(|(port, _)| matches!(port, Port::Named(_)));
    named.map(|(_, param)| (&entry.function, *param))
}

/// Sizes of the first axes of a batch.
fn leading(data: &DataSource) -> Vec<i64> {
    let context = match (data.kind.as_str(), data.options.get("context")) {
        ("text", Some(Plain::Int(context))) => Some(*context),
        _ => None,
    };
    std::iter::once(data.batch()).chain(context).collect()
}
