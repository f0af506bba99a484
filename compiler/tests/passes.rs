//! Passes: each keeps the values of random functions and does what its text files say.

mod support;

use nnc_base::Diagnostic;
use nnc_compiler::passes::{self, Observer, PIPELINE, Pass, run_passes, run_pipeline};
use nnc_ir::graph::{Entry, Function, Module, Port};
use nnc_ir::{Builder, Value, text, verify};
use std::fs;
use support::random::Grower;
use support::*;

/// A module with one entry.
fn module_of(function: Function) -> Module {
    let ports = |values: &[Value], what: &str| -> Vec<Port> {
        (0..values.len()).map(|place| Port::Named(format!("{what}{place}"))).collect()
    };
    let (inputs, outputs) = (ports(&function.body.params, "in"), ports(&function.body.results, "out"));
    let entry = Entry { name: "main".into(), inputs, outputs, function };
    Module { entries: vec![entry], ..Module::default() }
}

fn checked(pass: &Pass, module: Module) -> Result<Module, Vec<Diagnostic>> {
    let module = (pass.run)(module)?;
    verify(&module).unwrap_or_else(|errors| panic!("{}: {errors:?}\n{}", pass.name, text::print(&module)));
    Ok(module)
}

fn keeps_values(seed: u64, function: Function) {
    let inputs = Grower::new(seed, false).inputs();
    let wanted = run(&function, &inputs, &[]);
    let module = module_of(function);
    let mut names: Vec<&str> = PIPELINE.iter().map(|pass| pass.name).collect();
    names.sort();
    names.dedup();
    for name in names {
        let pass = passes::find(name).expect("a pass has its name");
        let after = checked(pass, module.clone()).expect("the module is sound");
        compare(&wanted, &after, &inputs, &format!("seed {seed}, {name}"));
    }
    let mut after = module;
    for pass in PIPELINE {
        after = checked(pass, after).expect("the module is sound");
        compare(&wanted, &after, &inputs, &format!("seed {seed}, pipeline at {}", pass.name));
    }
}

fn compare(wanted: &[nnc_ir::Array], module: &Module, inputs: &[nnc_ir::Array], what: &str) {
    let entry = &module.entries[0];
    let kept: Vec<_> = (0..inputs.len())
        .filter(|place| entry.inputs.contains(&Port::Named(format!("in{place}"))))
        .map(|place| inputs[place].clone())
        .collect();
    let found = run(&entry.function, &kept, &[]);
    assert_eq!(wanted.len(), found.len(), "{what}");
    wanted.iter().zip(&found).for_each(|(a, b)| assert_close(a, b, 1e-9, what));
}

#[test]
fn passes_keep_values_of_random_functions() {
    for seed in 0..200 {
        keeps_values(seed, Grower::new(seed, false).function());
    }
}

#[test]
fn passes_keep_gradients_of_random_functions() {
    for seed in 0..60 {
        let inputs = Grower::new(seed, false).inputs();
        let loss = |b: &mut Builder, p: &[Value]| Grower::new(seed, false).loss(b, p);
        let way = WAYS[seed as usize % WAYS.len()];
        keeps_values(seed, with_gradients(&loss, &types_of(&inputs), way).0);
    }
}

/// `tests/passes/*.nnir`: the name of a pass, a module, `---`, the module that the pass makes of it.
#[test]
fn texts() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/passes");
    let mut seen = 0;
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("the folder exists").map(|file| file.expect("a file").path()).collect();
    files.sort();
    for path in files {
        let content = fs::read_to_string(&path).expect("a text file");
        let (name, rest) = content.split_once('\n').expect("the first line names a pass");
        let (before, expected) = rest.split_once("---\n").unwrap_or((rest, ""));
        let module = text::parse(before).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        verify(&module).unwrap_or_else(|errors| panic!("{}: {errors:?}", path.display()));
        let pass = passes::find(name.trim()).unwrap_or_else(|| panic!("no pass `{name}`"));
        let after = text::print(&checked(pass, module).expect("the module is sound"));
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, format!("{name}\n{before}---\n{after}")).expect("the file is writable");
        } else {
            assert_eq!(after, expected, "{}", path.display());
        }
        assert_ne!(
            before.split_whitespace().collect::<Vec<_>>(),
            after.split_whitespace().collect::<Vec<_>>()
        );
        seen += 1;
    }
    assert!(seen >= 8, "{seen} files");
}

#[test]
fn the_observer_sees_every_pass_in_order() {
    #[derive(Default)]
    struct Names(Vec<String>);
    impl Observer for Names {
        fn begin(&mut self, pass: &Pass) {
            self.0.push(format!("<{}", pass.name));
        }
        fn end(&mut self, pass: &Pass, _: &Module) {
            self.0.push(format!("{}>", pass.name));
        }
    }
    let mut names = Names::default();
    run_pipeline(module_of(Grower::new(1, false).function()), &mut names).expect("the module is sound");
    let wanted: Vec<String> =
        PIPELINE.iter().flat_map(|pass| [format!("<{}", pass.name), format!("{}>", pass.name)]).collect();
    assert_eq!(names.0, wanted);
}

#[test]
fn the_driver_catches_broken_modules() {
    fn break_it(mut module: Module) -> Result<Module, Vec<Diagnostic>> {
        module.entries[0].function.body.nodes.clear();
        Ok(module)
    }
    let pass = Pass { name: "break", about: "", run: break_it };
    let mut b = Builder::new();
    let x = b.param(real(&[]));
    let y = b.neg(x);
    let findings = run_passes(&[pass], module_of(b.finish(vec![y])), &mut ()).expect_err("y is gone");
    assert!(findings[0].message.starts_with("`break` left a broken module"), "{}", findings[0].message);
}

#[test]
fn rules_have_names_of_their_own() {
    let mut names: Vec<&str> = passes::rules().map(|rule| rule.name).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert!(count == names.len() && count > 30);
}
