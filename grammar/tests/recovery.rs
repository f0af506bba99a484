//! Broken text: every slip is named once, in human words, and hides nothing else.

mod corpus;

use corpus::{corpus, read, shape};
use nnc_base::Diagnostic;
use nnc_grammar::limits::{MAX_BYTES, MAX_ERRORS};
use nnc_grammar::syntax::*;
use nnc_grammar::{TokenKind, format, tokens};
use proptest::prelude::*;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// The findings of a text as somebody reads them.
fn report(text: &str) -> String {
    let mut all = String::new();
    for error in read(text).errors {
        let _ = writeln!(all, "{error}");
        error.labels.iter().for_each(|label| place(&mut all, text, label));
        error.help.iter().for_each(|help| all.push_str(&format!("  help: {help}\n")));
    }
    all
}

fn place(all: &mut String, text: &str, label: &nnc_base::Label) {
    let start = label.span.start as usize;
    let line = text[..start].matches('\n').count();
    let column = start - text[..start].rfind('\n').map_or(0, |at| at + 1);
    let width = (label.span.end - label.span.start).max(1) as usize;
    let source = text.lines().nth(line).unwrap_or_default();
    let marks = "^".repeat(width.min(source.len().saturating_sub(column).max(1)));
    let _ = writeln!(all, "{:3} | {source}\n    | {}{marks} {}", line + 1, " ".repeat(column), label.text);
}

macro_rules! snapshot {
    ($name:ident, $text:expr) => {
        #[test]
        fn $name() {
            let text = $text;
            insta::assert_snapshot!(format!("{text}\n----\n{}", report(text)));
        }
    };
}

snapshot!(
    a_missing_value,
    "let a =\nlet b = 2\nblock A() on x: [..] {\n    let y =\n    let z = x\n    z\n}"
);
snapshot!(
    a_missing_name,
    "let = 2\nfn (x) = x\nblock on x: [..] { x }\nmodel M() {\n    weight : [d]\n    branch = x\n}"
);
snapshot!(
    a_missing_type,
    "fn f(x: ) = x\nblock A() {\n    weight w:\n    let y: = 2\n    y\n}\nfn g(x) -> = x"
);
snapshot!(
    a_missing_bracket,
    "fn f(x = x\n\nblock A() on x: [..] {\n    let y = f(x\n    let z = x[0\n    z + g(1, 2\n    y\n}"
);
snapshot!(
    a_missing_brace,
    "block A() on x: [..] {\n    if x {\n        x\n    let y = x\n    y\n}\n\nblock B() on x: [..] {\n    x\n\nfn f(x) = x"
);
snapshot!(a_bracket_too_many, "block A() on x: [..] {\n    let y = f(x))\n    y]\n}\n}\nlet b = 3");
snapshot!(a_wrong_bracket, "let a = f(x]\nlet b = [1, 2)\nlet c = { n: 1 ]\nlet d = 3");
snapshot!(
    a_misspelt_item,
    "layr A() on x: [..] {\n    let = 2\n}\ndef f(x) = x\n\nmodle M() {\n}\nxyzzy plugh\nblock B() {}"
);
snapshot!(a_chain_of_comparisons, "let a = 0 < x <= y + 1\nlet b = (a == b) == c\nlet c = 0..1..2");
snapshot!(
    a_slot_assigned,
    "policy P() on w {\n    state m: f32[like w] = 0\n    step(g, t) {\n        m = m + g\n        w.mask = g\n        if t > 3 { m = 0 }\n    }\n    view = w\n    other(m) { m = 3 }\n}"
);
snapshot!(
    a_pattern_misspelt,
    "sheet S {\n    **.w : 2;4 by SrSte()\n    **.b : 2/4\n    **.c : 2:4 keep\n    **.d : frozen frozen\n    layer[*].w : any\n    **.e :\n}"
);
snapshot!(
    a_reserved_word,
    "let loop = 3\nfn f(in, x) = x\nblock A() on x: [..] {\n    let weight = 2\n    cache keep = 3\n}"
);
snapshot!(
    an_element_without_comma,
    "let a = [1 2]\nlet b = f(x y, z)\nlet c = { n: 1 m: 2 }\nlet d = x[.., 1 2]"
);
snapshot!(
    an_end_without_a_line,
    "let a = 3 4\nblock A() {\n    x y\n    f(x) = = 2\n    x @\n    if a = b { c }\n}"
);
snapshot!(a_value_too_large, "let a = 99999999999999999999\nlet b = 1e999 + 1");
snapshot!(a_lost_doc, "let a = 1\n/// Of nothing.\n\n// The end.");
snapshot!(a_let_without_value, "let a\nblock A() {\n    let b\n    penalty c\n    let d: [d]\n}");
snapshot!(an_unknown_sign, "let a = b ? c\nlet d = \"never closed\nlet e = a & b\nlet f = 3 é 4");
snapshot!(
    a_broken_head,
    "block A( on x: [..] {\n    let = 1\n}\nblock B() in x {\n    let = 2\n}\nblock C() on x: [..] {\n    loop t over 3 {\n        let = 3\n    }\n}"
);
snapshot!(a_broken_import, "use std::{a, b\nuse std::\nuse 3\nlet a = 1");
snapshot!(
    a_broken_middle,
    "fn f(x) = x\nfn g(x) = )\nfn h(x) = x\nblock A() on x: [..] {\n    join(f) {\n        let y = f(x)\n        let z = 3 3\n        y\n    }\n    leave = x\n}"
);

