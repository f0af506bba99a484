//! Every example of every operation, on every target.

use crate::machine::Machine;
use crate::programs::*;
use nnc_compiler::schedule::{GAPS, schedule};
use nnc_ir::ops::catalog;
use nnc_ir::{Array, Builder, Value, evaluate};

#[test]
fn examples_of_operations_compute_the_same() {
    let mut count = 0;
    for (name, examples) in catalog() {
        for example in examples {
            let mut b = Builder::new();
            let params: Vec<Value> = example.operands.iter().map(|(ty, _)| b.param(ty.clone())).collect();
            let results =
                b.try_apply_blocks(example.op.clone(), &params, Vec::new()).expect("examples are typed");
            let function = b.finish(results);
            let arguments: Vec<Array> = example
                .operands
                .iter()
                .map(|(ty, data)| {
                    let shape =
                        ty.shape.iter().map(|size| size.as_constant().expect("constant") as usize).collect();
                    Array::new(shape, data.clone())
                })
                .collect();
            let expected = evaluate(&function, &arguments, &sizes(&[])).expect("examples evaluate");
            let module = module(function, Vec::new());
            for target in targets() {
                let function = &module.entries[0].function;
                if GAPS.iter().any(|gap| gap.kind == target.kind && gap.covers(function)) {
                    let refused = schedule(&module, &target).expect_err("a gap is refused");
                    assert_eq!(refused[0].code, "support::target", "{name}");
                    continue;
                }
                let plan = plan(&module, &target);
                let names: Vec<String> = (0..arguments.len()).map(|place| format!("x{place}")).collect();
                let inputs: Vec<(&str, Array)> =
                    names.iter().map(String::as_str).zip(arguments.clone()).collect();
                let found = Machine::new(&plan).call("main", &inputs, &sizes(&[]));
                for ((_, found), expected) in found.iter().zip(&expected) {
                    assert!(
                        close(found, expected, 1e-6),
                        "{name} on {:?}: {found:?}, not {expected:?}\n{}",
                        target.kind,
                        show(&plan)
                    );
                }
            }
            count += 1;
        }
    }
    assert!(count > 80, "{count} examples");
}
