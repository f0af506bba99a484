//! The corpus of programs and what tests compare of a tree.
#![allow(dead_code, reason = "each test that includes it uses a part")]

use nnc_base::SourceId;
use nnc_grammar::syntax::Syntax;
use nnc_grammar::{TokenKind, parse, tokens};
use std::fs;
use std::path::Path;

/// Name and text of every program in `tests/syntax`.
pub fn corpus() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/syntax");
    let paths = fs::read_dir(folder).expect("the corpus").map(|file| file.expect("a file").path());
    let mut files: Vec<_> = paths
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(path).expect("text"))
        })
        .collect();
    files.sort();
    assert!(files.len() > 10);
    files
}

pub fn read(text: &str) -> Syntax {
    parse(text, SourceId::default())
}

/// A tree as text, without its spans.
pub fn shape(items: &impl std::fmt::Debug) -> String {
    let text = format!("{items:?}");
    let mut parts = text.split("span: Span {");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| all + part.split_once('}').map_or("", |(_, rest)| rest))
}

/// The comments of a text in order.
pub fn comments(text: &str) -> Vec<&str> {
    words(text, |kind| kind == TokenKind::Comment)
}

/// The tokens of a text that carry its meaning: no newlines, no comments, no semicolons, and no
/// commas in front of closing brackets.
pub fn meaning(text: &str) -> Vec<&str> {
    let all = words(text, |kind| !matches!(kind, TokenKind::Comment | TokenKind::Newline));
    let all: Vec<&str> = all.into_iter().filter(|word| *word != ";").collect();
    let closing = |at: usize| matches!(all.get(at), Some(&(")" | "]" | "}")));
    all.iter()
        .enumerate()
        .filter(|(at, word)| **word != "," || !closing(at + 1))
        .map(|(_, word)| *word)
        .collect()
}

fn words(text: &str, kept: impl Fn(TokenKind) -> bool) -> Vec<&str> {
    let all = tokens(text, SourceId::default()).into_iter().filter(|token| kept(token.1));
    all.map(|token| text[token.0.range()].trim_end()).collect()
}
