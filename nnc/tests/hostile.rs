//! Texts that mean harm, or come from broken tools: every command ends soon, with a message, and within its memory.

use std::process::Command;
use std::time::{Duration, Instant};

fn judge(name: &str, text: &[u8]) {
    let file = std::env::temp_dir().join(format!("nnc-hostile-{}-{name}.nn", std::process::id()));
    std::fs::write(&file, text).expect("the folder for temporary files is writable");
    for command in [&["check"][..], &["fmt", "--check"], &["build"]] {
        let start = Instant::now();
        let output =
            Command::new(env!("CARGO_BIN_EXE_nnc")).args(command).arg(&file).output().expect("it runs");
        let told = String::from_utf8_lossy(&output.stderr);
        let code = output.status.code();
        assert!(code == Some(0) || code == Some(1), "{name}, {command:?}: {code:?}\n{told}");
        assert!(!told.contains("panicked"), "{name}, {command:?}: {told}");
        assert!(told.len() < 1 << 18, "{name}, {command:?}: {} bytes of messages", told.len());
        assert!(start.elapsed() < Duration::from_secs(20), "{name}, {command:?}: {:?}", start.elapsed());
    }
    std::fs::remove_file(file).expect("the file is ours");
}

fn model(body: &str) -> String {
    format!("model M(d: int = 8) {{\n    input  x: [B, T, d]\n    output y: [B, T, d]\n{body}\n}}\n")
}

#[test]
fn broken_bytes() {
    judge("empty", b"");
    judge("nul", b"model M() {\0}\n\0\0");
    judge("bytes", b"model \xff\xfe M() {}\n");
    judge("mark", format!("\u{feff}{}", model("    y = x")).as_bytes());
    judge("returns", model("    y = x").replace('\n', "\r\n").as_bytes());
    judge("large", &vec![b'x'; 10 << 20]);
}

#[test]
fn deep_nesting() {
    for (name, open, close) in
        [("round", "(", ")"), ("square", "[", "]"), ("minus", "-", ""), ("lambda", "a => ", "")]
    {
        let text = model(&format!("    y = {}x{}", open.repeat(50_000), close.repeat(50_000)));
        judge(name, text.as_bytes());
    }
    judge("chain", model(&format!("    y = x{}", " + x".repeat(50_000))).as_bytes());
    judge("braces", format!("model M() {}", "{".repeat(50_000)).as_bytes());
}

#[test]
fn recursion_and_doubling() {
    judge("self", format!("block A() on x: [..] {{ x |> A() }}\n{}", model("    y = x |> A()")).as_bytes());
    judge(
        "setting",
        format!("block A(k = A()) on x: [..] {{ x }}\n{}", model("    y = x |> A()")).as_bytes(),
    );
    judge("function", format!("fn f(x) = f(x) + f(x)\n{}", model("    y = f(x)")).as_bytes());
    judge("lambda", model("    let w = f => f(f) + f(f)\n    let k = w(w)\n    y = x").as_bytes());
    let chain: String = (1..60).map(|k| format!("fn f{k}(x) = f{}(f{}(x))\n", k - 1, k - 1)).collect();
    judge(
        "static",
        format!("fn f0(x) = x + 1\n{chain}{}", model("    let k = f59(1)\n    y = x")).as_bytes(),
    );
    judge("graph", format!("fn f0(x) = x + x\n{chain}{}", model("    y = f59(x)")).as_bytes());
    let lists: String = (1..60).map(|k| format!("    let a{k} = [a{}, a{}]\n", k - 1, k - 1)).collect();
    judge("lists", model(&format!("    let a0 = [1, 2]\n{lists}    y = x")).as_bytes());
    judge("import", b"use import::{q}\nlet a = b\nlet b = a\n");
}

#[test]
fn large_numbers() {
    judge(
        "copies",
        model("    let l = [[[i for i in 0..4000] for j in 0..4000] for k in 0..4000]\n    y = x").as_bytes(),
    );
    judge(
        "range",
        model("    for i in -9223372036854775807..9223372036854775807 { let q = 1 }\n    y = x").as_bytes(),
    );
    judge(
        "minimum",
        model("    let k = -9223372036854775807 - 1\n    let q = [k / -1, -k, abs(k), k % -1]\n    y = x")
            .as_bytes(),
    );
    judge("digits", model(&format!("    let k = {}\n    y = x", "9".repeat(100_000))).as_bytes());
    judge(
        "weight",
        model("    weight w: [1000000000000, 1000000000000] = 0.0\n    y = x + sum(w)").as_bytes(),
    );
    let powers: String =
        (1..40).map(|k| format!("    let a{k} = (a{} * a{} + T) / {k}\n", k - 1, k - 1)).collect();
    judge("sizes", model(&format!("    let a0 = (B + T) / 3\n{powers}    y = x")).as_bytes());
    judge(
        "window",
        model("    let z[b, t: 4, c] = x[b, 9223372036854775807 * t + 5, c]\n    y = x").as_bytes(),
    );
    let library = "use std::{Linear}\nblock L() on x: [.., d] { x |> Linear(d) }\n";
    judge("stack", format!("{library}{}", model("    y = x |> stack(1000000000000, L())")).as_bytes());
    judge("negative", format!("{library}{}", model("    y = x |> Linear(-5) |> Linear(d)")).as_bytes());
}
