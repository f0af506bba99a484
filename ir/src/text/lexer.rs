//! Words of both IR texts.

use super::ParseError;

/// One word.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    /// Letters, digits, `_`, inner `.` and `'`; does not begin with a digit.
    Word(String),
    /// Digits, perhaps with a point and an exponent. Signs are symbols.
    Number(String),
    /// `%12`
    Value(u32),
    /// Between double quotes, with `\"`, `\\` and `\n` undone.
    Text(String),
    /// Anything else: one character, or `..`.
    Symbol(&'static str),
}

/// A word and where it begins.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) token: Token,
    pub(crate) line: usize,
    pub(crate) column: usize,
}

const SYMBOLS: [&str; 15] = ["..", "(", ")", "[", "]", "{", "}", ",", ":", "=", "+", "-", "*", "@", ";"];

struct Lexer<'a> {
    left: std::iter::Peekable<std::str::Chars<'a>>,
    line: usize,
    column: usize,
}

/// Whether `name` is one word of the text.
pub(crate) fn is_word(name: &str) -> bool {
    let mut characters = name.chars();
    let begins = characters.next().is_some_and(|c| c.is_alphabetic() || c == '_');
    let inner = |c: char| c.is_alphanumeric() || matches!(c, '_' | '\'' | '.');
    begins && characters.all(inner) && !name.ends_with('.') && !name.contains("..")
}

/// Cuts a text into words.
pub(crate) fn lex(text: &str) -> Result<Vec<Placed>, ParseError> {
    let mut lexer = Lexer { left: text.chars().peekable(), line: 1, column: 1 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blanks();
        let (line, column) = (lexer.line, lexer.column);
        match lexer.token() {
            Ok(Some(token)) => tokens.push(Placed { token, line, column }),
            Ok(None) => return Ok(tokens),
            Err(message) => return Err(ParseError { line, column, message }),
        }
    }
}

impl Lexer<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.left.next()?;
        (self.line, self.column) = if c == '\n' { (self.line + 1, 1) } else { (self.line, self.column + 1) };
        Some(c)
    }

    fn second(&self) -> Option<char> {
        let mut ahead = self.left.clone();
        ahead.next();
        ahead.next()
    }

    fn skip_blanks(&mut self) {
        while self.left.peek().is_some_and(|c| c.is_whitespace()) {
            self.next();
        }
    }

    fn take(&mut self, accept: impl Fn(char) -> bool) -> String {
        let mut word = String::new();
        while self.left.peek().is_some_and(|c| accept(*c)) {
            word.extend(self.next());
        }
        word
    }

    fn token(&mut self) -> Result<Option<Token>, String> {
        let Some(c) = self.left.peek().copied() else { return Ok(None) };
        let token = match c {
            '"' => Token::Text(self.quoted()?),
            '%' => {
                self.next();
                let digits = self.take(|c| c.is_ascii_digit());
                Token::Value(digits.parse().map_err(|_| "a value needs a number".to_string())?)
            }
            c if c.is_ascii_digit() => Token::Number(self.number()),
            c if c.is_alphabetic() || c == '_' => Token::Word(self.word()),
            _ => Token::Symbol(self.symbol()?),
        };
        Ok(Some(token))
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        loop {
            word += &self.take(|c| c.is_alphanumeric() || c == '_' || c == '\'');
            let inner = self.left.peek() == Some(&'.')
                && self.second().is_some_and(|c| c.is_alphanumeric() || c == '_');
            if !inner {
                return word;
            }
            word.extend(self.next());
        }
    }

    fn number(&mut self) -> String {
        let mut number = self.take(|c| c.is_ascii_digit());
        if self.left.peek() == Some(&'.') && self.second().is_some_and(|c| c.is_ascii_digit()) {
            number.extend(self.next());
            number += &self.take(|c| c.is_ascii_digit());
        }
        if self.left.peek() == Some(&'e') {
            number.extend(self.next());
            if self.left.peek() == Some(&'-') {
                number.extend(self.next());
            }
            number += &self.take(|c| c.is_ascii_digit());
        }
        number
    }

    fn quoted(&mut self) -> Result<String, String> {
        self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                Some('"') => return Ok(text),
                Some('\\') => match self.next() {
                    Some('n') => text.push('\n'),
                    Some(c @ ('"' | '\\')) => text.push(c),
                    _ => return Err("unknown escape in a quoted text".into()),
                },
                Some(c) => text.push(c),
                None => return Err("a quoted text does not end".into()),
            }
        }
    }

    fn symbol(&mut self) -> Result<&'static str, String> {
        let c = self.next().unwrap_or(' ');
        if c == '.' && self.left.peek() == Some(&'.') {
            self.next();
            return Ok("..");
        }
        let known = SYMBOLS.iter().find(|symbol| symbol.chars().eq([c]));
        known.copied().ok_or_else(|| format!("`{c}` means nothing here"))
    }
}

/// `text` between double quotes.
pub(crate) fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
