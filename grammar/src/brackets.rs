//! Matching of brackets over the tokens of a whole file, before anything is
//! parsed. In a text whose brackets balance every open bracket is `Closed`; in
//! any other text each broken bracket is named once, and gets an implied end, so
//! that what follows it keeps its own structure.

use crate::limits::{MAX_LINKS, MAX_NESTING};
use crate::tokens::{STARTERS, TokenKind};
use nnc_base::{Diagnostic, Span};

/// Where the partner of a bracket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// Not a bracket, or the closing one of a pair.
    Nothing,
    /// Closed by this token.
    Closed(usize),
    /// Never closed; what it holds ends in front of this token.
    Broken(usize),
    /// Closed by this token, which is a bracket of another kind.
    Mixed(usize),
    /// A closing bracket that closes nothing.
    Stray,
}

/// Words that only a statement starts with; none stands in round or square brackets.
const STATEMENTS: [&str; 11] =
    ["let", "weight", "state", "cache", "carry", "input", "output", "branch", "penalty", "loop", "fit"];

type Token = (Span, TokenKind);

/// The matches of all tokens. Items cut brackets only where the plain reading leaves one open.
pub(crate) fn matches(text: &str, tokens: &[Token]) -> Vec<Match> {
    let plain = Matcher::new(text, tokens, None).run();
    let sound = |m: &Match| matches!(m, Match::Nothing | Match::Closed(_));
    if plain.iter().all(sound) { plain } else { Matcher::new(text, tokens, Some(&plain)).run() }
}

struct Matcher<'t> {
    text: &'t str,
    tokens: &'t [Token],
    found: Vec<Match>,
    open: Vec<usize>,
    /// The plain reading, where it left something open: then layout is evidence too. Column 0
    /// ends what was left open, indentation pairs braces.
    plain: Option<&'t [Match]>,
    /// The indentation of the line each token is in.
    indents: Vec<usize>,
}

impl<'t> Matcher<'t> {
    fn new(text: &'t str, tokens: &'t [Token], plain: Option<&'t [Match]>) -> Matcher<'t> {
        let found = vec![Match::Nothing; tokens.len()];
        let indents = if plain.is_some() { indents(text, tokens) } else { Vec::new() };
        Matcher { text, tokens, found, open: Vec::new(), plain, indents }
    }

    fn run(mut self) -> Vec<Match> {
        for at in 0..self.tokens.len() {
            if first_of_line(self.tokens, at) {
                self.line(at);
            }
            match self.tokens[at].1 {
                TokenKind::Open => self.open(at),
                TokenKind::Close => self.close(at),
                _ => {}
            }
        }
        self.break_all(0, self.tokens.len());
        self.found
    }

    /// Deeper than the limits nothing is parsed: giving up keeps every search here short.
    fn open(&mut self, at: usize) {
        if self.open.len() > 2 * MAX_NESTING {
            self.break_all(0, at);
        }
        self.open.push(at);
    }

    fn word(&self, at: usize) -> &'t str {
        &self.text[self.tokens[at].0.range()]
    }

    /// What the first word of a line says of the brackets open before it.
    fn line(&mut self, at: usize) {
        let word = self.word(at);
        let item = column(self.text, self.tokens[at].0) == 0 && starts_item(word);
        if let Some(plain) = self.plain.filter(|_| item) {
            let left = |&open: &usize| !matches!(plain[open], Match::Closed(_));
            self.break_all(self.open.iter().position(left).unwrap_or(self.open.len()), at);
        } else if STATEMENTS.contains(&word) {
            self.break_all(self.behind_brace(), at);
        }
    }

    fn close(&mut self, at: usize) {
        match self.partner(at) {
            Some(place) => {
                self.break_all(place + 1, at);
                let open = self.open.remove(place);
                self.found[open] = Match::Closed(at);
            }
            None => self.mixed(at),
        }
    }

    /// A bracket of a wrong kind closes what was opened in the same line.
    fn mixed(&mut self, at: usize) {
        let between = |&open: &usize| self.tokens[open..at].iter().all(|token| token.1 != TokenKind::Newline);
        match self.open.pop_if(|open| between(open)) {
            Some(open) => self.found[open] = Match::Mixed(at),
            None => self.found[at] = Match::Stray,
        }
    }

