//! The sizes that calls usually have: what a training program says of its batches.

use nnc_ir::Symbol;
use nnc_ir::graph::{Module, Port};
use nnc_ir::training::{DataSource, Plain, Training};

/// Run-time sizes with the values they have in training: the first axis of an input is the batch, the second axis of a
/// text its context.
pub fn usual_sizes(module: &Module, training: &Training) -> Vec<(Symbol, i64)> {
    let mut found: Vec<(Symbol, i64)> = Vec::new();
    for fit in &training.fits {
        let Some(entry) = module.entries.iter().find(|entry| entry.name == fit.step_entry) else { continue };
        for (port, param) in entry.inputs.iter().zip(&entry.function.body.params) {
            if !matches!(port, Port::Named(_)) {
                continue;
            }
            let shape = &entry.function.ty(*param).shape;
            for (dim, size) in shape.iter().zip(leading(&fit.data)) {
                let new = dim.as_symbol().filter(|symbol| !found.iter().any(|(known, _)| known == *symbol));
                found.extend(new.map(|symbol| (symbol.clone(), size)));
            }
        }
    }
    found
}

/// Sizes of the first axes of a batch.
fn leading(data: &DataSource) -> Vec<i64> {
    let context = match (data.kind.as_str(), data.options.get("context")) {
        ("text", Some(Plain::Int(context))) => Some(*context),
        _ => None,
    };
    std::iter::once(data.batch()).chain(context).collect()
}
