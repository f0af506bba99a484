//! Passes over the tensor IR: each takes a module and gives one that computes the same.
//!
//! A pass is a value with a name; [`PIPELINE`] is the one list. The driver tells an observer before and after each, and
//! verifies what a pass leaves behind in debug builds. Passes visit bodies, not turns: their cost does not depend on how
//! often a loop runs.

pub(crate) mod copy;
pub(crate) mod cost;
mod cse;
pub(crate) mod dead_code;
mod forget;
mod hoist;
mod narrow;
mod prune;
mod simplify;
mod sink;
mod vectorize;
mod widen;

pub use cse::CSE;
pub use dead_code::DEAD_CODE;
pub use forget::FORGET_GRADIENTS;
pub use hoist::HOIST;
pub use narrow::NARROW_LOOPS;
pub use prune::PRUNE_INPUTS;
pub use simplify::{SIMPLIFY, rules};
pub use sink::SINK_VIEWS;
pub use vectorize::VECTORIZE_LOOPS;
pub use widen::WIDEN_FOLDS;

use nnc_base::Diagnostic;
use nnc_ir::graph::{Block, Function, Module};
use nnc_ir::{Builder, verify};

/// What a pass has to say against a module.
pub type Findings = Vec<Diagnostic>;

/// A named transformation of modules.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// Its name, as in `nnc opt --pass`.
    pub name: &'static str,
    /// What it does, as half a sentence.
    pub about: &'static str,
    /// Does it.
    pub run: fn(Module) -> Result<Module, Findings>,
}

/// The passes of a build, in order. Gradients are taken before.
pub const PIPELINE: &[Pass] = &[
    FORGET_GRADIENTS,
    WIDEN_FOLDS,
    DEAD_CODE,
    SIMPLIFY,
    NARROW_LOOPS,
    CSE,
    HOIST,
    VECTORIZE_LOOPS,
    SIMPLIFY,
    NARROW_LOOPS,
    CSE,
    SINK_VIEWS,
    DEAD_CODE,
    PRUNE_INPUTS,
];

/// The pass called `name`.
pub fn find(name: &str) -> Option<&'static Pass> {
    PIPELINE.iter().find(|pass| pass.name == name)
}

/// Is told what a pipeline does. Times and dumps are made here: the driver has no clock and no files.
pub trait Observer {
    /// `pass` is about to run.
    fn begin(&mut self, _pass: &Pass) {}

    /// `pass` has left `module`.
    fn end(&mut self, _pass: &Pass, _module: &Module) {}
}

impl Observer for () {}

/// Runs [`PIPELINE`].
pub fn run_pipeline(module: Module, observer: &mut dyn Observer) -> Result<Module, Findings> {
    run_passes(PIPELINE, module, observer)
}

/// Runs these passes in order.
pub fn run_passes(
    passes: &[Pass],
    mut module: Module,
    observer: &mut dyn Observer,
) -> Result<Module, Findings> {
    for pass in passes {
        observer.begin(pass);
        module = (pass.run)(module)?;
        observer.end(pass, &module);
        if cfg!(debug_assertions) {
            check(pass, &module)?;
        }
    }
    Ok(module)
}

fn check(pass: &Pass, module: &Module) -> Result<(), Findings> {
    let finding = |error: verify::VerifyError| {
        let message = format!("`{}` left a broken module: {error}", pass.name);
        Diagnostic::error("internal::pass", error.span, message)
    };
    verify::verify(module).map_err(|errors| errors.into_iter().map(finding).collect())
}

/// Rebuilds a function: `rebuild` adds the nodes for the body that is given to it, and returns the results.
fn rebuild(function: &mut Function, rebuild: impl FnOnce(&mut Builder, Block) -> Vec<nnc_ir::Value>) {
    let mut old = std::mem::take(function);
    let body = std::mem::take(&mut old.body);
    let mut b = Builder::resume(old);
    b.current().params = body.params.clone();
    let results = rebuild(&mut b, body);
    *function = b.finish(results);
}
