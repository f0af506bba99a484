//! The entries `forward_saving` and `backward`, made of `forward`: for programs that take the gradient of the outputs
//! from somewhere else than a loss of the language.
//!
//! `forward_saving` gives the outputs, and `saved.0`, `saved.1`, ... for `backward`, which also takes `gradient.NAME`
//! for each real output and gives `gradient.NAME` for each real input and each trained weight. What it needs of the
//! inputs it takes again; everything is pure, so several calls may be under way at once.

use crate::differentiate::{Recompute, partition, pullback_with};
use nnc_base::{Diagnostic, Span};
use nnc_ir::graph::{Entry, Module, Port, SlotKind};
use nnc_ir::plan::Guard;
use nnc_ir::{Builder, Value};

/// The entry that hands over what `backward` needs.
pub const FORWARD_SAVING: &str = "forward_saving";
/// The entry from gradients of the outputs to gradients of inputs and weights.
pub const BACKWARD: &str = "backward";

/// Adds both entries behind those of the module, with the guards of `forward`. A weight whose path is in `frozen` gets
/// no gradient. One that the outputs do not depend on gets zeros.
pub fn add(
    module: &mut Module,
    guards: &mut Vec<(String, Guard)>,
    frozen: &[String],
) -> Result<(), Diagnostic> {
    let refuse =
        |message: &str| Err(Diagnostic::error("grad::nothing", Span::default(), message.to_string()));
    let Some(forward) = module.entry("forward").cloned() else {
        return refuse("the model has no entry `forward`");
    };
    let Entry { inputs, outputs, function, .. } = forward;
    let (params, results) = (function.body.params.clone(), function.body.results.clone());
    let sources = sources(module, &inputs, frozen).into_iter().map(|(place, name)| (params[place], name));
    let sources: Vec<(Value, Port)> =
        sources.filter(|(value, _)| function.ty(*value).dtype.is_float()).collect();
    let seeds = outputs.iter().zip(&results).filter_map(|(port, value)| match port {
        Port::Named(name) if function.ty(*value).dtype.is_float() => Some((*value, gradient(name))),
        _ => None,
    });
    let seeds: Vec<(Value, Port)> = seeds.collect();
    if seeds.is_empty() {
        return refuse("the model has no output of real numbers, so nothing has a gradient");
    }
    if sources.is_empty() {
        return refuse("the model has neither real inputs nor trained weights, so nothing has a gradient");
    }
    let mut b = Builder::reopen(function);
    let cotangents: Vec<(Value, Value)> = seeds
        .iter()
        .map(|(output, _)| {
            let ty = b.ty(*output).clone();
            (*output, b.param(ty))
        })
        .collect();
    let wrt: Vec<Value> = sources.iter().map(|(value, _)| *value).collect();
    let gradients = pullback_with(&mut b, &cotangents, &wrt, Recompute::default()).cotangents;
    let joint = b.finish([&results[..], &gradients].concat());
    let parts = partition(&joint, results.len(), cotangents.len(), Recompute::default())
        .map_err(|message| Diagnostic::error("internal::partition", Span::default(), message))?;
    let saved = || (0..parts.saved).map(|place| Port::Named(format!("saved.{place}")));
    let seeds = seeds.into_iter().map(|(_, port)| port);
    module.entries.push(Entry {
        name: FORWARD_SAVING.into(),
        inputs: inputs.clone(),
        outputs: outputs.into_iter().chain(saved()).collect(),
        function: parts.forward,
    });
    module.entries.push(Entry {
        name: BACKWARD.into(),
        inputs: inputs.into_iter().chain(saved()).chain(seeds).collect(),
        outputs: sources.into_iter().map(|(_, port)| port).collect(),
        function: parts.backward,
    });
    let own: Vec<Guard> =
        guards.iter().filter(|(entry, _)| entry == "forward").map(|(_, g)| g.clone()).collect();
    for entry in [FORWARD_SAVING, BACKWARD] {
        guards.extend(own.iter().map(|guard| (entry.to_string(), guard.clone())));
    }
    Ok(())
}

fn gradient(name: &str) -> Port {
    Port::Named(format!("gradient.{name}"))
}

/// The places of parameters that may have gradients: the caller's, and trained weights.
fn sources(module: &Module, inputs: &[Port], frozen: &[String]) -> Vec<(usize, Port)> {
    let source = |(place, port): (usize, &Port)| match port {
        Port::Named(name) => Some((place, gradient(name))),
        Port::Slot(slot) => {
            let slot = module.slots.get(*slot)?;
            let trained = slot.kind == SlotKind::Weight && !frozen.contains(&slot.path);
            trained.then(|| (place, gradient(&slot.path)))
        }
    };
    inputs.iter().enumerate().filter_map(source).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nnc_ir::graph::Slot;
    use nnc_ir::{Array, DType, Dim, Type, evaluate};
    use std::collections::BTreeMap;

    /// `y = x * w`, and an integer output that nobody differentiates.
    fn module() -> Module {
        let ty = Type::new(DType::F32, vec![Dim::constant(2)]);
        let mut b = Builder::new();
        let (x, w) = (b.param(ty.clone()), b.param(ty.clone()));
        let y = b.mul(x, w);
        let n = b.cast(y, DType::I32);
        let named = |name: &str| Port::Named(name.into());
        let entry = Entry {
            name: "forward".into(),
            inputs: vec![named("x"), Port::Slot(0)],
            outputs: vec![named("y"), named("n")],
            function: b.finish(vec![y, n]),
        };
        let slot = Slot { path: "w".into(), kind: SlotKind::Weight, ty, copies: Vec::new(), was: None };
        Module { sizes: Vec::new(), slots: vec![slot], entries: vec![entry] }
    }

    fn ports(names: &[&str]) -> Vec<Port> {
        names.iter().map(|name| Port::Named((*name).into())).collect()
    }

    #[test]
    fn gradients_of_a_product() {
        let mut module = module();
        add(&mut module, &mut Vec::new(), &[]).expect("it has gradients");
        nnc_ir::verify(&module).expect("the new entries are sound");
        let saving = module.entry(FORWARD_SAVING).expect("it is there");
        assert_eq!(saving.outputs, ports(&["y", "n"]), "both factors are inputs: nothing needs saving");
        let backward = module.entry(BACKWARD).expect("it is there");
        assert_eq!(backward.inputs[2..], ports(&["gradient.y"])[..]);
        assert_eq!(backward.outputs, ports(&["gradient.x", "gradient.w"]));
        let array = |a, b| Array::new(vec![2], vec![a, b]);
        let found = evaluate(
            &backward.function,
            &[array(2.0, 3.0), array(5.0, 7.0), array(1.0, 10.0)],
            &BTreeMap::new(),
        );
        assert_eq!(found.expect("it runs"), [array(5.0, 70.0), array(2.0, 30.0)]);
    }

    #[test]
    fn frozen_weights_have_no_gradient_and_a_model_without_any_is_an_error() {
        let mut frozen = module();
        add(&mut frozen, &mut Vec::new(), &["w".into()]).expect("x has one");
        assert_eq!(frozen.entry(BACKWARD).expect("it is there").outputs, ports(&["gradient.x"]));
        let mut none = module();
        none.entries[0].outputs.remove(0);
        none.entries[0].function.body.results.remove(0);
        let error = add(&mut none, &mut Vec::new(), &[]).expect_err("integers have no gradient");
        assert_eq!(error.code, "grad::nothing");
    }
}
