//! The pen walks the tokens of the file while the tree says where they may break.
//! Every token is written once, as it stands, and every comment between the same
//! two tokens as before: so nothing is lost and nothing changes its meaning.

use super::doc::{Doc, comma, concat, empty, gap, group, hard, line, nest, own, soft, text, trail};
use crate::brackets::Match;
use crate::syntax::Expr;
use crate::tokens::TokenKind;
use nnc_base::Span;

/// The tokens, and how far they are written.
pub(super) struct Pen<'t> {
    pub(super) text: &'t str,
    pub(super) tokens: Vec<(Span, TokenKind)>,
    pub(super) matches: Vec<Match>,
    pub(super) at: usize,
}

/// What stands between two lines.
pub(super) struct Between {
    pub(super) doc: Doc,
    /// Whether the lines are neighbours: no empty line and no comment between them.
    pub(super) close: bool,
}

impl<'t> Pen<'t> {
    fn is(&self, at: usize, kind: TokenKind) -> bool {
        self.tokens.get(at).is_some_and(|token| token.1 == kind)
    }

    fn word_at(&self, at: usize) -> &'t str {
        self.tokens.get(at).map_or("", |token| &self.text[token.0.range()])
    }

    /// The next token that is neither newline, comment nor semicolon.
    pub(super) fn next(&self) -> usize {
        let skipped = |&at: &usize| {
            self.is(at, TokenKind::Newline) || self.is(at, TokenKind::Comment) || self.word_at(at) == ";"
        };
        (self.at..).find(|at| !skipped(at)).unwrap_or(self.tokens.len())
    }

    pub(super) fn peek(&self) -> &'t str {
        self.word_at(self.next())
    }

    /// The next token, behind the comments in front of it.
    pub(super) fn token(&mut self) -> Doc {
        let comments = self.comments();
        let word = text(self.word_at(self.at).trim_end());
        self.at = (self.at + 1).min(self.tokens.len());
        concat([comments, word])
    }

    /// The next token with blanks around it.
    pub(super) fn spaced(&mut self) -> Doc {
        concat([text(" "), self.token(), text(" ")])
    }

    /// The next token and a blank.
    pub(super) fn before(&mut self) -> Doc {
        concat([self.token(), text(" ")])
    }

    /// All tokens up to the end of `span`, as they stand.
    pub(super) fn verbatim(&mut self, span: Span) -> Doc {
        let comments = self.comments();
        self.at = self.tokens.partition_point(|token| token.0.start < span.end);
        concat([comments, text(&self.text[span.range()])])
    }

    /// The comments in front of the next token.
    fn comments(&mut self) -> Doc {
        let mut parts = vec![self.trailing()];
        let end = self.next();
        while self.at < end {
            if self.is(self.at, TokenKind::Comment) {
                parts.push(own(self.word_at(self.at).trim_end()));
            }
            self.at += 1;
        }
        if parts.len() == 1 { parts.remove(0) } else { concat(parts) }
    }

    /// The comment at the end of this line, if nothing but it follows.
    pub(super) fn trailing(&mut self) -> Doc {
        while self.word_at(self.at) == ";" {
            self.at += 1;
        }
        if self.at == 0 || !self.is(self.at, TokenKind::Comment) || self.is(self.at - 1, TokenKind::Newline) {
            return empty();
        }
        self.at += 1;
        trail(self.word_at(self.at - 1).trim_end())
    }

    /// Everything between a line and the next: a comment behind it, empty lines, comments.
    pub(super) fn between(&mut self, first: bool) -> Between {
        let mut parts = vec![self.trailing(), hard()];
        let mut close = true;
        let end = self.next();
        while self.at < end {
            let blank = self.newlines() > 1 && !(first && close);
            close &= !blank && self.at == end;
            parts.extend(blank.then(gap));
            if self.at < end {
                parts.extend([own(self.word_at(self.at).trim_end()), hard()]);
                self.at += 1;
            }
        }
        Between { doc: concat(parts), close }
    }

    /// Skips newlines and semicolons; how many newlines there were.
    fn newlines(&mut self) -> usize {
        let mut count = 0;
        while self.is(self.at, TokenKind::Newline) || self.word_at(self.at) == ";" {
            count += self.is(self.at, TokenKind::Newline) as usize;
            self.at += 1;
        }
        count
    }

    /// The comments in front of a closing bracket, on lines of their own.
    pub(super) fn last_comments(&mut self) -> Doc {
        let mut parts = vec![self.trailing()];
        let end = self.next();
        while self.at < end {
            let blank = self.newlines() > 1;
            if self.at < end {
                parts.push(hard());
                parts.extend(blank.then(gap));
                parts.push(own(self.word_at(self.at).trim_end()));
                self.at += 1;
            }
        }
        concat(parts)
    }

    /// Whether a newline follows, perhaps behind a comment.
    pub(super) fn breaks(&self) -> bool {
        let at = self.at + self.is(self.at, TokenKind::Comment) as usize;
        self.is(at, TokenKind::Newline)
    }

    /// Skips a comma, if one follows at once.
    pub(super) fn skip_comma(&mut self) -> bool {
        let comma = self.word_at(self.at) == ",";
        self.at += comma as usize;
        comma
    }

    /// Whether the next token opens round brackets that the token `end` closes.
    pub(super) fn wraps(&self, end: usize) -> bool {
        let next = self.next();
        self.word_at(next) == "(" && self.matches.get(next) == Some(&Match::Closed(end))
    }

    /// The last token of `expr`.
    pub(super) fn last(&self, expr: &Expr) -> usize {
        self.tokens.partition_point(|token| token.0.start < expr.span.end).saturating_sub(1)
    }

    /// The last token in front of `at` that is no newline and no comment.
    pub(super) fn earlier(&self, at: usize) -> usize {
        let real = |&at: &usize| !self.is(at, TokenKind::Newline) && !self.is(at, TokenKind::Comment);
        (0..at).rev().find(real).unwrap_or(0)
    }

    /// A bracketed list: on one line, or one element per line with a comma behind each.
    pub(super) fn list<T>(
        &mut self,
        items: &[T],
        blanks: bool,
        mut each: impl FnMut(&mut Self, &T) -> Doc,
    ) -> Doc {
        let open = concat([self.token(), self.trailing()]);
        let mut inner = Vec::new();
        for (at, item) in items.iter().enumerate() {
            inner.push(each(self, item));
            let last = at + 1 == items.len();
            self.skip_comma();
            inner.push(if last { comma() } else { text(",") });
            if !last {
                inner.extend([self.trailing(), line()]);
            }
        }
        self.enclosed(open, inner, blanks)
    }

    /// `inner` between `open` and the next token.
    pub(super) fn enclosed(&mut self, open: Doc, mut inner: Vec<Doc>, blanks: bool) -> Doc {
        let none = inner.is_empty();
        let edge = || if blanks && !none { line() } else { soft() };
        if !none {
            inner.insert(0, edge());
        }
        inner.push(self.last_comments());
        let end = if none { soft() } else { edge() };
        group(concat([open, nest(concat(inner)), end, self.token()]))
    }
}
