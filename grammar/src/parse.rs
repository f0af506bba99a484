//! Text to tree. A file is cut into items at column 0, each is parsed alone, and
//! in a broken item each statement is parsed alone: so one broken piece hides
//! nothing else. On a text without errors the tree is that of the whole file.

use crate::brackets::{self, Match};
use crate::limits::{MAX_BYTES, MAX_ERRORS};
use crate::syntax::{Item, ItemKind, Stmt, StmtKind, Syntax};
use crate::tokens::{TokenKind, is_reserved, tokens};
use crate::tree::{Grammar, Hole, Node, Reader, Rule, doc};
use crate::{expected, slips};
use nnc_base::{Diagnostic, SourceId};
use pest::Parser;
use std::ops::Range;

/// Reads `text`. Whatever it holds, the tree is complete and its errors say what is wrong.
pub fn parse(text: &str, source: SourceId) -> Syntax {
    let mut syntax = Syntax::default();
    if text.len() > MAX_BYTES {
        syntax.errors.push(too_large(text, source));
        return syntax;
    }
    let mut reader = Reader::new(text, source);
    syntax.comments = reader.of_kind(TokenKind::Comment);
    let rest = reader.about(&mut syntax);
    for chunk in reader.chunks(rest, Reader::cuts) {
        reader.chunk(chunk, &mut syntax.items);
    }
    slips::check(&mut reader, &syntax.items);
    reader.errors.sort_by_key(|error| error.labels.first().map(|label| label.span));
    syntax.errors = reader.errors;
    syntax
}

fn too_large(text: &str, source: SourceId) -> Diagnostic {
    let span = nnc_base::Span::new(source, 0, 0);
    let message = format!("this file has {} bytes; a file may have {MAX_BYTES}", text.len());
    Diagnostic::error("syntax::limit", span, message).help("move a part of it into a file of its own")
}

impl<'t> Reader<'t> {
    fn new(text: &'t str, source: SourceId) -> Reader<'t> {
        let tokens = tokens(text, source);
        let matches = brackets::matches(text, &tokens);
        Reader { text, source, tokens, matches, errors: Vec::new(), base: 0, holes: Vec::new() }
    }

    fn of_kind(&self, kind: TokenKind) -> Vec<nnc_base::Span> {
        self.tokens.iter().filter(|token| token.1 == kind).map(|token| token.0).collect()
    }

    /// Takes the `//!` lines at the top; gives the tokens behind them.
    fn about(&self, syntax: &mut Syntax) -> Range<usize> {
        let mut at = 0;
        while let Some((span, kind)) = self.tokens.get(at) {
            match kind {
                TokenKind::About => syntax.about.push(doc(&self.text[span.range()], *span)),
                TokenKind::Newline | TokenKind::Comment => {}
                _ => break,
            }
            at += 1;
        }
        at..self.tokens.len()
    }

    /// The word at a token.
    pub(crate) fn word(&self, at: usize) -> &'t str {
        self.tokens.get(at).map_or("", |token| &self.text[token.0.range()])
    }

    /// Whether a token is neither a newline nor a comment.
    pub(crate) fn is_real(&self, at: usize) -> bool {
        !matches!(self.tokens[at].1, TokenKind::Newline | TokenKind::Comment)
    }

    /// The token behind `at` on the same level of brackets.
    fn step(&self, at: usize) -> usize {
        match self.matches[at] {
            Match::Closed(close) | Match::Mixed(close) => close + 1,
            Match::Broken(end) => end.max(at + 1),
            _ => at + 1,
        }
    }

