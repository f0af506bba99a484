//! What the codes of errors mean: the pages of `explanations.md`.

/// A section per code: `## code`, then its text.
const PAGES: &str = include_str!("explanations.md");

/// Codes with their texts, in alphabetical order.
fn pages() -> impl Iterator<Item = (&'static str, &'static str)> {
    PAGES
        .split("\n## ")
        .skip(1)
        .filter_map(|page| page.split_once('\n'))
        .map(|(code, text)| (code.trim(), text.trim()))
}

/// What a code means.
pub fn explanation(code: &str) -> Option<&'static str> {
    pages().find(|(known, _)| *known == code).map(|(_, text)| text)
}

/// All explained codes.
pub fn codes() -> Vec<&'static str> {
    pages().map(|(code, _)| code).collect()
}
