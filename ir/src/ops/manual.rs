//! The reference manual of the operations, from the doc comments and examples of their files.

use super::*;

/// Markdown: a section per operation with its documentation, attributes and examples.
pub fn reference() -> String {
    let mut out = String::from("# Operations of the tensor IR\n");
    for ((name, declaration, source), (_, examples)) in documentation().into_iter().zip(catalog()) {
        out += &format!("\n## `{name}`\n\n{}\n", comment_before(source, declaration).join("\n"));
        let attributes = attributes(source, declaration);
        out += if attributes.is_empty() { "" } else { "\n" };
        attributes.iter().for_each(|(field, about)| out += &format!("- `{field}`: {about}\n"));
        if let Some(example) = examples.first() {
            out += &format!("\n```\n{}\n```\n", show(example));
        }
    }
    out
}

/// The doc comment above the line that begins with `declaration`.
fn comment_before<'a>(source: &'a str, declaration: &str) -> Vec<&'a str> {
    let mut comment = Vec::new();
    for line in source.lines() {
        let line = line.trim();
        if let Some(text) = line.strip_prefix("///") {
            comment.push(text.trim());
        } else if is_declared(line, declaration) {
            return comment;
        } else if !line.starts_with("#[") {
            comment.clear();
        }
    }
    comment
}

fn is_declared(line: &str, declaration: &str) -> bool {
    let rest = line.strip_prefix(declaration);
    rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
}

/// Public fields of the struct, and their doc comments.
fn attributes<'a>(source: &'a str, declaration: &str) -> Vec<(&'a str, String)> {
    let mut lines = source.lines().skip_while(|line| !is_declared(line, declaration));
    let (mut fields, mut about) = (Vec::new(), Vec::new());
    if !lines.next().is_some_and(|line| line.ends_with('{')) {
        return fields;
    }
    for line in lines.take_while(|line| *line != "}").map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            about.push(text.trim());
        } else if let Some(field) = line.strip_prefix("pub ") {
            fields.push((field.trim_end_matches(','), std::mem::take(&mut about).join(" ")));
        }
    }
    fields
}

/// `op {..} operand, operand = result`
fn show(example: &Example) -> String {
    let mut text = example.op.name().to_string();
    example.op.write_fields(&mut text);
    let operands = example.operands.iter().map(|(ty, values)| format!("{ty} {values:?}"));
    let results = example.results.iter().map(|values| format!("{values:?}"));
    let lines = operands.map(|line| format!("  {line}")).chain(results.map(|line| format!("= {line}")));
    [text].into_iter().chain(lines).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_documented() {
        let manual = reference();
        for (name, declaration, source) in documentation() {
            assert!(manual.contains(&format!("## `{name}`\n")), "{name}");
            assert!(!comment_before(source, declaration).is_empty(), "{name} has a doc comment");
        }
        assert!(manual.contains("- `axes: Vec<usize>`: The axes that disappear."));
    }
}
