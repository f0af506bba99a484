//! The text reader.

use super::*;
use nnc_ir::DType;
use std::sync::Arc;

fn text_of(content: impl AsRef<[u8]>, options: &[(&str, Value)]) -> Result<Box<dyn Dataset>, DataError> {
    let folder = Folder::new();
    let mut spec = spec("text", &folder.file("a.txt", content)).with("context", Value::Int(4));
    for (name, value) in options {
        spec = spec.with(name, value.clone());
    }
    plain(&spec)
}

#[test]
fn next_is_the_window_one_token_later() {
    let dataset = text_of("hello, world", &[("held_out", Value::Int(0))]).unwrap();
    assert_eq!(dataset.fields(), ["token", "next"].map(|name| Field::new(name, DType::I32, vec![4])));
    let vocabulary = dataset.facts().vocabulary.unwrap();
    let decoded = |name: &str, start| {
        let tokens: Vec<u32> = field(&*dataset, name, &[start]).iter().map(|token| *token as u32).collect();
        vocabulary.decode(&tokens).unwrap()
    };
    assert_eq!((decoded("token", 0), decoded("next", 0)), ("hell".into(), "ello".into()));
    assert_eq!((decoded("token", 7), decoded("next", 7)), ("worl".into(), "orld".into()));
}

#[test]
fn bytes_and_characters_differ_beyond_ascii() {
    let content = "aß€ab€ßa".repeat(6);
    let characters = text_of(&content, &[]).unwrap();
    assert_eq!((characters.facts().vocabulary.unwrap().size(), characters.len()), (Ok(4), 44));
    let bytes = text_of(&content, &[("tokens", Value::Text("bytes".into()))]).unwrap();
    assert_eq!((bytes.facts().vocabulary.unwrap(), bytes.len()), (Vocabulary::Bytes, 14 * 6 - 4));
    assert_eq!(field(&*bytes, "token", &[1])[..2], [0xc3 as f64, 0x9f as f64]);
}

#[test]
fn a_vocabulary_beyond_a_byte_is_kept_exact() {
    let content: String = (0..70_000u32).filter_map(char::from_u32).collect();
    for (content, context) in [(&content[..2000], 4), (&content[..], 4)] {
        let dataset = text_of(content, &[]).unwrap();
        assert_eq!(context, dataset.fields()[0].sample_shape[0]);
        let last = dataset.len() - 1;
        let tokens = field(&*dataset, "next", &[last]);
        let expected: Vec<f64> = (0..4).map(|k| (last + 1 + k) as f64).collect();
        assert_eq!(tokens, expected, "each character is its own number");
    }
}

#[test]
fn a_model_keeps_the_vocabulary_it_was_trained_with() {
    let folder = Folder::new();
    let first = plain(&spec("text", &folder.file("a.txt", "abcde".repeat(200)))).unwrap().facts();
    let spec = spec("text", &folder.file("b.txt", "edc".repeat(300)));
    let second = open_like(&spec, &BTreeMap::new(), &first).unwrap();
    assert_eq!(field(&*second, "token", &[0])[..3], [4.0, 3.0, 2.0]);
    let other = spec.clone();
    folder.file("b.txt", "edc\nxyz".repeat(300));
    let message = refused(open_like(&other, &BTreeMap::new(), &first));
    assert!(message.contains("b.txt, line 1, column 4: '\\n' is none of the 5 characters"), "{message}");
}

#[test]
fn validation_meets_every_full_window_once_and_nothing_else() {
    let content: String = ('a'..='z').cycle().take(100).collect();
    let dataset: Arc<dyn Dataset> = text_of(content, &[("held_out", Value::Int(23))]).unwrap().into();
    let held_out = dataset.split().held_out.clone();
    let mut loader = Loader::pass(dataset, held_out, 3);
    let (mut sizes, mut tokens) = (Vec::new(), Vec::new());
    while let Some(batch) = loader.next_batch().unwrap() {
        sizes.push(batch.size());
        tokens.extend(batch.get("token").unwrap().to_f64());
    }
    assert_eq!(sizes, [3, 2]);
    let expected: Vec<f64> = (77..97).map(|place| f64::from(place % 26)).collect();
    assert_eq!(tokens, expected, "the last window is dropped: it has a token too few");
}

#[test]
fn training_windows_never_read_held_out_tokens() {
    let content = "a".repeat(60) + &"b".repeat(40);
    let dataset: Arc<dyn Dataset> = text_of(content, &[("held_out", Value::Real(0.4))]).unwrap().into();
    let sampler =
        Sampler::new(dataset.split().train.clone(), Order::Shuffled { seed: 3 }, Position::default());
    let mut loader = Loader::endless(dataset, sampler, 16);
    for _ in 0..50 {
        let batch = loader.next_batch().unwrap().unwrap();
        assert!(batch.iter().all(|(_, tensor)| tensor.to_f64().iter().all(|token| *token == 0.0)));
    }
}

#[test]
fn damaged_and_unfit_texts_are_refused() {
    let invalid = refused(text_of(b"abc\xff", &[]));
    assert!(invalid.contains("a.txt, byte 3: this is not UTF-8 text"), "{invalid}");
    let short = refused(text_of("abcdefgh", &[]));
    assert!(short.contains("the held-out part has 1 tokens; a window of context 4 needs 5"), "{short}");
    assert!(refused(text_of("", &[])).contains("of 0 tokens"));
    let mode = refused(text_of("abc", &[("tokens", Value::Text("words".into()))]));
    assert!(mode.contains("`tokens` of `text` is `words`"), "{mode}");
    let other = open(&DataSpec::new("text", "a"), &given(&[("image", Path::new("b"))]));
    assert!(refused(other).contains("no field `image`"));
}

#[test]
fn another_text_can_be_given() {
    let folder = Folder::new();
    let path = folder.file("b.txt", "xy".repeat(500));
    let dataset = open(&DataSpec::new("text", "none"), &given(&[("text", &path)])).unwrap();
    assert_eq!(dataset.len(), 1000 - 64);
}
