//! Why a piece of text does not parse, in human words. Pest says how far it got
//! and which rules it tried there; the tokens say what stands there instead.

use crate::brackets::closing;
use crate::nearest;
use crate::tokens::{STARTERS, TokenKind, is_reserved};
use crate::tree::{Reader, Rule};
use nnc_base::{Diagnostic, Span};
use pest::error::{Error, ErrorVariant, InputLocation};
use std::ops::Range;

/// The finding for a failed parse of the tokens `range`, whose text started at `base`.
pub(crate) fn explain(
    reader: &Reader,
    error: Error<Rule>,
    base: usize,
    range: Range<usize>,
    goal: Rule,
) -> Diagnostic {
    let at = match error.location {
        InputLocation::Pos(at) | InputLocation::Span((at, _)) => base + at,
    };
    let place = Place::new(reader, at, range, goal == Rule::items);
    match error.variant {
        ErrorVariant::CustomError { .. } => {
            Diagnostic::error("syntax::limit", place.span, "this is nested too deeply")
                .help("name a part of it with `let`")
        }
        ErrorVariant::ParsingError { positives, .. } => place.finding(&positives),
    }
}

/// The place where a parse ended.
struct Place<'r, 't> {
    reader: &'r Reader<'t>,
    range: Range<usize>,
    /// Whether the piece should hold items.
    items: bool,
    /// The token that fits nothing; `range.end` stands for the end of the piece.
    found: usize,
    span: Span,
}

impl<'r, 't> Place<'r, 't> {
    fn new(reader: &'r Reader<'t>, at: usize, range: Range<usize>, items: bool) -> Place<'r, 't> {
        let behind = |&token: &usize| {
            reader.tokens[token].0.end as usize > at && reader.tokens[token].1 != TokenKind::Comment
        };
        let found = range.clone().find(behind).unwrap_or(range.end);
        let mut place = Place { reader, range, items, found, span: Span::default() };
        // Pest does not say that it got as far as the name.
        if place.found == place.range.start && place.word(place.found) == "penalty" {
            place.found = (place.found + 2).min(place.range.end);
        }
        place.span = place.spot();
        place
    }

    /// The token that fits nothing, or at the end of a line the place behind its last word.
    fn spot(&self) -> Span {
        if !self.at_end() {
            return self.reader.tokens[self.found].0;
        }
        let end = self.reader.tokens[self.before()].0.end as usize;
        Span::new(self.reader.source, end, end)
    }

    fn at_end(&self) -> bool {
        self.found >= self.range.end || self.reader.tokens[self.found].1 == TokenKind::Newline
    }

    /// The last real token in front.
    fn before(&self) -> usize {
        let earlier = (self.range.start..self.found.min(self.range.end)).rev();
        earlier.into_iter().find(|&at| self.reader.is_real(at)).unwrap_or(self.range.start)
    }

