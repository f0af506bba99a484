//! The commands that make, show and transform programs.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn nnc(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nnc")).args(arguments).output().expect("the command runs")
}

fn example(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name).to_string_lossy().into_owned()
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("nnc-commands-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_new_project_trains_at_once_and_is_never_overwritten() {
    let dir = folder("new");
    let shown = dir.to_string_lossy().into_owned();
    assert!(nnc(&["new", &shown]).status.success());
    let model = dir.join("model.nn").to_string_lossy().into_owned();
    let formatted = nnc(&["fmt", "--check", &model]);
    assert!(formatted.status.success(), "{}", text(&formatted.stderr));
    let trained = nnc(&["train", &model, "--json"]);
    assert!(trained.status.success(), "{}", text(&trained.stderr));
    let records = text(&trained.stdout);
    let last: serde_json::Value =
        serde_json::from_str(records.lines().last().expect("it logs")).expect("a line is JSON");
    assert!(last["val_loss"].as_f64().expect("it evaluates") < 0.03, "{last}");
    let before = std::fs::read(&model).expect("the model is there");
    let again = nnc(&["new", &shown]);
    assert!(!again.status.success());
    assert!(text(&again.stderr).contains("nothing is overwritten"));
    assert!(std::fs::read(&model).expect("the model is there") == before);
    std::fs::remove_dir_all(dir).expect("the folder is ours");
}

#[test]
fn passes_run_by_name_on_programs_and_on_texts() {
    let listed = text(&nnc(&["opt", "--list"]).stdout);
    assert!(listed.contains("simplify") && listed.contains("dead-code"), "{listed}");
    let file = example("regression.nn");
    let plain = nnc(&["opt", &file, "--pass", "none"]);
    let graph = nnc(&["build", &file, "--emit", "graph"]);
    assert_eq!(text(&plain.stdout).trim_end(), text(&graph.stdout).trim_end());
    let folder = folder("opt");
    std::fs::create_dir_all(&folder).expect("the folder is writable");
    let module = folder.join("module.nnir");
    std::fs::write(&module, &graph.stdout).expect("the folder is writable");
    let module = module.to_string_lossy().into_owned();
    let from_text = nnc(&["opt", &module, "--pass", "simplify,cse"]);
    let from_program = nnc(&["opt", &file, "--pass", "simplify,cse"]);
    assert!(from_text.status.success(), "{}", text(&from_text.stderr));
    assert_eq!(text(&from_text.stdout), text(&from_program.stdout));
    assert_ne!(text(&from_text.stdout), text(&plain.stdout));
    let unknown = nnc(&["opt", &file, "--pass", "simplfy"]);
    assert!(!unknown.status.success());
    assert!(text(&unknown.stderr).contains("did you mean `simplify`?"), "{}", text(&unknown.stderr));
    std::fs::remove_dir_all(folder).expect("the folder is ours");
}

