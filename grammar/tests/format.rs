//! The formatter: the meaning stays, the comments stay, and once is enough.

mod corpus;

use corpus::{comments, corpus, meaning, read, shape};
use nnc_base::SourceId;
use nnc_grammar::{TokenKind, format, tokens};
use proptest::prelude::*;

/// Files that are not laid out as the formatter would.
const WILD: [&str; 4] = ["comments", "crlf", "lone", "messy"];

fn formatted(text: &str) -> String {
    format(text).unwrap_or_else(|errors| panic!("{errors:?} in\n{text}"))
}

/// Everything that must hold of one text.
fn check(text: &str) {
    let once = formatted(text);
    assert_eq!(formatted(&once), once, "twice is once:\n{text}");
    assert_eq!(shape(&read(&once).items), shape(&read(text).items), "{text}\n->\n{once}");
    assert_eq!(shape(&read(&once).about), shape(&read(text).about));
    assert_eq!(comments(&once), comments(text), "{text}\n->\n{once}");
    assert_eq!(meaning(&once), meaning(text));
    assert!(!once.contains("\n\n\n") && !once.lines().any(|line| line.ends_with(' ')), "{once}");
}

#[test]
fn every_program_keeps_its_meaning() {
    for (_, text) in corpus() {
        check(&text);
    }
}

#[test]
fn tidy_programs_stay_as_they_are() {
    for (name, text) in corpus().into_iter().filter(|(name, _)| !WILD.contains(&name.as_str())) {
        assert_eq!(formatted(&text), text, "{name}");
    }
}

#[test]
fn no_line_is_longer_than_a_hundred_columns() {
    for (name, text) in corpus() {
        let long = formatted(&text).lines().map(|line| line.chars().count()).max();
        assert!(long.unwrap_or(0) <= 100, "{name}: {long:?}");
    }
}

#[test]
fn wild_programs_are_tamed() {
    for (name, text) in corpus().into_iter().filter(|(name, _)| WILD.contains(&name.as_str())) {
        insta::assert_snapshot!(name, formatted(&text));
    }
}

#[test]
fn errors_are_handed_back() {
    assert_eq!(format("let = 1").unwrap_err()[0].code, "syntax::expected");
}

#[test]
fn three_slashes_are_no_division() {
    for text in ["let x = a ///t\n  b", "let x = a/// t\n  b"] {
        assert_eq!(format(text).unwrap_err()[0].code, "syntax::expected");
    }
    assert_eq!(formatted("let x = a / //t\n  b"), "let x = a /  //t\n    b\n");
}

#[test]
fn percent_and_remainder_stay_apart() {
    assert_eq!(formatted("let x = 25%+t%4"), "let x = 25% + t % 4\n");
}

#[test]
fn a_body_written_on_one_line_stays_on_one() {
    let text = "block A() on x: [..] { carry h = x; h }\n";
    assert_eq!(formatted(text), text);
}

#[test]
fn a_list_that_breaks_takes_one_element_per_line() {
    let names: Vec<String> = (0..12).map(|at| format!("argument_{at}")).collect();
    let text = format!("let x = {{ f: call({}), n: 1 }}", names.join(", "));
    let lines = names.iter().map(|name| format!("        {name},\n")).collect::<String>();
    assert_eq!(formatted(&text), format!("let x = {{\n    f: call(\n{lines}    ),\n    n: 1,\n}}\n"));
}

#[test]
fn slots_align_their_types_and_values() {
    let text = "block A() on x: [..] {\nweight a: [n] = 0\nstate long: [n, m] = 1\nx\n}";
    let want = "block A() on x: [..] {\n    weight a:    [n]    = 0\n    state  long: [n, m] = 1\n    x\n}\n";
    assert_eq!(formatted(text), want);
}

/// `text` with other blanks, more empty lines and more comments, which change nothing.
fn scattered(text: &str, picks: &[u8]) -> String {
    let mut all = String::new();
    let mut end = 0;
    for (at, (span, kind)) in tokens(text, SourceId::default()).into_iter().enumerate() {
        let pick = picks[at % picks.len()];
        let blanks = &text[end..span.start as usize];
        all.push_str(if !blanks.is_empty() && pick & 1 == 1 && !all.ends_with('\n') {
            "   "
        } else {
            blanks
        });
        let comment = all.trim_end_matches(' ').ends_with(['\n', '\r']) || kind == TokenKind::Newline;
        let documented = all.lines().next_back().is_some_and(|line| line.contains("//"));
        if kind == TokenKind::Newline && comment && !documented && pick & 6 == 2 {
            all.push_str(["// c", "  //  d", "\n\n", "\n// e\n// f"][pick as usize >> 3 & 3]);
        }
        all.push_str(&text[span.range()]);
        end = span.end as usize;
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn blanks_and_comments_change_nothing(
        file in any::<prop::sample::Index>(),
        picks in prop::collection::vec(any::<u8>(), 1..200),
    ) {
        let files = corpus();
        let text = scattered(&file.get(&files).1, &picks);
        prop_assert!(read(&text).errors.is_empty(), "{:?}\n{}", read(&text).errors, text);
        check(&text);
    }
}
