//! A mutation fuzzer without instruments: seeds are cut, repeated and crossed, and every stage must end without a panic,
//! in bounded time. What fails is written to `target/fuzz/`; minimized, it belongs into `tests/corpus/`.

use nnc_base::SourceId;
use nnc_compiler::entries::{self, Overrides};
use nnc_compiler::program;
use nnc_compiler::world::{DataInfo, DataSource, World};
use nnc_grammar::{TokenKind, tokens};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A target: what seeds it starts from, and what it does with a text.
struct Target {
    name: &'static str,
    seeds: &'static str,
    run: fn(&str),
}

const TARGETS: &[Target] = &[
    Target { name: "parse", seeds: "nn", run: parse },
    Target { name: "check", seeds: "nn", run: check },
    Target { name: "tensor-ir", seeds: "nnir", run: tensor_ir },
    Target { name: "kernel-ir", seeds: "kernel", run: kernel_ir },
];

/// Names of the targets.
pub fn names() -> Vec<&'static str> {
    TARGETS.iter().map(|target| target.name).collect()
}

/// A program that is read may be formatted, keeps its tokens and comments, stays readable, and is formatted then.
fn parse(text: &str) {
    let syntax = nnc_grammar::parse(text, SourceId(0));
    if let Ok(formatted) = nnc_grammar::format(text) {
        assert!(syntax.errors.is_empty(), "a broken text is formatted");
        let again = nnc_grammar::format(&formatted);
        assert_eq!(again.as_deref(), Ok(formatted.as_str()), "formatting is settled after one turn");
        assert_eq!(comments(&formatted), comments(text), "formatting keeps comments");
        assert_eq!(meaning(&formatted), meaning(text), "formatting keeps tokens");
    }
}

fn words(text: &str, kept: impl Fn(TokenKind) -> bool) -> Vec<&str> {
    let all = tokens(text, SourceId(0)).into_iter().filter(|token| kept(token.1));
    all.map(|token| text[token.0.range()].trim_end()).collect()
}

fn comments(text: &str) -> Vec<&str> {
    words(text, |kind| kind == TokenKind::Comment)
}

/// The tokens that carry the meaning: no newlines, comments and semicolons, no commas in front of closing brackets.
fn meaning(text: &str) -> Vec<&str> {
    let mut kept: Vec<&str> = Vec::new();
    for word in words(text, |kind| !matches!(kind, TokenKind::Comment | TokenKind::Newline)) {
        if matches!(word, ")" | "]" | "}") && kept.last() == Some(&",") {
            kept.pop();
        }
        kept.extend((word != ";").then_some(word));
    }
    kept
}

/// No files, no data.
struct Nothing;

impl World for Nothing {
    fn read(&self, _: &str) -> Result<String, String> {
        Err("there is no such file".into())
    }

    fn data(&self, _: &DataSource) -> Option<DataInfo> {
        None
    }
}

/// What is accepted makes a sound module.
fn check(text: &str) {
    let loaded = program::load("fuzz.nn", text, &Nothing);
    if let Ok(built) = entries::build(&loaded, &Overrides::default(), &Nothing) {
        let errors = nnc_ir::verify::verify(&built.module).err().unwrap_or_default();
        assert!(errors.is_empty(), "an accepted program makes a broken module: {}", errors[0]);
    }
}

/// A module that is read is printed and read as the same.
fn tensor_ir(text: &str) {
    let Ok(module) = nnc_ir::text::parse(text) else { return };
    let printed = nnc_ir::text::print(&module);
    let again = nnc_ir::text::parse(&printed).map(|module| nnc_ir::text::print(&module));
    assert_eq!(again.as_deref(), Ok(printed.as_str()));
    let _ = nnc_ir::verify::verify(&module);
}