    /// The place in the stack of what the bracket `at` closes.
    fn partner(&self, at: usize) -> Option<usize> {
        match self.word(at) {
            "}" => self.brace(at),
            ")" => self.inner("("),
            _ => self.inner("["),
        }
    }

    /// The place behind the innermost open brace.
    fn behind_brace(&self) -> usize {
        self.open.iter().rposition(|&open| self.word(open) == "{").map_or(0, |brace| brace + 1)
    }

    /// The innermost `sign` that no open brace hides.
    fn inner(&self, sign: &str) -> Option<usize> {
        let barrier = self.behind_brace();
        self.open[barrier..].iter().rposition(|&open| self.word(open) == sign).map(|place| place + barrier)
    }

    /// The innermost brace; with layout, the innermost whose line is indented like this one.
    fn brace(&self, at: usize) -> Option<usize> {
        let braces = || self.open.iter().enumerate().rev().filter(|(_, open)| self.word(**open) == "{");
        let innermost = braces().next()?.0;
        if self.plain.is_none() || !first_of_line(self.tokens, at) {
            return Some(innermost);
        }
        let alike = braces().find(|(_, open)| self.indents[**open] <= self.indents[at])?;
        (self.indents[*alike.1] == self.indents[at]).then_some(alike.0).or(Some(innermost))
    }

    /// Gives up the brackets from place `keep` of the stack on; they end at `at` or before.
    fn break_all(&mut self, keep: usize, at: usize) {
        for open in self.open.split_off(keep) {
            self.found[open] = Match::Broken(self.end(open, at));
        }
    }

    /// Where indentation returns behind a bracket, but no later than `at`.
    fn end(&self, open: usize, at: usize) -> usize {
        if self.plain.is_none() {
            return at;
        }
        let returns =
            |&next: &usize| first_of_line(self.tokens, next) && self.indents[next] <= self.indents[open];
        (open + 1..at).find(returns).unwrap_or(at)
    }
}

fn indents(text: &str, tokens: &[Token]) -> Vec<usize> {
    let mut indent = 0;
    let mut each = |at: usize| {
        if first_of_line(tokens, at) {
            indent = column(text, tokens[at].0);
        }
        indent
    };
    (0..tokens.len()).map(&mut each).collect()
}

/// Whether a line starts with this token, and is not empty.
pub(crate) fn first_of_line(tokens: &[Token], at: usize) -> bool {
    tokens[at].1 != TokenKind::Newline && (at == 0 || tokens[at - 1].1 == TokenKind::Newline)
}

/// How many bytes stand in front of `span` in its line.
pub(crate) fn column(text: &str, span: Span) -> usize {
    let start = span.start as usize;
    start - text[..start].rfind(['\n', '\r']).map_or(0, |newline| newline + 1)
}

/// Whether a token at column 0 begins an item.
pub(crate) fn starts_item(word: &str) -> bool {
    STARTERS.contains(&word) || word.starts_with("///")
}

/// One finding for each broken bracket among the tokens `range`.
pub(crate) fn complaints(
    text: &str,
    tokens: &[Token],
    matches: &[Match],
    range: std::ops::Range<usize>,
) -> Vec<Diagnostic> {
    let each = range.filter_map(|at| match matches[at] {
        Match::Broken(end) => Some(unclosed(text, tokens, at, end)),
        Match::Mixed(end) => Some(mixed(text, tokens[at].0, tokens[end].0)),
        Match::Stray => Some(stray(text, tokens[at].0)),
        _ => None,
    });
    each.take(crate::limits::MAX_ERRORS).collect()
}

fn unclosed(text: &str, tokens: &[Token], open: usize, end: usize) -> Diagnostic {
    let span = tokens[open].0;
    let sign = &text[span.range()];
    let partner = closing(sign);
    let found = Diagnostic::error("syntax::unclosed", span, format!("this `{sign}` is never closed"));
    match tokens.get(end) {
        Some((place, _)) => found.label(*place, format!("`{partner}` belongs before this")),
        None => found,
    }
    .help(format!("add `{partner}`"))
}

