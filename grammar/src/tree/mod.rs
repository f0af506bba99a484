//! From the pairs of the grammar to the syntax tree. A pair that the grammar
//! promises is taken with [`Kids::must`]; everything else is looked at first.
//! Bodies that were blanked out before parsing ([`Hole`]) are read by recovery,
//! statement by statement, at the place where they turn up.

mod expr;
mod item;
mod number;
mod pratt;
mod select;
mod stmt;
mod types;

use crate::brackets::Match;
use crate::limits::MAX_ERRORS;
use crate::syntax::{Doc, Name, Text};
use crate::tokens::TokenKind;
use nnc_base::{Diagnostic, SourceId, Span};
use pest::iterators::{Pair, Pairs};
use std::iter::Peekable;
use std::ops::Range;

/// The parser pest derives from the grammar.
#[derive(pest_derive::Parser)]
#[grammar = "../nn.pest"]
pub(crate) struct Grammar;

/// A pair of the grammar.
pub(crate) type Node<'i> = Pair<'i, Rule>;

/// What a file is read with: its tokens, the findings so far, and the place of the text that was
/// handed to pest last.
pub(crate) struct Reader<'t> {
    pub(crate) text: &'t str,
    pub(crate) source: SourceId,
    pub(crate) tokens: Vec<(Span, TokenKind)>,
    pub(crate) matches: Vec<Match>,
    pub(crate) errors: Vec<Diagnostic>,
    /// Where the text of the current pairs starts in the file.
    pub(crate) base: usize,
    /// The bodies blanked out of that text.
    pub(crate) holes: Vec<Hole>,
}

/// The inside of a pair of braces that pest saw as blanks.
#[derive(Clone, Debug)]
pub(crate) struct Hole {
    /// Where the brace stands in the file.
    pub(crate) open: usize,
    /// The tokens between the braces.
    pub(crate) inside: Range<usize>,
}

impl Reader<'_> {
    /// Where a pair stands, without the blanks and the comment pest skips behind it.
    pub(crate) fn span(&self, node: &Node) -> Span {
        let (start, end) = (self.base + node.as_span().start(), self.base + node.as_span().end());
        let behind = self.tokens.partition_point(|(span, _)| (span.start as usize) < end);
        let real = |token: &&(Span, TokenKind)| !matches!(token.1, TokenKind::Newline | TokenKind::Comment);
        let last = self.tokens[..behind].iter().rev().find(real).map_or(end, |(span, _)| span.end as usize);
        self.clamped(start, last.max(start).min(end))
    }

    /// A span within the file: recovery may have added a brace behind its end.
    pub(crate) fn clamped(&self, start: usize, end: usize) -> Span {
        Span::new(self.source, start.min(self.text.len()), end.min(self.text.len()))
    }

    pub(crate) fn report(&mut self, error: Diagnostic) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(error);
        }
    }

    fn name(&self, node: &Node) -> Name {
        Name { text: node.as_str().to_owned(), span: self.span(node) }
    }

    fn names(&self, node: Node) -> Vec<Name> {
        node.into_inner().map(|name| self.name(&name)).collect()
    }

    fn quoted(&self, node: &Node) -> Text {
        Text { text: node.as_str().trim_matches('"').to_owned(), span: self.span(node) }
    }

    fn doc(&self, node: &Node) -> Doc {
        doc(node.as_str(), self.span(node))
    }
}

/// A line of documentation without its three signs and the blank behind them.
pub(crate) fn doc(line: &str, span: Span) -> Doc {
    let text = line.get(3..).unwrap_or_default();
    Doc { text: text.strip_prefix(' ').unwrap_or(text).trim_end().to_owned(), span }
}

/// The pairs inside a pair, taken from the left.
struct Kids<'i>(Peekable<Pairs<'i, Rule>>);

impl<'i> Kids<'i> {
    fn of(node: Node<'i>) -> Kids<'i> {
        Kids(node.into_inner().peekable())
    }

    /// The next pair, if it is what is wanted.
    fn take(&mut self, want: Rule) -> Option<Node<'i>> {
        self.0.next_if(|node| node.as_rule() == want)
    }

    /// The pair behind the next one, if the next one is the word `word`.
    fn after(&mut self, word: Rule) -> Option<Node<'i>> {
        self.take(word).and_then(|_| self.0.next())
    }

    /// A pair that the grammar promises.
    fn must(&mut self) -> Node<'i> {
        self.0.next().expect("nn.pest promises a part here")
    }

    fn peek(&mut self) -> Option<Rule> {
        self.0.peek().map(|node| node.as_rule())
    }
}
