//! Every example evaluates to its results.

use crate::programs::{all_examples, close, function, operands};
use nnc_ir::evaluate;
use nnc_ir::ops::{Op, catalog};
use std::collections::BTreeMap;

#[test]
fn examples_evaluate_to_their_results() {
    for (label, example) in all_examples() {
        let results = evaluate(&function(&example), &operands(&example), &BTreeMap::new());
        let results = results.unwrap_or_else(|error| panic!("{label}: {error}"));
        assert_eq!(results.len(), example.results.len(), "{label}");
        for (found, expected) in results.iter().zip(&example.results) {
            assert!(close(&found.data, expected, 1e-6), "{label}: {:?} is not {expected:?}", found.data);
        }
    }
}

#[test]
fn every_operation_without_bodies_has_an_example() {
    let bare: Vec<&str> = catalog().into_iter().filter(|(_, e)| e.is_empty()).map(|(name, _)| name).collect();
    assert_eq!(bare, ["loop", "if", "rule"]);
    assert!(catalog().len() > 50);
    for (name, examples) in catalog() {
        assert!(examples.iter().all(|example| Op::name(&example.op) == name), "{name}");
    }
}
