//! What the tree says: precedence, numbers, the kinds of statements, spans, limits.

mod corpus;

use corpus::{corpus, read, shape};
use nnc_grammar::limits::{MAX_BYTES, MAX_LINKS, MAX_NESTING};
use nnc_grammar::syntax::*;

fn value(text: &str) -> Expr {
    let syntax = read(&format!("let it = {text}"));
    assert_eq!(syntax.errors, [], "{text}");
    match syntax.items.into_iter().next().expect("an item").kind {
        ItemKind::Let(bind) => bind.value,
        other => panic!("{other:?}"),
    }
}

fn stmts(text: &str) -> Vec<StmtKind> {
    let syntax = read(&format!("block A() {{\n{text}\n}}"));
    assert_eq!(syntax.errors, [], "{text}");
    match syntax.items.into_iter().next().expect("an item").kind {
        ItemKind::Decl(decl) => decl.body.stmts.into_iter().map(|stmt| stmt.kind).collect(),
        other => panic!("{other:?}"),
    }
}

fn codes(text: &str) -> Vec<&'static str> {
    read(text).errors.into_iter().map(|error| error.code).collect()
}

/// Two texts that mean the same, one with all of its brackets.
fn same(short: &str, long: &str) {
    assert_eq!(shape(&value(short)), shape(&value(long)), "{short}");
}

#[test]
fn operators_bind_from_pipe_to_power() {
    same("a |> b or c", "a |> (b or c)");
    same("a or b and c", "a or (b and c)");
    same("not a and b", "(not a) and b");
    same("not a == b", "not (a == b)");
    same("a == b..c", "a == (b..c)");
    same("0..l + 1", "0..(l + 1)");
    same("a + b * c", "a + (b * c)");
    same("-a * b", "(-a) * b");
    same("-a ^ b", "-(a ^ b)");
    same("a ^ -b * c", "(a ^ (-b)) * c");
    same("a ^ b.c[d](e)", "a ^ (((b.c)[d])(e))");
    same("x => x |> f", "x => (x |> f)");
}

#[test]
fn operators_of_one_level_group_to_the_left_and_powers_to_the_right() {
    same("a - b - c", "(a - b) - c");
    same("a / b * c % d", "((a / b) * c) % d");
    same("a |> b |> c", "(a |> b) |> c");
    same("a ^ b ^ c", "a ^ (b ^ c)");
    assert_ne!(shape(&value("a - b - c")), shape(&value("a - (b - c)")));
}

#[test]
fn ints_stay_ints() {
    assert_eq!(value("12").kind, ExprKind::Int(12));
    assert_eq!(value("12.0").kind, ExprKind::Real(12.0));
    assert_eq!(value("1e3").kind, ExprKind::Real(1000.0));
    assert_eq!(value("2.5e-1").kind, ExprKind::Real(0.25));
    assert_eq!(value("25%").kind, ExprKind::Real(0.25));
    assert_eq!(value("9223372036854775807").kind, ExprKind::Int(i64::MAX));
}

#[test]
fn numbers_that_are_too_large_are_named() {
    assert_eq!(codes("let a = 9223372036854775808"), ["syntax::number"]);
    assert_eq!(codes("let a = 1e999"), ["syntax::number"]);
}

#[test]
fn a_percent_sign_before_a_word_is_a_remainder() {
    assert!(matches!(value("7%2").kind, ExprKind::Binary { op: BinaryOp::Rem, .. }));
    assert!(matches!(value("7%(a)").kind, ExprKind::Binary { op: BinaryOp::Rem, .. }));
    assert!(matches!(value("7% * a").kind, ExprKind::Binary { op: BinaryOp::Mul, .. }));
}

#[test]
fn an_equals_sign_in_a_body_is_an_entry() {
    let all = stmts("logits = x |> f\nleave = h\njoin(f, l) { f(h) }\ninit { 1 }\ny[b] = x[b]");
    assert!(all.iter().all(|stmt| matches!(stmt, StmtKind::Entry(_))), "{all:?}");
}

#[test]
fn a_write_has_a_place() {
    let all = stmts("h[.., t, c] := 1\nw.mask := 2\n(a, b) := f");
    let places = all.iter().map(|stmt| match stmt {
        StmtKind::Write(write) => match &write.place.kind {
            PlaceKind::Path { path, index } => (path.len(), index.as_ref().map_or(0, Vec::len)),
            PlaceKind::Tuple(names) => (names.len(), 9),
        },
        other => panic!("{other:?}"),
    });
    assert_eq!(places.collect::<Vec<_>>(), [(1, 3), (2, 0), (2, 9)]);
}

#[test]
fn comparisons_and_lambdas_are_no_entries() {
    let all = stmts("a == b\nf(a) == b\na => b\n(a, b) => c\nf(a)");
    assert!(all.iter().all(|stmt| matches!(stmt, StmtKind::Expr(_))), "{all:?}");
}

#[test]
fn two_names_in_round_brackets_merge_an_axis() {
    let ExprKind::Index { index, .. } = value("x[.., (t h: 2), (a), (b) => b, :, s: 2]").kind else {
        panic!()
    };
    let kinds: Vec<&str> = index
        .iter()
        .map(|at| match &at.kind {
            AtKind::Rest => "..",
            AtKind::All => ":",
            AtKind::Merged(_) => "merged",
            AtKind::Bound { .. } => "bound",
            AtKind::Expr(_) => "expr",
        })
        .collect();
    assert_eq!(kinds, ["..", "merged", "expr", "expr", ":", "bound"]);
}

