//! Reads words one by one; every method says what it expected when it fails.

use super::ParseError;
use super::lexer::{Placed, Token, lex};

/// How deep bodies and expressions may nest.
const DEPTH: usize = 64;

/// A text being read.
pub struct Reader {
    tokens: Vec<Placed>,
    at: usize,
    depth: usize,
}

impl Reader {
    /// Begins to read `text`.
    pub fn new(text: &str) -> Result<Reader, ParseError> {
        Ok(Reader { tokens: lex(text)?, at: 0, depth: 0 })
    }

    /// An error at the next word.
    pub fn error(&self, message: impl Into<String>) -> ParseError {
        self.error_at(self.at, message)
    }

    /// An error at the word that was taken last.
    pub fn error_before(&self, message: impl Into<String>) -> ParseError {
        self.error_at(self.at.saturating_sub(1), message)
    }

    fn error_at(&self, at: usize, message: impl Into<String>) -> ParseError {
        let place = self.tokens.get(at).or(self.tokens.last());
        let (line, column) = place.map_or((1, 1), |place| (place.line, place.column));
        ParseError { line, column, message: message.into() }
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|placed| &placed.token)
    }

    /// Whether everything is read.
    pub fn is_done(&self) -> bool {
        self.at == self.tokens.len()
    }

    /// Whether the next word is this symbol.
    pub fn sees(&self, symbol: &str) -> bool {
        matches!(self.peek(), Some(Token::Symbol(found)) if *found == symbol)
    }

    /// Whether the next word is this one.
    pub fn sees_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(found)) if found == word)
    }

    /// Takes this symbol if it is next.
    pub fn accept(&mut self, symbol: &str) -> bool {
        let found = self.sees(symbol);
        self.at += usize::from(found);
        found
    }

    /// Takes this word if it is next.
    pub fn accept_word(&mut self, word: &str) -> bool {
        let found = self.sees_word(word);
        self.at += usize::from(found);
        found
    }

    /// Takes this symbol.
    pub fn expect(&mut self, symbol: &str) -> Result<(), ParseError> {
        if self.accept(symbol) { Ok(()) } else { Err(self.error(format!("expected `{symbol}`"))) }
    }

    /// Takes this word.
    pub fn expect_word(&mut self, word: &str) -> Result<(), ParseError> {
        if self.accept_word(word) { Ok(()) } else { Err(self.error(format!("expected `{word}`"))) }
    }

    /// Takes any word.
    pub fn word(&mut self) -> Result<String, ParseError> {
        let Some(Token::Word(word)) = self.peek() else { return Err(self.error("expected a word")) };
        let word = word.clone();
        self.at += 1;
        Ok(word)
    }

    /// Takes a quoted text.
    pub fn text(&mut self) -> Result<String, ParseError> {
        let Some(Token::Text(text)) = self.peek() else { return Err(self.error("expected a quoted text")) };
        let text = text.clone();
        self.at += 1;
        Ok(text)
    }

    /// Takes a quoted text if one is next.
    pub fn accept_text(&mut self) -> Option<String> {
        self.text().ok()
    }

    /// Takes a value's number.
    pub fn value(&mut self) -> Result<u32, ParseError> {
        let Some(Token::Value(value)) = self.peek() else { return Err(self.error("expected a value")) };
        let value = *value;
        self.at += 1;
        Ok(value)
    }

    /// Whether a value is next.
    pub fn sees_value(&self) -> bool {
        matches!(self.peek(), Some(Token::Value(_)))
    }

    /// Whether a value is next that is used, not defined: definitions go on with a name or a type.
    pub fn sees_use(&self) -> bool {
        let after = self.tokens.get(self.at + 1).map(|placed| &placed.token);
        self.sees_value() && !matches!(after, Some(Token::Text(_) | Token::Symbol(":")))
    }

    /// Whether a number is next.
    pub fn sees_number(&self) -> bool {
        matches!(self.peek(), Some(Token::Number(_)))
    }

    /// Takes a number without a sign.
    pub fn number<T: std::str::FromStr>(&mut self) -> Result<T, ParseError> {
        let Some(Token::Number(number)) = self.peek() else { return Err(self.error("expected a number")) };
        let number = number.parse().map_err(|_| self.error(format!("`{number}` does not fit here")))?;
        self.at += 1;
        Ok(number)
    }

    /// Whether a word such as `b12` is next, for the letter `b`.
    pub fn sees_numbered(&self, letter: &str) -> bool {
        self.peek_numbered(letter).is_some()
    }

    fn peek_numbered(&self, letter: &str) -> Option<u32> {
        let Some(Token::Word(word)) = self.peek() else { return None };
        word.strip_prefix(letter).filter(|digits| digits.chars().all(|c| c.is_ascii_digit()))?.parse().ok()
    }

    /// Takes a word such as `b12`, for the letter `b`.
    pub fn numbered(&mut self, letter: &str) -> Result<u32, ParseError> {
        let number = self.peek_numbered(letter);
        let number = number.ok_or_else(|| self.error(format!("expected `{letter}` and a number")))?;
        self.at += 1;
        Ok(number)
    }

    /// Reads items between `open` and `close`, separated by commas.
    pub fn list<T>(
        &mut self,
        open: &str,
        close: &str,
        mut item: impl FnMut(&mut Reader) -> Result<T, ParseError>,
    ) -> Result<Vec<T>, ParseError> {
        self.expect(open)?;
        let mut items = Vec::new();
        while !self.accept(close) {
            if !items.is_empty() {
                self.expect(",")?;
            }
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Reads something that may contain itself.
    pub fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Reader) -> Result<T, ParseError>,
    ) -> Result<T, ParseError> {
        self.enter()?;
        let result = read(self);
        self.leave();
        result
    }

    /// Begins something that may contain itself; [`Reader::leave`] ends it.
    pub fn enter(&mut self) -> Result<(), ParseError> {
        if self.depth == DEPTH {
            return Err(self.error(format!("nests deeper than {DEPTH}")));
        }
        self.depth += 1;
        Ok(())
    }

    /// Ends what [`Reader::enter`] began.
    pub fn leave(&mut self) {
        self.depth -= 1;
    }
}
