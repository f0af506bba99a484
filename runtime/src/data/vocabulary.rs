//! Which text each token stands for: characters, bytes, or the pieces of a trained tokenizer. It is stored with a
//! model, so that what the model says can be read without its training data.

use super::DataError;
use serde::{Deserialize, Serialize};

/// Which text each token stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Vocabulary {
    /// Token `i` is the `i`-th of these characters, which are sorted and distinct.
    Characters(Vec<char>),
    /// Tokens are the bytes of UTF-8.
    Bytes,
    /// A tokenizer in the Hugging Face JSON format: its content.
    Tokenizer(String),
}

impl Vocabulary {
    /// The distinct characters of a text.
    pub fn characters_of(text: &str) -> Vocabulary {
        let mut seen = vec![false; 128];
        for character in text.chars().map(|character| character as usize) {
            if character >= seen.len() {
                seen.resize(character + 1, false);
            }
            seen[character] = true;
        }
        let codes = (0u32..).zip(seen).filter_map(|(code, seen)| seen.then_some(code));
        Vocabulary::Characters(codes.filter_map(char::from_u32).collect())
    }

    /// Number of tokens.
    pub fn size(&self) -> Result<usize, DataError> {
        match self {
            Vocabulary::Characters(characters) => Ok(characters.len()),
            Vocabulary::Bytes => Ok(256),
            Vocabulary::Tokenizer(json) => pieces::size(json),
        }
    }

    /// The tokens of a text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, DataError> {
        match self {
            Vocabulary::Characters(characters) => encode_characters(characters, text),
            Vocabulary::Bytes => Ok(text.bytes().map(u32::from).collect()),
            Vocabulary::Tokenizer(json) => pieces::encode(json, text),
        }
    }

    /// The text of tokens. Bytes that are not UTF-8 together become replacement characters.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, DataError> {
        match self {
            Vocabulary::Characters(characters) => {
                let character = |token: &u32| characters.get(*token as usize).ok_or(*token);
                tokens
                    .iter()
                    .map(character)
                    .collect::<Result<_, _>>()
                    .map_err(|t| unknown(t, characters.len()))
            }
            Vocabulary::Bytes => {
                let byte = |token: &u32| u8::try_from(*token).map_err(|_| unknown(*token, 256));
                let bytes: Vec<u8> = tokens.iter().map(byte).collect::<Result<_, _>>()?;
                Ok(String::from_utf8_lossy(&bytes).into_owned())
            }
            Vocabulary::Tokenizer(json) => pieces::decode(json, tokens),
        }
    }
}

fn unknown(token: u32, len: usize) -> DataError {
    DataError::in_options("data::range", format!("token {token} stands for nothing; there are {len} tokens"))
}

/// Looks up every character in a table by code point.
fn encode_characters(characters: &[char], text: &str) -> Result<Vec<u32>, DataError> {
    let largest = characters.iter().copied().max().map_or(0, |character| character as usize);
    let mut table = vec![u32::MAX; largest + 1];
    (0..).zip(characters).for_each(|(token, character)| table[*character as usize] = token);
    let token = |(byte, character): (usize, char)| {
        let token = table.get(character as usize).copied().filter(|token| *token != u32::MAX);
        token.ok_or_else(|| outside(text, byte, character, characters.len()))
    };
    text.char_indices().map(token).collect()
}

fn outside(text: &str, byte: usize, character: char, len: usize) -> DataError {
    let line_start = text[..byte].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[..byte].matches('\n').count() as u64 + 1;
    let column = text[line_start..byte].chars().count() as u64 + 1;
    let message = format!("{character:?} is none of the {len} characters that the model knows");
    let error = DataError::in_options("data::character", message);
    error.at(crate::file::Place::Line(line, column)).help("remove it, or train on a text that has it")
}

#[cfg(feature = "tokenizers")]
mod pieces {
    //! Trained tokenizers.

    use super::DataError;
    use tokenizers::Tokenizer;

