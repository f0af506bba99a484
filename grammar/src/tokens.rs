//! The lexer: text to tokens, for whatever has to see broken text: bracket
//! matching, recovery, the formatter, editors. It never fails; every byte that
//! is not blank lies in exactly one token. On valid programs it agrees with
//! the tokens of the grammar, except that selections and ratios are several.

use nnc_base::{SourceId, Span};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// A reserved word, or a word that opens an item at the start of a line.
    Keyword,
    /// An identifier.
    Name,
    /// A number, with its percent sign.
    Number,
    /// A string with its quotes, or to the end of the line where one is missing.
    Text,
    /// `// ..`.
    Comment,
    /// `/// ..`.
    Doc,
    /// `//! ..`.
    About,
    /// `(`, `[`, `{`.
    Open,
    /// `)`, `]`, `}`.
    Close,
    /// An operator or a separator.
    Punct,
    /// The end of a line.
    Newline,
    /// A character no program may hold here.
    Unknown,
}

/// Words that no name may be.
pub const RESERVED: [&str; 31] = [
    "use", "let", "fn", "weight", "state", "cache", "carry", "input", "output", "branch", "penalty", "loop",
    "for", "in", "if", "else", "with", "by", "then", "as", "keep", "on", "given", "requires", "was", "fit",
    "frozen", "backward", "and", "or", "not",
];

/// Words that open an item where they stand at the start of a line.
pub const STARTERS: [&str; 9] =
    ["use", "let", "fn", "block", "model", "topology", "policy", "sheet", "train"];

const PUNCT: [&str; 31] = [
    "|>", "=>", "->", "==", "!=", "<=", ">=", ":=", "::", "..", "**", "=", "<", ">", "+", "-", "*", "/", "%",
    "^", ".", ",", ":", ";", "@", "(", ")", "[", "]", "{", "}",
];

/// Cuts `text` into tokens; blanks are left out, newlines are not.
pub fn tokens(text: &str, source: SourceId) -> Vec<(Span, TokenKind)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if matches!(first, ' ' | '\t') {
            at += 1;
            continue;
        }
        let fresh = at == 0 || text[..at].ends_with(['\n', '\r']);
        let (kind, length) = token(&text[at..], first, fresh);
        found.push((Span::new(source, at, at + length), kind));
        at += length;
    }
    found
}

/// The token at the start of `rest`; `fresh` says that a line starts here.
fn token(rest: &str, first: char, fresh: bool) -> (TokenKind, usize) {
    match first {
        '\n' | '\r' => (TokenKind::Newline, if rest.starts_with("\r\n") { 2 } else { 1 }),
        '"' => (TokenKind::Text, quoted(rest)),
        '0'..='9' => (TokenKind::Number, number(rest.as_bytes())),
        'a'..='z' | 'A'..='Z' | '_' => word(rest, fresh),
        '/' if rest.starts_with("//") => (remark(rest), line(rest)),
        _ => punct(rest, first),
    }
}

fn remark(rest: &str) -> TokenKind {
    match rest.as_bytes().get(2) {
        Some(b'/') => TokenKind::Doc,
        Some(b'!') => TokenKind::About,
        _ => TokenKind::Comment,
    }
}

/// The length of the line `rest` starts with.
fn line(rest: &str) -> usize {
    rest.find(['\n', '\r']).unwrap_or(rest.len())
}

fn quoted(rest: &str) -> usize {
    let end = rest[1..].find(['"', '\n', '\r']).map_or(rest.len(), |end| end + 1);
    end + rest[end..].starts_with('"') as usize
}

fn word(rest: &str, fresh: bool) -> (TokenKind, usize) {
    let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    let word = &rest[..length];
    let reserved = is_reserved(word) || fresh && STARTERS.contains(&word);
    (if reserved { TokenKind::Keyword } else { TokenKind::Name }, length)
}

/// Whether no name may be called `word`.
pub fn is_reserved(word: &str) -> bool {
    RESERVED.contains(&word)
}

fn number(rest: &[u8]) -> usize {
    let mut at = digits(rest, 0);
    if rest.get(at) == Some(&b'.') && rest.get(at + 1).is_some_and(u8::is_ascii_digit) {
        at = digits(rest, at + 1);
    }
    if rest.get(at) == Some(&b'e') {
        let sign = matches!(rest.get(at + 1), Some(b'+' | b'-')) as usize;
        let end = digits(rest, at + 1 + sign);
        at = if end > at + 1 + sign { end } else { at };
    }
    let percent = rest.get(at) == Some(&b'%');
    let blocked = rest.get(at + 1).is_some_and(|c| c.is_ascii_alphanumeric() || *c == b'(');
    at + (percent && !blocked) as usize
}

fn digits(rest: &[u8], from: usize) -> usize {
    from + rest[from.min(rest.len())..].iter().take_while(|c| c.is_ascii_digit()).count()
}

fn punct(rest: &str, first: char) -> (TokenKind, usize) {
    match PUNCT.iter().find(|sign| rest.starts_with(**sign)) {
        Some(&("(" | "[" | "{")) => (TokenKind::Open, 1),
        Some(&(")" | "]" | "}")) => (TokenKind::Close, 1),
        None => (TokenKind::Unknown, first.len_utf8()),
        Some(sign) => (TokenKind::Punct, sign.len()),
    }
}
