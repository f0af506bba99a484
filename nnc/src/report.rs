//! What people and machines are told: findings with their source, a summary of what was built, explanations.

use crate::pipeline::Compiled;
use miette::{GraphicalReportHandler, LabeledSpan, MietteDiagnostic, NamedSource, Report};
use nnc_base::{Diagnostic, Severity};
use nnc_compiler::program::Program;
use nnc_ir::graph::SlotKind;
use nnc_ir::plan::Step;

/// Prints findings: pictures for people on standard error, JSON lines on standard output.
pub fn print(program: &Program, found: &[Diagnostic], json: bool) {
    for diagnostic in found {
        if json {
            println!("{}", as_json(program, diagnostic));
        } else {
            eprintln!("{}", picture(program, diagnostic));
        }
    }
}

fn place(program: &Program, diagnostic: &Diagnostic) -> (String, usize, usize) {
    let Some(label) = diagnostic.labels.first() else { return (String::new(), 1, 1) };
    let Some(source) = program.sources.get(label.span.source.0 as usize) else {
        return (String::new(), 1, 1);
    };
    let before = source.text.get(..label.span.start as usize).unwrap_or(&source.text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
    (source.name.clone(), line, column)
}

fn as_json(program: &Program, diagnostic: &Diagnostic) -> serde_json::Value {
    let (file, line, column) = place(program, diagnostic);
    serde_json::json!({
        "code": diagnostic.code,
        "severity": match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        },
        "message": diagnostic.message,
        "file": file,
        "line": line,
        "column": column,
        "help": diagnostic.help,
    })
}

/// One finding with its main source; places in other sources are named below.
fn picture(program: &Program, diagnostic: &Diagnostic) -> String {
    let main = diagnostic.labels.first().map(|label| label.span.source).unwrap_or_default();
    let here = diagnostic.labels.iter().filter(|label| label.span.source == main).map(|label| {
        let text = (!label.text.is_empty()).then(|| label.text.clone());
        LabeledSpan::new_with_span(text, label.span.range())
    });
    let mut built = MietteDiagnostic::new(&diagnostic.message).with_code(diagnostic.code).with_labels(here);
    let mut help: Vec<String> = diagnostic.help.iter().cloned().collect();
    for label in diagnostic.labels.iter().filter(|label| label.span.source != main) {
        let other = Diagnostic { labels: vec![label.clone()], ..diagnostic.clone() };
        let (file, line, _) = place(program, &other);
        help.push(format!("{} ({file}:{line})", label.text));
    }
    if !help.is_empty() {
        built = built.with_help(help.join("\n"));
    }
    built = built.with_severity(match diagnostic.severity {
        Severity::Error => miette::Severity::Error,
        Severity::Warning => miette::Severity::Warning,
        Severity::Note => miette::Severity::Advice,
    });
    let mut report = Report::new(built);
    if let Some(source) = program.sources.get(main.0 as usize) {
        report = report.with_source_code(NamedSource::new(&source.name, source.text.clone()));
    }
    let mut out = String::new();
    match GraphicalReportHandler::new().render_report(&mut out, report.as_ref()) {
        Ok(()) => out,
        Err(_) => diagnostic.to_string(),
    }
}

/// Parameters, entries, kernels.
pub fn summary(compiled: &Compiled) {
    let mut total = 0;
    for slot in compiled.plan.slots.iter().filter(|slot| slot.kind == SlotKind::Weight) {
        let size = slot.ty.size();
        total += size.as_constant().unwrap_or(0);
        println!("  {:<48} {}", slot.path, slot.ty);
    }
    println!("{total} parameters");
    for entry in &compiled.plan.entries {
        let launches = launches(&entry.steps);
        println!(
            "  entry {:<12} {} inputs, {} outputs, {launches} launches",
            entry.name,
            entry.inputs.len(),
            entry.outputs.len()
        );
    }
    let bytes: usize = compiled.code.iter().map(Vec::len).sum();
    println!(
        "{} kernels, {bytes} bytes of code, built in {:.0} ms",
        compiled.code.len(),
        compiled.seconds * 1e3
    );
}