fn graph_of(name: &str) -> serde_json::Value {
    let output = nnc(&["graph", &example(name), "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("it is JSON")
}

#[test]
fn a_rolled_stack_is_drawn_once_with_its_residuals() {
    let graph = graph_of("shakespeare.nn");
    let nodes = graph["nodes"].as_array().expect("there are nodes");
    let place = |title: &str| {
        nodes.iter().position(|n| n["title"] == title).unwrap_or_else(|| panic!("no `{title}`"))
    };
    let stack = nodes.iter().find(|n| n["kind"] == "loop" && n["open"] == true).expect("the stack is a loop");
    assert_eq!(stack["count"], "4");
    assert_eq!(nodes.iter().filter(|n| n["title"] == "Attention").count(), 1);
    assert!(nodes[place("Attention")]["parameters"].as_i64() > Some(4 * 128 * 128));
    let joins: Vec<usize> = (0..nodes.len()).filter(|n| nodes[*n]["title"] == "h + f(h)").collect();
    assert_eq!(joins.len(), 2, "both branches are joined");
    let edges = graph["edges"].as_array().expect("there are edges");
    let residual = edges.iter().any(|e| e["from"] == joins[0] && e["to"] == joins[1]);
    assert!(residual, "the stream passes the second branch by");
}

#[test]
fn every_example_is_drawn_inside_its_picture() {
    for name in
        ["shakespeare.nn", "convnet.nn", "digits.nn", "lstm.nn", "gru.nn", "regression.nn", "own/main.nn"]
    {
        let output = nnc(&["graph", &example(name)]);
        let svg = text(&output.stdout);
        assert!(output.status.success(), "{name}: {}", text(&output.stderr));
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"), "{name}");
        assert!(!svg.contains("NaN") && !svg.contains("inf\""), "{name}");
        assert!(svg.matches("<g>").count() >= 3, "{name}: {svg}");
    }
    let page = folder("page").with_extension("html");
    let shown = page.to_string_lossy().into_owned();
    assert!(nnc(&["graph", &example("digits.nn"), "-o", &shown]).status.success());
    let html = std::fs::read_to_string(&page).expect("it is written");
    assert!(html.contains("<svg") && html.contains("linear.w"));
    std::fs::remove_file(page).expect("the file is ours");
    let refused = nnc(&["graph", &example("digits.nn"), "-o", "drawing.png"]);
    assert!(!refused.status.success());
}

#[test]
fn a_build_tells_what_it_costs() {
    let output = nnc(&["build", &example("digits.nn"), "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let account: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let (inner, classes) = (784 * 512 + 512 * 512 + 512 * 10, 512 + 512 + 10);
    assert_eq!(account["parameters"], inner + classes);
    let batch = account["sizes"]["B"].as_i64().expect("the batch is declared");
    let entries = account["entries"].as_array().expect("there are entries");
    let entry = |name: &str| {
        entries.iter().find(|e| e["name"] == name).unwrap_or_else(|| panic!("no entry `{name}`"))
    };
    let flops = |name: &str| entry(name)["flops_here"].as_i64().expect("it is counted");
    let products = 2 * batch * i64::from(inner);
    assert!(flops("forward") >= products && flops("forward") < products * 11 / 10, "{}", flops("forward"));
    assert!(flops("step") > 2 * products && flops("step") < 4 * products, "{}", flops("step"));
    assert!(entry("forward")["flops"].as_str().is_some_and(|flops| flops.contains('B')));
    let step = entry("step");
    // A weight, two moments of AdamW, and activations of both hidden layers.
    assert!(step["slot_bytes"].as_i64() >= Some(3 * 4 * i64::from(inner)));
    assert!(step["saved_bytes"].as_i64() >= Some(2 * batch * 512 * 4));
    assert!(step["working_bytes"].as_i64() >= step["saved_bytes"].as_i64());
    let kernels = step["kernels"].as_array().expect("it has kernels");
    assert!(kernels.iter().any(|k| k["why"].as_str().is_some_and(|why| why.contains("matrix product"))));
    assert!(kernels.iter().all(|k| k["why"].as_str().is_some_and(|why| !why.is_empty())));
    let summary = text(&nnc(&["build", &example("digits.nn")]).stdout);
    assert!(summary.contains("669706 parameters") && summary.contains("launches"), "{summary}");
}

#[test]
fn a_benchmark_tells_kernels_beside_the_roof_and_writes_a_trace() {
    let folder = folder("bench");
    std::fs::create_dir_all(&folder).expect("the folder is writable");
    let trace = folder.join("trace.json").to_string_lossy().into_owned();
    let output = nnc(&["bench", &example("regression.nn"), "--steps", "2", "--json", "--trace", &trace]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let kernels = report["kernels"].as_array().expect("there are kernels");
    assert!(report["peak_gigaflops"].as_f64() > Some(0.0) && !kernels.is_empty(), "{report}");
    let share = |kernel: &serde_json::Value| kernel["share_of_roof"].as_f64();
    assert!(kernels.iter().filter_map(share).all(|share| (0.0..=1.05).contains(&share)), "{report}");
    let launches: f64 = kernels.iter().filter_map(|kernel| kernel["launches"].as_f64()).sum();
    let written = std::fs::read(&trace).expect("the trace is there");
    let events: serde_json::Value = serde_json::from_slice(&written).expect("it is JSON");
    assert_eq!(events["traceEvents"].as_array().map(Vec::len), Some(launches.round() as usize));
    std::fs::remove_dir_all(folder).expect("the folder is ours");
}