/// The same for kernels.
fn kernel_ir(text: &str) {
    let Ok(kernel) = nnc_ir::kernel::text::parse(text) else { return };
    let printed = kernel.to_string();
    let again = nnc_ir::kernel::text::parse(&printed).map(|kernel| kernel.to_string());
    assert_eq!(again.as_deref(), Ok(printed.as_str()));
    let _ = nnc_ir::kernel::verify(&kernel, &nnc_ir::Ranges::new());
}

/// A small generator (xorshift): runs repeat with their seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { (self.next() % bound as u64) as usize }
    }
}

/// Pieces that break things more often than random bytes do.
const TOKENS: &[&str] = &[
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "..",
    ",",
    ":",
    "=",
    ":=",
    "|>",
    "=>",
    "*",
    "-",
    "/",
    "%",
    "^",
    "**",
    "@",
    "\"",
    "\\",
    "//",
    "///",
    "// c\n",
    "/// d\n",
    "//! e\n",
    ";",
    "0",
    "-1",
    "1e9",
    "9223372036854775807",
    "0.5",
    "25%",
    "2:4",
    "fn",
    "block",
    "model",
    "topology",
    "policy",
    "sheet",
    "train",
    "fit",
    "weight",
    "state",
    "cache",
    "carry",
    "branch",
    "loop",
    "for",
    "in",
    "if",
    "else",
    "with",
    "by",
    "then",
    "on",
    "given",
    "requires",
    "let",
    "use",
    "x",
    "d",
    "B",
    "T",
    "sum",
    "stack",
    "index",
    "keep",
    "f32",
    "bf16",
    "i32",
    "b0",
    "v0",
    "%0",
    "\n",
    "\r\n",
    "\0",
    "é",
    "\u{feff}",
];

fn mutate(seeds: &[String], random: &mut Random) -> String {
    let mut text = seeds[random.below(seeds.len())].clone();
    for _ in 0..1 + random.below(6) {
        let (a, b) = (place(&text, random), place(&text, random));
        let (a, b) = (a.min(b), a.max(b));
        match random.below(6) {
            0 => text.insert_str(a, TOKENS[random.below(TOKENS.len())]),
            1 if b - a < 200 => text.replace_range(a..b, ""),
            2 if b - a < 2000 => {
                let part = text[a..b].to_string();
                let at = place(&text, random);
                text.insert_str(at, &part);
            }
            3 => {
                let other = &seeds[random.below(seeds.len())];
                let (c, d) = (place(other, random), place(other, random));
                if b - a < 400 {
                    text.replace_range(a..b, "");
                }
                text.insert_str(a, &other[c.min(d)..c.max(d)]);
            }
            4 => {
                let end = text[a..].char_indices().nth(1).map_or(text.len(), |(at, _)| a + at);
                text.replace_range(a..end, TOKENS[random.below(TOKENS.len())]);
            }
            _ => {
                let token = TOKENS[random.below(TOKENS.len())].repeat(1 + random.below(40));
                text.insert_str(a, &token);
            }
        }
        if text.len() > 1 << 16 {
            text.truncate(place(&text, random));
        }
    }
    text
}

/// A place between two characters.
fn place(text: &str, random: &mut Random) -> usize {
    let mut at = random.below(text.len() + 1);
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn seeds(root: &Path, extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> =
        ["examples", "stdlib", "tests", "ir/tests", "compiler/tests"].map(|f| root.join(f)).to_vec();
    while let Some(folder) = open.pop() {
        for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.extend(std::fs::read_to_string(path));
            }
        }
    }
    found.sort();
    found
}