#[test]
fn axes_have_five_forms() {
    let all = stmts("weight w: [.., like v, from: n, c <= cap, c[e] <= 2 * cap, 4 * d]");
    let [StmtKind::Slot(Slot { ty: Some(Type { kind: TypeKind::Tensor { axes, .. }, .. }), .. })] =
        all.as_slice()
    else {
        panic!("{all:?}")
    };
    let kinds: Vec<String> = axes
        .iter()
        .map(|axis| match &axis.kind {
            AxisKind::Rest => "..".to_owned(),
            AxisKind::Like(name) => format!("like {}", name.text),
            AxisKind::Labelled { label, .. } => format!("{}:", label.text),
            AxisKind::Counted { name, along, .. } => format!("{} along {}", name.text, along.len()),
            AxisKind::Size(_) => "size".to_owned(),
        })
        .collect();
    assert_eq!(kinds, ["..", "like v", "from:", "c along 0", "c along 1", "size"]);
}

#[test]
fn a_pattern_behind_a_subject_belongs_to_the_subject() {
    for text in ["policy P() on w: [m, n] as p { w }", "policy P() on w as p { w }"] {
        let items = read(text).items;
        let ItemKind::Decl(decl) = &items[0].kind else { panic!() };
        let Some(Subject::One { ty, pattern, .. }) = &decl.subject else { panic!() };
        assert!(pattern.is_some());
        let inner = ty.as_ref().map(|ty| format!("{:?}", ty.kind));
        assert!(inner.is_none_or(|ty| ty.contains("pattern: None")));
    }
}

#[test]
fn a_training_program_starts_with_an_expression() {
    let items = read("train Gpt(depth: d) with Half { steps = 1 }").items;
    let ItemKind::Train(train) = &items[0].kind else { panic!() };
    assert!(
        matches!(&train.model.kind, ExprKind::With { sheet: Beside::Sheet { name, .. }, .. } if name.text == "Half")
    );
}

#[test]
fn docs_and_comments_are_kept() {
    let syntax = read("//! About.\n// one\n/// First.\n/// Second.\nlet a = 1 // two");
    assert_eq!(syntax.about[0].text, "About.");
    assert_eq!(
        syntax.items[0].docs.iter().map(|doc| doc.text.as_str()).collect::<Vec<_>>(),
        ["First.", "Second."]
    );
    assert_eq!(syntax.comments.len(), 2);
}

#[test]
fn names_stand_where_their_spans_say() {
    for (file, text) in corpus() {
        let tree = format!("{:?}", read(&text).items);
        let names: Vec<&str> = tree.split("Name { text: \"").skip(1).collect();
        for name in names {
            let word = name.split('"').next().expect("a name");
            let number = |key: &str| {
                name.split(key).nth(1).and_then(|rest| rest.split([',', ' ']).next()?.parse::<usize>().ok())
            };
            let span = number("start: ").expect("a start")..number("end: ").expect("an end");
            assert_eq!(&text[span], word, "{file}");
        }
    }
}

#[test]
fn spans_hold_no_blanks_and_no_comments_at_their_ends() {
    for (file, text) in corpus() {
        let tree = format!("{:?}", read(&text).items);
        for span in tree.split("Span { ").skip(1) {
            let numbers = span.split(['}']).next().expect("a span").split(", ");
            let ends: Vec<usize> =
                numbers.filter_map(|part| part.split(": ").nth(1)?.trim().parse().ok()).collect();
            let part = &text[ends[0]..ends[1]];
            assert!(!part.is_empty() && part == part.trim(), "{file}: {part:?}");
            assert!(
                part.starts_with("//")
                    || !part.lines().next_back().is_some_and(|line| line.trim().starts_with("// "))
            );
        }
    }
}

#[test]
fn nesting_has_a_limit_that_works() {
    let nested = |depth: usize| format!("let a = {}x{}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(codes(&nested(MAX_NESTING)), [""; 0]);
    assert_eq!(codes(&nested(MAX_NESTING + 1)), ["syntax::limit"]);
}

#[test]
fn chains_have_a_limit_that_works() {
    for (link, rest) in [(" + x", ""), (" |> x", ""), (".x", ""), ("(1)", ""), ("[1]", ""), (" with X", "")] {
        let chained = |count: usize| format!("let a = x{}{rest}", link.repeat(count));
        assert_eq!(codes(&chained(MAX_LINKS)), [""; 0], "{link}");
        assert_eq!(codes(&chained(MAX_LINKS + 1)), ["syntax::limit"], "{link}");
    }
    for prefix in ["-", "not ", "x => ", "if x { 1 } else "] {
        let text = |count: usize| format!("let a = {}if x {{ 1 }}", prefix.repeat(count));
        assert_eq!(codes(&text(MAX_LINKS / 4)), [""; 0], "{prefix}");
        assert_eq!(codes(&text(MAX_LINKS * 4)), ["syntax::limit"], "{prefix}");
    }
}

#[test]
fn a_long_program_is_not_a_deep_one() {
    let text = format!("block A() {{\n{}}}\n", "    let x = a + b * c[i] |> f\n".repeat(500));
    assert_eq!(codes(&text), [""; 0]);
    let list = format!("let a = [{}]", "f(x + 1), ".repeat(500));
    assert_eq!(codes(&list), [""; 0]);
}

#[test]
fn a_file_has_a_largest_size() {
    assert_eq!(codes(&" ".repeat(MAX_BYTES)), [""; 0]);
    assert_eq!(codes(&" ".repeat(MAX_BYTES + 1)), ["syntax::limit"]);
}