/// Launches in the text of the steps; a loop's body counts once.
fn launches(steps: &[Step]) -> usize {
    let one = |step: &Step| match step {
        Step::Launch { .. } => 1,
        Step::Loop { body, .. } => launches(body),
        Step::If { then, otherwise, .. } => launches(then) + launches(otherwise),
        Step::Copy { .. } => 0,
    };
    steps.iter().map(one).sum()
}

const EXPLANATIONS: &[(&str, &str)] = &[
    (
        "dim::axis",
        "An axis is named that the tensor does not have. Axes are called by their label or by the name of their size.",
    ),
    (
        "dim::broadcast",
        "Operands of an operator are aligned by axis name; one side may lack axes, never bring new ones. An outer product is an index definition: `let y[.., i, j] = a[.., i] * b[.., j]`.",
    ),
    ("dim::free", "Nothing fixes a size or the range of an index. Write it: `i: n`."),
    (
        "dim::label",
        "Two axes fit each other in several ways, or their labels differ. Give them labels, or say with indices which meets which.",
    ),
    ("dim::mismatch", "Two sizes that must be equal are not. The labels show where each comes from."),
    ("dim::rank", "A tensor has another number of axes than is written. `..` stands for all axes in front."),
    ("dim::requires", "A condition behind `requires` does not hold for these sizes."),
    ("dim::split", "An axis cannot be split into these parts: the product of their sizes must be its size."),
    ("dim::static", "A size must be known before data arrive; this one is data."),
    (
        "dim::unproved",
        "A condition on run-time sizes cannot be shown. State it as an equality to have it checked at run time.",
    ),
    (
        "given::missing",
        "A block or policy asks its surroundings for a value by `given`, and nothing gives one.",
    ),
    ("grad::backward", "A custom `backward` must give a gradient for every real argument."),
    (
        "grad::lost",
        "A weight is trained, but every path from it to the loss is cut: by `stop`, by an integer, or by an operation without gradient. Freeze it, or let it reach the loss.",
    ),
    ("index::bounds", "A position or window leaves the axis. Pad, or narrow the range."),
    ("index::range", "One index runs over axes of different sizes."),
    (
        "index::taken",
        "A name on the left of an index definition is already a value here. Rename one of the two.",
    ),
    ("index::unbound", "An index is neither on the left of the definition nor folded."),
    ("index::unused", "An index is folded but used nowhere."),
    ("loop::copies", "`for` makes a copy of its body per element; `loop` keeps one."),
    ("loop::static", "`for` needs a list or range that is known before data arrive."),
    ("name::argument", "A call gives an argument that is not declared, twice, or leaves one out."),
    ("name::cycle", "A block, function or value contains itself."),
    ("name::module", "A module cannot be read. Local modules lie beside the main file."),
    ("name::private", "Names that start with `_` stay in their file."),
    ("name::twice", "One name is declared twice."),
    ("name::unknown", "A name means nothing here."),
    ("path::nothing", "A line of a sheet selects no weight or block."),
    ("rate::init", "An initial value depends on an input or on what changes in a loop."),
    (
        "role::entry",
        "A module lacks an entry its role needs: a topology `join` and `leave`, a block its value.",
    ),
    ("role::unknown", "A statement or entry does not belong to this kind of module."),
    ("role::wrong", "A value is used in a role it does not have, such as a policy as a block."),
    ("slot::key", "Two slots claim one key of the checkpoint."),
    ("slot::write", "Something is written that does not change here."),
    ("sparse::groups", "An n:m pattern needs an axis whose size is divisible by m."),
    ("sparse::step", "A weight is trained, and no policy has `step`. Set `optimizer`."),
    ("train::idle", "A phase trains nothing."),
    ("train::input", "The model has an input that the data do not deliver."),
    ("type::carry", "A carry or slot changes its type."),
    ("type::dtype", "Numbers, integers and truth values do not mix without conversion."),
];

/// What a code means.
pub fn explanation(code: &str) -> Option<&'static str> {
    EXPLANATIONS.iter().find(|(known, _)| *known == code).map(|(_, text)| *text)
}

/// All explained codes.
pub fn codes() -> Vec<&'static str> {
    EXPLANATIONS.iter().map(|(code, _)| *code).collect()
}
