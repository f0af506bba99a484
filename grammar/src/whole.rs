//! Tests: reading a file piece by piece gives the tree of the whole.

use crate::brackets;
use crate::parse::parse;
use crate::syntax::Item;
use crate::tokens::tokens;
use crate::tree::{Grammar, Reader, Rule};
use nnc_base::SourceId;
use pest::Parser;
use proptest::prelude::*;
use std::fs;
use std::path::Path;

fn corpus() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/syntax");
    let files = fs::read_dir(folder).expect("the corpus").map(|file| file.expect("a file").path());
    files.map(|path| fs::read_to_string(path).expect("text")).collect()
}

/// The items of `text`, parsed at once by the rule `file`.
fn whole(text: &str) -> Option<Vec<Item>> {
    let source = SourceId::default();
    let tokens = tokens(text, source);
    let matches = brackets::matches(text, &tokens);
    let mut reader = Reader { text, source, tokens, matches, errors: Vec::new(), base: 0, holes: Vec::new() };
    let file = Grammar::parse(Rule::file, text).ok()?.next()?;
    let items = file.into_inner().filter(|part| part.as_rule() == Rule::item);
    Some(items.map(|item| reader.item(item)).collect())
}

/// One item of a file, with its docs.
fn pieces() -> Vec<String> {
    let mut found = Vec::new();
    for text in corpus().iter().filter(|text| !text.contains("//!")) {
        let spans = parse(text, SourceId::default()).items.into_iter().map(|item| {
            let start = item.docs.first().map_or(item.span, |doc| doc.span).start as usize;
            start..item.span.end as usize
        });
        found.extend(spans.map(|span| text[span].to_owned()));
    }
    found
}

#[test]
fn the_corpus_reads_alike() {
    for text in corpus() {
        let read = parse(&text, SourceId::default());
        assert_eq!(read.errors, [], "{text}");
        assert_eq!(Some(read.items), whole(&text), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_sequence_of_items_reads_alike(
        picks in prop::collection::vec((any::<prop::sample::Index>(), 0..5usize), 1..8)
    ) {
        let pieces = pieces();
        let seams = ["\n", "\n\n\n", "; ", "  // note\n", "\n// note\n  "];
        let text: String = picks.iter().flat_map(|(at, seam)| [at.get(&pieces).as_str(), seams[*seam]]).collect();
        let read = parse(&text, SourceId::default());
        prop_assert_eq!(read.errors, []);
        let whole = whole(&text);
        prop_assert!(whole.is_some());
        prop_assert_eq!(Some(read.items), whole);
    }
}