    fn word(&self, at: usize) -> &'t str {
        self.reader.word(at)
    }

    fn finding(&self, tried: &[Rule]) -> Diagnostic {
        let known = [self.text(), self.item(), self.assign(), self.pattern(tried), self.taken(tried)];
        known.into_iter().flatten().next().unwrap_or_else(|| self.plain(tried))
    }

    /// A text that its line does not close.
    fn text(&self) -> Option<Diagnostic> {
        let word = self.word(self.found);
        let open = word.starts_with('"') && (word.len() == 1 || !word.ends_with('"'));
        let error = Diagnostic::error("syntax::unclosed", self.span, "this text is never closed");
        (open && !self.at_end()).then(|| error.help("add `\"`; a text ends in its line"))
    }

    /// The piece starts with no word that starts an item.
    fn item(&self) -> Option<Diagnostic> {
        let top = self.range.start == self.found || self.word(self.range.start).starts_with("///");
        let (span, kind) = *self.reader.tokens.get(self.found)?;
        let word = self.word(self.found);
        let outside = self.items && !STARTERS.contains(&word);
        if !top || self.at_end() || !outside || kind != TokenKind::Name {
            return None;
        }
        let error = Diagnostic::error("syntax::item", span, format!("`{word}` starts no item"));
        Some(match nearest::starter(word) {
            Some(meant) => error.help(format!("did you mean `{meant}`?")),
            None => error.help(format!(
                "an item starts with one of {}",
                STARTERS.map(|word| format!("`{word}`")).join(", ")
            )),
        })
    }

    /// `w.mask = ..`: a path can only be written.
    fn assign(&self) -> Option<Diagnostic> {
        let dotted = self.word(self.range.start + 1) == ".";
        if self.word(self.found) != "=" || !dotted || self.at_end() {
            return None;
        }
        let whole = self.reader.tokens[self.range.start].0.to(self.reader.tokens[self.before()].0);
        let path = &self.reader.text[whole.range()];
        let message = format!("`=` names a new value; `{path}` is a part of something");
        Some(
            Diagnostic::error("syntax::assign", self.span, message).help(format!("write it: `{path} := ..`")),
        )
    }

    /// `2;4`, `2/4` where a pattern belongs.
    fn pattern(&self, tried: &[Rule]) -> Option<Diagnostic> {
        let kind = |at: usize| self.reader.tokens.get(at).map(|token| token.1);
        let first =
            [self.found, self.before()].into_iter().find(|&at| kind(at) == Some(TokenKind::Number))?;
        let asked = tried
            .iter()
            .any(|tried| matches!(tried, Rule::pattern | Rule::quota | Rule::setting | Rule::ratio));
        let ratio = matches!(self.word(first + 1), ";" | "/" | "-" | "|")
            && kind(first + 2) == Some(TokenKind::Number);
        if !asked || !ratio {
            return None;
        }
        let (keep, of) = (self.word(first), self.word(first + 2));
        let span = self.reader.tokens[first].0.to(self.reader.tokens[first + 2].0);
        let text = &self.reader.text[span.range()];
        Some(
            Diagnostic::error("syntax::pattern", span, format!("`{text}` is not a pattern"))
                .help(format!("`{keep}:{of}`")),
        )
    }

    /// A reserved word where a name belongs.
    fn taken(&self, tried: &[Rule]) -> Option<Diagnostic> {
        let word = self.word(self.found);
        let named = tried
            .iter()
            .any(|tried| matches!(tried, Rule::name | Rule::place | Rule::head | Rule::field | Rule::fields));
        if self.at_end() || !is_reserved(word) || !named {
            return None;
        }
        let message = format!("`{word}` is a word of the language and cannot be a name");
        Some(
            Diagnostic::error("syntax::expected", self.span, message)
                .help(format!("call it `{word}_`, for instance")),
        )
    }

    fn plain(&self, tried: &[Rule]) -> Diagnostic {
        let wanted = self.wanted(tried);
        let error = Diagnostic::error("syntax::expected", self.span, self.message(&wanted)).here(match self
            .at_end()
        {
            true => "here".to_owned(),
            false => String::new(),
        });
        match self.remedy(&wanted) {
            Some(remedy) => error.help(remedy),
            None => error,
        }
    }

    fn message(&self, wanted: &str) -> String {
        let before = self.word(self.before());
        let behind =
            if self.found == self.range.start { String::new() } else { format!(" after `{before}`") };
        match self.at_end() {
            true => format!("expected {wanted}{behind}"),
            false => format!("expected {wanted}{behind}, found `{}`", self.word(self.found)),
        }
    }

    /// What would fit, in words.
    fn wanted(&self, tried: &[Rule]) -> String {
        let mut words: Vec<&str> = tried.iter().filter_map(|tried| human(*tried)).collect();
        words.sort_unstable();
        words.dedup();
        if words.contains(&"an expression") {
            words = vec!["an expression"];
        }
        match (self.lacks_value(), words.is_empty()) {
            (true, _) => "`=` and a value".to_owned(),
            (_, false) => words.join(" or "),
            (_, true) => self.continuation(),
        }
    }

    /// Whether this is a `let` or a `penalty` without its `=`.
    fn lacks_value(&self) -> bool {
        let first = self.word(self.range.start);
        let named = self.found > self.range.start + 1;
        matches!(first, "let" | "penalty") && named && !self.range.clone().any(|at| self.word(at) == "=")
    }

    /// Only more of the same could follow, or an end.
    fn continuation(&self) -> String {
        match self.reader.around(self.found, &self.range) {
            Some(open) if self.word(open) != "{" || self.word(open + 2) == ":" => {
                format!("`,` or `{}`", closing(self.word(open)))
            }
            _ if self.at_end() => "more".to_owned(),
            _ => "the end of the statement".to_owned(),
        }
    }

    fn remedy(&self, wanted: &str) -> Option<String> {
        match (wanted, self.word(self.found)) {
            ("the end of the statement" | "`,` or `)`" | "`{`", "=") => {
                Some("`==` compares, `:=` writes a slot, `=` names a value at the start of a line".to_owned())
            }
            (_, "&") => Some("`and` joins conditions".to_owned()),
            (_, "|") => Some("`or` joins conditions, `|>` applies".to_owned()),
            (_, "!") => Some("`not` negates".to_owned()),
            ("the end of the statement", _) => Some("start a new line, or separate with `;`".to_owned()),
            ("an expression", _) if self.at_end() => {
                Some(format!("write a value behind `{}`", self.word(self.before())))
            }
            ("a type", _) => Some("a type is `int`, `[.., d]`, `f32[n]`".to_owned()),
            ("`{`", _) => Some("open the body with `{`".to_owned()),
            _ if wanted.starts_with("`,`") => Some("separate elements with `,`".to_owned()),
            ("`=` and a value", _) => Some("`let name = value`".to_owned()),
            _ => None,
        }
    }
}

/// A rule in human words; `None` for what merely could go on.
fn human(tried: Rule) -> Option<&'static str> {
    Some(match tried {
        Rule::expr
        | Rule::unary
        | Rule::atom
        | Rule::number
        | Rule::text
        | Rule::lambda
        | Rule::choice
        | Rule::list
        | Rule::record
        | Rule::paren
        | Rule::pick
        | Rule::range
        | Rule::minus
        | Rule::arg => "an expression",
        Rule::r#type => "a type",
        Rule::axes => "`[`",
        Rule::axis => "an axis",
        Rule::name | Rule::place | Rule::head | Rule::field | Rule::fields | Rule::binder | Rule::subject => {
            "a name"
        }
        Rule::at | Rule::merged => "an index",
        Rule::body => "`{`",
        Rule::params => "`(`",
        Rule::pattern | Rule::quota | Rule::ratio => "a pattern",
        Rule::setting => "a setting",
        Rule::select | Rule::seg | Rule::rule => "a path",
        Rule::stmt | Rule::one | Rule::slot | Rule::entry | Rule::write => "a statement",
        Rule::item | Rule::items | Rule::r#use | Rule::global | Rule::func | Rule::decl | Rule::train => {
            "an item"
        }
        Rule::bind => "a name",
        Rule::in_ => "`in`",
        _ => return None,
    })
}
