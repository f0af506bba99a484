//! What people and machines are told: findings with their source, a summary of what was built, explanations.

use miette::{GraphicalReportHandler, LabeledSpan, MietteDiagnostic, NamedSource, Report};
use nnc_base::{Diagnostic, Label, Severity};
use nnc_compiler::program::{Program, Source};
use nnc_runtime::weights::keys::Finding;

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
        "message": shortened(&diagnostic.message),
        "file": file,
        "line": line,
        "column": column,
        "help": diagnostic.help,
    })
}

/// Bytes of a line that are shown whole.
const LONG_LINE: usize = 400;
/// Bytes shown on both sides of a place in a longer one.
const AROUND: usize = 60;

/// A sentence without the middle of very long names in it.
fn shortened(message: &str) -> String {
    let count = message.chars().count();
    if count <= 700 {
        return message.to_string();
    }
    let end: String = message.chars().skip(count - 150).collect();
    format!("{} … {end}", message.chars().take(450).collect::<String>())
}

/// The neighbourhood of a place on a very long line: a name, the text, the place in it.
fn excerpt(source: &Source, label: &Label) -> Option<(String, String, LabeledSpan)> {
    let range = label.span.range();
    let (before, inside) = (source.text.get(..range.start)?, source.text.get(range.clone())?);
    let line = before.rfind('\n').map_or(0, |at| at + 1);
    let first = inside.lines().next().unwrap_or("").len();
    let rest =
        source.text[range.start + first..].find('\n').unwrap_or(source.text.len() - range.start - first);
    if range.start - line + first + rest <= LONG_LINE {
        return None;
    }
    let (row, column) = (before.matches('\n').count() + 1, before[line..].chars().count() + 1);
    let floor = |mut at: usize| {
        while !source.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = floor(range.start.saturating_sub(AROUND).max(line));
    let shown = floor(range.start + first.min(AROUND));
    let end = floor((range.start + first.min(AROUND) + AROUND).min(range.start + first + rest));
    let text = (!label.text.is_empty()).then(|| label.text.clone());
    let place = LabeledSpan::new_with_span(text, range.start - start..shown - start);
    Some((
        format!("line {row} of {}, from column {column}", source.name),
        source.text[start..end].to_string(),
        place,
    ))
}

/// One finding with its main source; places in other sources are named below.
fn picture(program: &Program, diagnostic: &Diagnostic) -> String {
    let main = diagnostic.labels.first().map(|label| label.span.source).unwrap_or_default();
    let here = diagnostic.labels.iter().filter(|label| label.span.source == main).map(|label| {
        let text = (!label.text.is_empty()).then(|| label.text.clone());
        LabeledSpan::new_with_span(text, label.span.range())
    });
    let mut built =
        MietteDiagnostic::new(shortened(&diagnostic.message)).with_code(diagnostic.code).with_labels(here);
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
    let source = program.sources.get(main.0 as usize);
    let excerpt = source.zip(diagnostic.labels.first()).and_then(|(source, label)| excerpt(source, label));
    let report = match (source, excerpt) {
        (Some(_), Some((name, text, label))) => {
            built.labels = Some(vec![label]);
            Report::new(built).with_source_code(NamedSource::new(name, text))
        }
        (Some(source), None) => {
            Report::new(built).with_source_code(NamedSource::new(&source.name, source.text.clone()))
        }
        (None, _) => Report::new(built),
    };
    let mut out = String::new();
    match GraphicalReportHandler::new().render_report(&mut out, report.as_ref()) {
        Ok(()) => out,
        Err(_) => diagnostic.to_string(),
    }
}

/// What a file of weights lacks or has too much: a line for people on standard error, JSON on standard output.
pub fn finding(finding: &Finding, json: bool) {
    if json {
        let Finding { code, message, help } = finding;
        println!("{}", serde_json::json!({"code": code, "message": message, "help": help}));
        return;
    }
    let kind = if finding.code == "weights::extra" { "note" } else { "error" };
    eprintln!("{kind}[{}]: {}", finding.code, finding.message);
    finding.help.iter().for_each(|help| eprintln!("  help: {help}"));
}
