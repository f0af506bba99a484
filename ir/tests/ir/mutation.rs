//! Damaged texts are refused or read, never a panic; what is read can be verified, and printed again.

use crate::kernels::matmul;
use crate::programs::{all_examples, function, module, rich_module};
use nnc_ir::text::{parse, print};
use nnc_ir::{Ranges, kernel, verify};
use proptest::prelude::*;

fn texts() -> Vec<String> {
    let examples = all_examples().into_iter().map(|(_, example)| print(&module(function(&example))));
    examples.chain([print(&rich_module())]).collect()
}

/// One change to a text.
#[derive(Clone, Debug)]
enum Change {
    Replace(usize, char),
    Delete(usize, usize),
    Repeat(usize, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let letter = prop::sample::select("%\"[](){},:=+-*@;.0179eTxv\\\n".chars().collect::<Vec<_>>());
    prop_oneof![
        (any::<usize>(), letter).prop_map(|(at, c)| Change::Replace(at, c)),
        (any::<usize>(), 1usize..12).prop_map(|(at, n)| Change::Delete(at, n)),
        (any::<usize>(), 1usize..40).prop_map(|(at, n)| Change::Repeat(at, n)),
    ]
}

fn damage(text: &str, changes: &[Change]) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for change in changes {
        let size = letters.len().max(1);
        match change {
            Change::Replace(at, letter) => {
                letters.iter_mut().skip(at % size).take(1).for_each(|c| *c = *letter)
            }
            Change::Delete(at, count) => {
                drop(letters.drain(at % size..(at % size + count).min(letters.len())))
            }
            Change::Repeat(at, count) => {
                let part = letters[at % size..(at % size + count).min(letters.len())].to_vec();
                letters.splice(at % size..at % size, part);
            }
        }
    }
    letters.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_modules_never_panic(which in any::<prop::sample::Index>(), changes in prop::collection::vec(change(), 1..6)) {
        let texts = texts();
        let damaged = damage(&texts[which.index(texts.len())], &changes);
        if let Ok(module) = parse(&damaged) {
            let _ = verify(&module);
            let text = print(&module);
            let again = parse(&text);
            prop_assert!(again.is_ok(), "{}\n{text}", again.unwrap_err());
            prop_assert_eq!(print(&again.unwrap()), text);
        }
    }

    #[test]
    fn damaged_kernels_never_panic(changes in prop::collection::vec(change(), 1..6)) {
        let damaged = damage(&matmul().to_string(), &changes);
        if let Ok(kernel) = kernel::text::parse(&damaged) {
            let _ = kernel::verify(&kernel, &Ranges::new());
            prop_assert_eq!(kernel::text::parse(&kernel.to_string()).map(|k| k.to_string()), Ok(kernel.to_string()));
        }
    }
}
