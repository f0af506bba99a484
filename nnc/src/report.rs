//! What people and machines are told: findings with their source, a summary of what was built, explanations.

use miette::{GraphicalReportHandler, LabeledSpan, MietteDiagnostic, NamedSource, Report};
use nnc_base::{Diagnostic, Severity};
use nnc_compiler::program::Program;

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