    /// Cuts `range` in front of every token at bracket level 0 that `cuts` accepts.
    fn chunks(&self, range: Range<usize>, cuts: fn(&Self, usize, usize) -> bool) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let (mut start, mut at, mut before) = (range.start, range.start, None);
        while at < range.end {
            if before.is_some_and(|before| cuts(self, before, at)) {
                found.push(start..at);
                start = at;
            }
            before = if self.is_real(at) { Some(at) } else { before };
            let next = self.step(at);
            // What a bracket holds may end in the word the next line is judged by.
            before = if next > at + 1 {
                Some(next - 1).filter(|&last| self.is_real(last)).or(before)
            } else {
                before
            };
            at = next;
        }
        found.push(start..range.end);
        found.into_iter().map(|chunk| self.trimmed(chunk)).filter(|chunk| !chunk.is_empty()).collect()
    }

    /// Without the newlines and comments at both ends.
    fn trimmed(&self, range: Range<usize>) -> Range<usize> {
        let start = range.clone().find(|&at| self.is_real(at)).unwrap_or(range.end);
        let end = (start..range.end).rev().find(|&at| self.is_real(at)).map_or(start, |last| last + 1);
        start..end
    }

    /// Whether an item begins at column 0 with the word `at`; docs belong to what follows them.
    fn cuts(&self, before: usize, at: usize) -> bool {
        let sure = is_reserved(self.word(at)) || self.tokens[at].1 == TokenKind::Doc || self.is_name(at + 1);
        self.fresh(before, at)
            && brackets::starts_item(self.word(at))
            && (sure || !brackets::continues(self.word(before), self.word(at)))
    }

    /// Whether a misspelt item may begin at column 0 with the word `at`: no two names stand
    /// side by side inside an item.
    fn may_cut(&self, before: usize, at: usize) -> bool {
        self.fresh(before, at) && self.is_name(at) && self.is_name(at + 1)
    }

    fn is_name(&self, at: usize) -> bool {
        self.tokens.get(at).is_some_and(|token| token.1 == TokenKind::Name)
    }

    fn fresh(&self, before: usize, at: usize) -> bool {
        brackets::first_of_line(&self.tokens, at)
            && brackets::column(self.text, self.tokens[at].0) == 0
            && self.tokens[before].1 != TokenKind::Doc
    }

    /// Reads one chunk of a file: usually one item.
    fn chunk(&mut self, range: Range<usize>, items: &mut Vec<Item>) {
        if let Some(error) = brackets::too_deep(self.text, &self.tokens[range.clone()]) {
            self.report(error);
            items.push(self.broken_item(range));
            return;
        }
        let complaints = brackets::complaints(self.text, &self.tokens, &self.matches, range.clone());
        complaints.into_iter().for_each(|error| self.report(error));
        match self.piece(range.clone(), Rule::items, Reader::items) {
            Ok(read) => items.extend(read),
            Err(_) => self.separately(range, items),
        }
    }

    /// Reads what may be several items, misspelt ones among them, each alone.
    fn separately(&mut self, range: Range<usize>, items: &mut Vec<Item>) {
        for piece in self.chunks(range, Reader::may_cut) {
            match self.piece(piece.clone(), Rule::items, Reader::items) {
                Ok(read) => items.extend(read),
                Err(error) => {
                    error.into_iter().for_each(|error| self.report(error));
                    let item = self.broken_item(piece.clone());
                    let head = self.text[item.span.range()].split_whitespace().next();
                    self.look_inside(piece, !matches!(head, Some("use" | "let")));
                    items.push(item);
                }
            }
        }
    }

    fn items(&mut self, node: Node) -> Vec<Item> {
        let items = node.into_inner().filter(|part| part.as_rule() == Rule::item);
        items.map(|item| self.item(item)).collect()
    }

    fn broken_item(&self, range: Range<usize>) -> Item {
        let docs = range.clone().take_while(|&at| !self.is_real(at) || self.tokens[at].1 == TokenKind::Doc);
        let docs: Vec<usize> = docs.filter(|&at| self.is_real(at)).collect();
        let start = docs.last().map_or(range.start, |last| last + 1);
        let start = (start..range.end).find(|&at| self.is_real(at)).unwrap_or(range.start);
        let docs = docs.into_iter().map(|at| doc(self.word(at), self.tokens[at].0)).collect();
        let span = self.tokens[start].0.to(self.tokens[range.end - 1].0);
        Item { docs, kind: ItemKind::Error(self.item_names(start..range.end)), span }
    }

    /// The statements between two braces, each read alone.
    pub(crate) fn statements(&mut self, range: Range<usize>) -> Vec<Stmt> {
        let mut found = Vec::new();
        let mut at = range.start;
        while let Some(start) = (at..range.end).find(|&at| self.is_real(at) && self.word(at) != ";") {
            let end = self.statement_end(start, range.end);
            let before = self.errors.len();
            found.push(self.statement(self.trimmed(start..end)));
            let pattern = self.errors[before..].iter().any(|error| error.code == "syntax::pattern");
            at = if pattern { self.line_end(end, range.end) } else { end };
        }
        found
    }

    /// A `2;4` goes on behind its semicolon: the rest of the line says nothing new.
    fn line_end(&self, from: usize, end: usize) -> usize {
        (from..end).find(|&at| self.tokens[at].1 == TokenKind::Newline).unwrap_or(end)
    }

    /// Where the statement at `start` ends: at a `;` or newline outside of brackets.
    fn statement_end(&self, start: usize, end: usize) -> usize {
        let (mut at, mut before) = (start, start);
        while at < end {
            if self.word(at) == ";" {
                return at;
            }
            if self.tokens[at].1 == TokenKind::Newline {
                let next = (at..end).find(|&next| self.is_real(next));
                match next.filter(|&next| brackets::continues(self.word(before), self.word(next))) {
                    Some(next) => at = next,
                    None => return at,
                }
            }
            let next = self.step(at).min(end);
            if matches!(self.matches[at], Match::Broken(_))
                && brackets::first_of_line(&self.tokens, next.min(self.tokens.len() - 1))
            {
                return next;
            }
            before = if self.is_real(next - 1) { next - 1 } else { before };
            at = next;
        }
        end
    }

    fn statement(&mut self, range: Range<usize>) -> Stmt {
        match self.piece(range.clone(), Rule::one, Reader::one) {
            Ok(stmt) => stmt,
            Err(error) => {
                error.into_iter().for_each(|error| self.report(error));
                let head = self.word(range.start);
                self.look_inside(range.clone(), matches!(head, "loop" | "for" | "fit"));
                let span = self.tokens[range.start].0.to(self.tokens[range.end - 1].0);
                Stmt { kind: StmtKind::Error(self.stmt_names(range)), span }
            }
        }
    }

    fn one(&mut self, node: Node) -> Stmt {
        let stmt = node.into_inner().next().expect("nn.pest promises a statement");
        self.stmt(stmt)
    }

    /// Finds what else is wrong in the body at the end of something broken.
    fn look_inside(&mut self, range: Range<usize>, known: bool) {
        let last = |hole: &Hole| hole.inside.end + 1 >= range.end;
        if let Some(hole) = self.bodies(range.clone()).pop().filter(|hole| known && last(hole)) {
            self.statements(hole.inside);
        }
    }

    /// Parses a piece of the text and builds what it says; where that fails, with the insides of
    /// its braces left out, which are then read statement by statement. The error is `None`
    /// where it follows from a bracket that was reported.
    fn piece<T>(
        &mut self,
        range: Range<usize>,
        goal: Rule,
        build: fn(&mut Self, Node) -> T,
    ) -> Result<T, Option<Diagnostic>> {
        let wrong = |at: usize| matches!(self.matches[at], Match::Broken(_) | Match::Mixed(_) | Match::Stray);
        let broken = range.clone().any(wrong);
        let base = self.tokens[range.start].0.start as usize;
        let mut errors = Vec::new();
        for holes in self.attempts(&range, goal, broken) {
            let text = self.patched(base, &range, &holes);
            let before = self.errors.len();
            match Grammar::parse(goal, &text) {
                Ok(pairs) => {
                    let built = self.build(pairs, base, holes, build);
                    // What only the parts hide from the whole must not pass in silence.
                    let silent = self.errors.len() == before && !broken;
                    errors.into_iter().take(silent as usize).for_each(|error| self.report(error));
                    return Ok(built);
                }
                // Nobody reads so many findings: the rest of the file is not looked into.
                Err(_) if self.errors.len() >= MAX_ERRORS => return Err(None),
                Err(error) => errors.push(expected::explain(self, error, base, range.clone(), goal)),
            }
        }
        Err(errors.pop().filter(|_| !broken))
    }

    /// What to leave out, in the order to try: nothing, all but records, all. A statement read
    /// here stands in something broken: its bodies are left out at once, or nesting would cost
    /// a parse of everything inside at every level.
    fn attempts(&self, range: &Range<usize>, goal: Rule, broken: bool) -> Vec<Vec<Hole>> {
        let all = self.bodies(range.clone());
        let likely: Vec<Hole> = all.iter().filter(|hole| !self.may_be_record(hole)).cloned().collect();
        let mut found = Vec::new();
        found.extend((goal == Rule::items && !broken).then(Vec::new));
        let new = likely.len() < all.len() && (!likely.is_empty() || found.is_empty());
        found.extend(new.then_some(likely));
        found.extend((!all.is_empty() || found.is_empty()).then_some(all));
        found
    }

    /// Whether braces may hold a record: its members must be parsed with what is around it.
    fn may_be_record(&self, hole: &Hole) -> bool {
        let first = hole.inside.clone().find(|&at| self.is_real(at));
        first.is_none_or(|first| self.word(first + 1) == ":")
    }

    fn build<T>(
        &mut self,
        mut pairs: pest::iterators::Pairs<Rule>,
        base: usize,
        holes: Vec<Hole>,
        build: fn(&mut Self, Node) -> T,
    ) -> T {
        let outer = (std::mem::replace(&mut self.base, base), std::mem::replace(&mut self.holes, holes));
        let built = build(self, pairs.next().expect("pest gives the rule it was asked for"));
        (self.base, self.holes) = outer;
        built
    }

    /// The innermost bracket in `range` that is open in front of `at`.
    pub(crate) fn around(&self, at: usize, range: &Range<usize>) -> Option<usize> {
        let holds = |&open: &usize| matches!(self.matches[open], Match::Closed(end) | Match::Mixed(end) | Match::Broken(end) if end >= at);
        (range.start..at.min(range.end)).rev().find(holds)
    }

    /// The outermost braces in `range`.
    fn bodies(&self, range: Range<usize>) -> Vec<Hole> {
        let mut found = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let end = match self.matches[at] {
                Match::Closed(close) | Match::Mixed(close) => close,
                Match::Broken(end) => end,
                _ => at + 1,
            };
            if self.word(at) == "{" {
                found.push(Hole {
                    open: self.tokens[at].0.start as usize,
                    inside: at + 1..end.clamp(at + 1, range.end),
                });
                at = end.max(at + 1);
            } else {
                at += 1;
            }
        }
        found
    }

    /// The text of a piece with blanks for the insides of braces and for brackets that close
    /// nothing, and with the right closing bracket where it is missing or wrong.
    fn patched(&self, base: usize, range: &Range<usize>, holes: &[Hole]) -> String {
        let end = self.tokens[range.end - 1].0.end as usize;
        let mut bytes = self.text.as_bytes()[base..end].to_vec();
        for hole in holes {
            let start = hole.open + 1 - base;
            let last = hole.inside.clone().next_back();
            let end = last.map_or(start, |last| self.tokens[last].0.end as usize - base);
            bytes[start..end].fill(b' ');
            if matches!(self.matches[hole.inside.start - 1], Match::Broken(_)) {
                if start == bytes.len() {
                    bytes.push(b'}');
                } else if start < end {
                    bytes[start] = b'}';
                }
            }
        }
        for at in range.clone() {
            match self.matches[at] {
                Match::Stray => bytes[self.tokens[at].0.start as usize - base] = b' ',
                Match::Mixed(close) => {
                    let right = brackets::closing(self.word(at)).as_bytes()[0];
                    let close = &mut bytes[self.tokens[close].0.start as usize - base];
                    *close = if *close == b' ' { b' ' } else { right };
                }
                _ => {}
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