    fn failed(error: impl std::fmt::Display) -> DataError {
        DataError::in_options("data::tokenizer", format!("the tokenizer cannot be used: {error}"))
    }

    fn tokenizer(json: &str) -> Result<Tokenizer, DataError> {
        Tokenizer::from_bytes(json).map_err(failed)
    }

    pub fn size(json: &str) -> Result<usize, DataError> {
        Ok(tokenizer(json)?.get_vocab_size(true))
    }

    pub fn encode(json: &str, text: &str) -> Result<Vec<u32>, DataError> {
        let encoding = tokenizer(json)?.encode_fast(text, false).map_err(failed)?;
        Ok(encoding.get_ids().to_vec())
    }

    pub fn decode(json: &str, tokens: &[u32]) -> Result<String, DataError> {
        tokenizer(json)?.decode(tokens, false).map_err(failed)
    }
}

#[cfg(not(feature = "tokenizers"))]
mod pieces {
    //! A build that leaves trained tokenizers out says so.

    use super::DataError;

    fn left_out<T>() -> Result<T, DataError> {
        let message = "this build reads no trained tokenizers";
        let help = "build with feature `tokenizers`, or use `tokens: \"characters\"` or `tokens: \"bytes\"`";
        Err(DataError::in_options("data::tokenizer", message).help(help))
    }

    pub fn size(_: &str) -> Result<usize, DataError> {
        left_out()
    }

    pub fn encode(_: &str, _: &str) -> Result<Vec<u32>, DataError> {
        left_out()
    }

    pub fn decode(_: &str, _: &[u32]) -> Result<String, DataError> {
        left_out()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_sorted_and_come_back() {
        let vocabulary = Vocabulary::characters_of("baß€b\n");
        assert_eq!(vocabulary, Vocabulary::Characters(vec!['\n', 'a', 'b', 'ß', '€']));
        let tokens = vocabulary.encode("ab€").unwrap();
        assert_eq!(tokens, [1, 2, 4]);
        assert_eq!(vocabulary.decode(&tokens).unwrap(), "ab€");
    }

    #[test]
    fn an_unknown_character_is_an_error_at_its_line_and_column() {
        let error = Vocabulary::characters_of("ab\n").encode("ab\nabz").unwrap_err();
        assert_eq!(error.place, crate::file::Place::Line(2, 3));
        assert!(error.message.starts_with("'z' is none of the 3 characters"));
    }

    #[test]
    fn unknown_tokens_are_errors_and_broken_utf8_is_replaced() {
        assert!(Vocabulary::characters_of("ab").decode(&[2]).is_err());
        assert!(Vocabulary::Bytes.decode(&[256]).is_err());
        assert_eq!(Vocabulary::Bytes.decode(&[0x61, 0xff]).unwrap(), "a\u{fffd}");
    }

    #[cfg(not(feature = "tokenizers"))]
    #[test]
    fn a_build_without_tokenizers_says_so() {
        let error = Vocabulary::Tokenizer("{}".into()).encode("a").unwrap_err();
        assert!(error.to_string().contains("feature `tokenizers`"));
    }

    #[cfg(feature = "tokenizers")]
    #[test]
    fn a_trained_tokenizer_encodes_and_decodes() {
        let json = r#"{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":null,
            "pre_tokenizer":{"type":"Whitespace"},"post_processor":null,"decoder":null,
            "model":{"type":"WordLevel","vocab":{"[?]":0,"to":1,"be":2,"or":3},"unk_token":"[?]"}}"#;
        let vocabulary = Vocabulary::Tokenizer(json.into());
        assert_eq!(vocabulary.encode("to be or what").unwrap(), [1, 2, 3, 0]);
        assert_eq!((vocabulary.decode(&[1, 2]).unwrap().as_str(), vocabulary.size().unwrap()), ("to be", 4));
        assert_eq!(Vocabulary::Tokenizer("{".into()).size().unwrap_err().code, "data::tokenizer");
    }
}