/// Runs a target for some seconds.
pub fn fuzz(root: &Path, name: &str, seconds: u64) -> Result<(), Vec<String>> {
    let target = TARGETS.iter().find(|target| target.name == name);
    let target =
        target.ok_or_else(|| vec![format!("no target `{name}`; there are {}", names().join(", "))])?;
    let seeds = seeds(root, target.seeds);
    if seeds.is_empty() {
        return Err(vec![format!("there are no seeds (.{}) in the tests", target.seeds)]);
    }
    let folder = root.join("target/fuzz");
    std::fs::create_dir_all(&folder).map_err(|error| vec![format!("{}: {error}", folder.display())])?;
    let worker = std::thread::Builder::new().stack_size(256 << 20);
    let (run, name) = (target.run, target.name);
    let work = worker.spawn(move || campaign(&folder, name, run, &seeds, Duration::from_secs(seconds)));
    let work = work.map_err(|error| vec![error.to_string()])?;
    let failures =
        work.join().map_err(|panic| vec![format!("the fuzzer itself broke: {}", reason(&*panic))])?;
    if failures.is_empty() { Ok(()) } else { Err(failures) }
}

/// Longer than this, and a text counts as a hang.
const PATIENCE: Duration = Duration::from_secs(2);
/// More memory than this (in bytes) no text may need.
const MEMORY: u64 = 1 << 30;

fn campaign(folder: &Path, name: &str, run: fn(&str), seeds: &[String], length: Duration) -> Vec<String> {
    let started = Instant::now();
    let clock =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |t| t.as_nanos() as u64);
    let mut random = Random(clock | 1);
    let (mut failures, mut count, mut most) = (Vec::new(), 0u64, peak());
    std::panic::set_hook(Box::new(|_| ()));
    while started.elapsed() < length && failures.len() < 20 {
        let text = mutate(seeds, &mut random);
        // A crash that ends the process leaves its input here.
        let current = folder.join(format!("{name}.current"));
        let _ = std::fs::write(&current, &text);
        if let Err(why) = attempt(run, &text, &mut most) {
            let kept = folder.join(format!("{name}-{count}"));
            let _ = std::fs::write(&kept, &text);
            failures.push(format!("{}: {why}", kept.display()));
        }
        count += 1;
    }
    let _ = std::panic::take_hook();
    println!(
        "{name}: {count} texts in {:.0} s, {} failures",
        started.elapsed().as_secs_f64(),
        failures.len()
    );
    failures
}

/// Runs a text; one that takes long does so twice, or the machine was busy.
fn attempt(run: fn(&str), text: &str, most: &mut u64) -> Result<(), String> {
    let once = || {
        let start = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| run(text)));
        result.map(|()| start.elapsed()).map_err(|panic| reason(&*panic))
    };
    let mut took = once()?;
    if took > PATIENCE {
        took = took.min(once()?);
    }
    let before = std::mem::replace(most, peak());
    if took > PATIENCE {
        return Err(format!("took {took:?}"));
    }
    if *most > before.max(MEMORY) { Err(format!("needed {} MiB", *most >> 20)) } else { Ok(()) }
}

/// The most memory this process has held so far, where the system tells it.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: u64 =
        line.and_then(|line| line.split_whitespace().next()).and_then(|n| n.parse().ok()).unwrap_or(0);
    kib << 10
}

fn reason(panic: &(dyn std::any::Any + Send)) -> String {
    let text =
        panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic").chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `tests/corpus/`: what once failed, and small seeds. Each text goes through the targets of its extension.
    #[test]
    fn the_corpus_is_replayed() {
        let corpus = crate::root().join("tests/corpus");
        let replay = move || {
            let mut count = 0;
            for path in std::fs::read_dir(corpus).into_iter().flatten().flatten().map(|entry| entry.path()) {
                let Ok(text) = std::fs::read_to_string(&path) else { continue };
                for target in TARGETS.iter().filter(|t| path.extension().is_some_and(|e| e == t.seeds)) {
                    (target.run)(&text);
                    count += 1;
                }
            }
            count
        };
        let worker = std::thread::Builder::new().stack_size(256 << 20).spawn(replay);
        let count =
            worker.expect("a thread starts").join().expect("every text ends in a message or a module");
        assert!(count >= 20, "{count} texts");
    }
}