fn mixed(text: &str, open: Span, close: Span) -> Diagnostic {
    let (sign, wrong) = (&text[open.range()], &text[close.range()]);
    Diagnostic::error("syntax::unclosed", close, format!("this `{wrong}` does not close `{sign}`"))
        .label(open, "opened here")
        .help(format!("write `{}`", closing(sign)))
}

/// The bracket that closes `sign`.
pub(crate) fn closing(sign: &str) -> &'static str {
    match sign {
        "(" => ")",
        "[" => "]",
        _ => "}",
    }
}

fn stray(text: &str, span: Span) -> Diagnostic {
    let sign = &text[span.range()];
    Diagnostic::error("syntax::unclosed", span, format!("this `{sign}` closes nothing"))
        .help(format!("remove it, or open it before with `{}`", opening(sign)))
}

fn opening(sign: &str) -> &'static str {
    match sign {
        ")" => "(",
        "]" => "[",
        _ => "{",
    }
}

/// The first token that nests deeper than the limits, if any.
pub(crate) fn too_deep(text: &str, tokens: &[Token]) -> Option<Diagnostic> {
    let mut depth = Depth { frames: vec![Frame { links: 0, lines: true }], total: 0 };
    let (mut before, mut newline) = ("", false);
    for (span, kind) in tokens {
        if matches!(kind, TokenKind::Newline | TokenKind::Comment) {
            newline |= *kind == TokenKind::Newline;
            continue;
        }
        let word = &text[span.range()];
        depth.step(word, *kind, newline && !continues(before, word));
        if depth.frames.len() > MAX_NESTING + 1 {
            return Some(limit(*span, format!("brackets nest deeper than {MAX_NESTING}")));
        }
        if depth.total > MAX_LINKS {
            return Some(limit(*span, format!("this expression is deeper than {MAX_LINKS} operations")));
        }
        (before, newline) = (word, false);
    }
    None
}

/// The links above the place a scan has reached: those of each open bracket, and their sum.
struct Depth {
    frames: Vec<Frame>,
    total: usize,
}

struct Frame {
    links: usize,
    /// Whether newlines end statements here.
    lines: bool,
}

impl Depth {
    fn step(&mut self, word: &str, kind: TokenKind, ended: bool) {
        let lines = self.frames.last().is_some_and(|frame| frame.lines);
        if kind == TokenKind::Close && self.frames.len() > 1 {
            self.total -= self.frames.pop().map_or(0, |frame| frame.links);
            return;
        }
        if matches!(word, "," | ";") || ended && lines {
            self.total -= self.frames.last_mut().map_or(0, |frame| std::mem::take(&mut frame.links));
        }
        if links(word, kind) {
            self.total += 1;
            self.frames.iter_mut().last().into_iter().for_each(|frame| frame.links += 1);
        }
        if kind == TokenKind::Open {
            self.frames.push(Frame { links: 0, lines: word == "{" });
        }
    }
}

fn limit(span: Span, message: String) -> Diagnostic {
    Diagnostic::error("syntax::limit", span, message).help("name a part of it with `let`")
}

/// Tokens that put one node of the tree above another.
fn links(word: &str, kind: TokenKind) -> bool {
    match kind {
        TokenKind::Open => true,
        TokenKind::Punct => !matches!(word, "=" | ":=" | ":" | "::" | "@" | "," | ";"),
        TokenKind::Keyword => matches!(word, "not" | "and" | "or" | "if" | "else" | "with"),
        _ => false,
    }
}

/// Whether a newline between these two words does not end a statement.
pub(crate) fn continues(before: &str, after: &str) -> bool {
    let open = matches!(
        before,
        "=" | ":="
            | "=>"
            | ","
            | "|>"
            | "or"
            | "and"
            | "=="
            | "!="
            | "<="
            | ">="
            | "<"
            | ">"
            | "+"
            | "-"
            | "*"
            | "/"
            | "%"
            | "^"
            | ".."
    );
    open && !STATEMENTS.contains(&after) || matches!(after, "|>" | "or" | "and" | "else")
}