#[test]
fn what_is_broken_still_binds_its_names() {
    let syntax = read(
        "let a = )\nlet (b, c) = =\nuse std::{d, e f}\nblock G() of x { x }\nblock H() {\n    let i = )\n    weight j: = 1\n    k = =\n}",
    );
    let name = |names: &[Name]| names.iter().map(|name| name.text.clone()).collect::<Vec<_>>().join(" ");
    let mut bound: Vec<String> = Vec::new();
    for item in &syntax.items {
        match &item.kind {
            ItemKind::Error(names) => bound.push(name(names)),
            ItemKind::Decl(decl) => bound.extend(decl.body.stmts.iter().map(|stmt| match &stmt.kind {
                StmtKind::Error(names) => name(names),
                other => panic!("{other:?}"),
            })),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(bound, ["a", "b c", "std d e f", "G", "i", "j", "k"]);
}

/// The tree without its broken nodes, where a broken line was put in.
fn sound(syntax: &Syntax) -> String {
    shape(&syntax.items)
        .replace("Stmt { kind: Error([]),  }, ", "")
        .replace(", Stmt { kind: Error([]),  }", "")
        .replace("Stmt { kind: Error([]),  }", "")
}

#[test]
fn a_broken_statement_leaves_all_others_as_they_are() {
    let mut tried = 0;
    for (name, text) in corpus() {
        let want = shape(&read(&text).items);
        for (at, _) in text.match_indices("{\n").filter(|(at, _)| is_body(&text[..*at])) {
            let broken = format!("{}= = 1\n{}", &text[..at + 2], &text[at + 2..]);
            let syntax = read(&broken);
            assert_eq!(syntax.errors.len(), 1, "{name}: {:?}\n{broken}", syntax.errors);
            assert_eq!(sound(&syntax), want, "{name}\n{broken}");
            tried += 1;
        }
    }
    assert!(tried > 40, "{tried}");
}

/// Whether the brace behind `text` opens a body of statements.
fn is_body(text: &str) -> bool {
    let line = text.lines().next_back().unwrap_or_default();
    !line.trim_start().starts_with("use") && !line.trim_end().ends_with(['=', '(', ',', ':'])
}

#[test]
fn a_broken_item_leaves_all_others_as_they_are() {
    for (name, text) in corpus() {
        let want = read(&text).items.len();
        for junk in ["block (\n\n", "let = {\n\n", "fn f(x) = )\n\n", "layr X { y z }\n\n"] {
            let syntax = read(&format!("{text}\n\n{junk}{junk}let last = 1\n"));
            assert_eq!(syntax.items.len(), want + 3, "{name} {junk}");
            assert!(
                matches!(syntax.items.last().map(|item| &item.kind), Some(ItemKind::Let(_))),
                "{name} {junk}"
            );
            assert!(
                syntax.errors.len() >= 2 && syntax.errors.len() <= 4,
                "{name} {junk} {:?}",
                syntax.errors
            );
        }
    }
}

/// What holds of every tree: findings and holes come together, places lie in the text.
fn check(text: &str) -> Vec<Diagnostic> {
    let syntax = read(text);
    let holes = shape(&syntax.items).contains("Error");
    assert!(!holes || !syntax.errors.is_empty(), "{text:?}");
    for label in syntax.errors.iter().flat_map(|error| &error.labels) {
        assert!(text.get(label.span.range()).is_some(), "{text:?} {label:?}");
    }
    assert_eq!(format(text).is_ok(), syntax.errors.is_empty());
    let all = tokens(text, nnc_base::SourceId::default());
    let covered: usize = all.iter().map(|(span, _)| span.range().len()).sum();
    assert_eq!(
        covered,
        text.bytes().filter(|byte| !matches!(byte, b' ' | b'\t')).count() + inner_blanks(text, &all)
    );
    syntax.errors
}

/// The blanks inside of tokens.
fn inner_blanks(text: &str, all: &[(nnc_base::Span, TokenKind)]) -> usize {
    all.iter().map(|(span, _)| text[span.range()].matches([' ', '\t']).count()).sum()
}

#[test]
fn every_prefix_of_every_program_is_read() {
    for (_, text) in corpus() {
        let ends = text.char_indices().map(|(at, _)| at).step_by(3);
        ends.for_each(|end| drop(check(&text[..end])));
    }
}

#[test]
fn every_program_without_one_token_is_read() {
    for (_, text) in corpus() {
        for (span, _) in tokens(&text, nnc_base::SourceId::default()) {
            check(&format!("{}{}", &text[..span.start as usize], &text[span.end as usize..]));
        }
    }
}

fn timed(name: &str, text: &str) {
    let start = Instant::now();
    let errors = read(text).errors;
    assert!(errors.len() <= MAX_ERRORS);
    assert!(start.elapsed() < Duration::from_secs(10), "{name}: {:?}", start.elapsed());
}

#[test]
fn the_largest_texts_are_read_in_bounded_time() {
    let units = [
        "(",
        "[",
        "{",
        ")",
        "}",
        "\"",
        "\n",
        "//",
        "///",
        ";",
        "a",
        "a ",
        "1 ",
        "(\n",
        "{\n",
        "{ a: ",
        "a[",
        "f(",
        "let ",
        "let a\n",
        "let a = 1\n",
        "fn f(x) = \n",
        "block A() {\n",
        "block A() {\n}\n",
        "a => ",
        "- ",
        "a + ",
        "if a { ",
        "é",
        "@",
        "**.",
        "x |> ",
        "(a) => ",
        "= =\n",
        "layr\n",
        "a b\n",
        "  }\n",
        "f(\nlet a = 2\n",
    ];
    for unit in units {
        timed(unit, &unit.repeat(MAX_BYTES / 64 / unit.len()));
        timed(unit, &format!("block A() {{\n{}\n}}", unit.repeat(MAX_BYTES / 64 / unit.len())));
    }
    timed("(", &"(".repeat(MAX_BYTES));
}

#[test]
fn nesting_costs_no_exponential_time() {
    let nests = [
        ("(", ")"),
        ("[", "]"),
        ("{ a: ", " }"),
        ("f(a: ", ")"),
        ("f(a, ", ")"),
        ("x[a: ", "]"),
        ("x[(", ")]"),
        ("(a: f(", ")[n]) => b"),
        ("x[(a: f(", ")[n]) => b]"),
        ("if x {\n a[", "] := 1\n}"),
        ("if x {\n a[", "] = 1\n}"),
        ("if x {\n a(b: g(", ")[n]) = 1\n}"),
        ("if x {\n f(a = ", ") { 1 }\n}"),
        ("if x { y ", "}"),
        ("if x {\n a = ", "\n}"),
        ("(a = ", ") => a"),
        ("(a = ", ")"),
        ("x with {\n a(b: c(", ")[d])\n}"),
        ("[", " for a in b]"),
        ("if x { 1 } else { ", " }"),
        ("if ", " { 1 }"),
        ("f(a => ", ")"),
        ("@", ""),
        ("x[(a: ", " b)]"),
    ];
    for (open, close) in nests {
        for tail in ["1", "", ")", "= ="] {
            let depth = 40;
            let text = format!("let a = {}{tail}{}", open.repeat(depth), close.repeat(depth));
            let start = Instant::now();
            let sound = read(&text).errors.is_empty();
            assert!(start.elapsed() < Duration::from_secs(5), "{open} {tail} {close}: {:?}", start.elapsed());
            if sound {
                format(&text).expect("a sound text");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_is_read(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        check(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_words_are_read(picks in prop::collection::vec(any::<prop::sample::Index>(), 0..60)) {
        let words = [
            "block", "model", "train", "sheet", "policy", "fn", "let", "use", "weight", "if", "else", "loop", "for", "in", "with",
            "by", "then", "as", "keep", "on", "given", "requires", "=", ":=", ":", "::", "=>", "->", "|>", "and", "not", "-", "+",
            "<", "..", "**", "*", "@", "(", ")", "[", "]", "{", "}", ",", ";", ".", "\n", "\n", "\n    ", "a", "b", "A", "2:4", "25%",
            "\"t\"", "// c\n", "/// d\n", "//! e\n", "1", "é",
        ];
        let text: Vec<&str> = picks.iter().map(|at| *at.get(&words)).collect();
        check(&text.join(" "));
        check(&text.concat());
    }

    #[test]
    fn any_damage_is_read(file in any::<prop::sample::Index>(), cuts in prop::collection::vec((any::<prop::sample::Index>(), 0..6usize), 1..6)) {
        let files = corpus();
        let mut text = file.get(&files).1.clone();
        for (at, sign) in cuts {
            let at = (0..=at.index(text.len() + 1)).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
            text.insert_str(at, ["{", ")", "\n}\n", "\"", "let ", "\nblock "][sign]);
        }
        check(&text);
    }
}
