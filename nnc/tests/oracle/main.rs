//! Programs of `tests/oracles/` against float64 fixtures: one test for each fixture found in the folder that
//! `NNC_ORACLES` names. A fixture's slug names the program (`<slug>.nn`) and the table (`<slug>.json`) that says which
//! tensor of the file is which input, slot, output and gradient. Sizes and constants come from the file alone.

mod compare;
mod fixture;
mod list;
mod pipeline;
mod table;

use fixture::Fixture;
use libtest_mimic::{Arguments, Failed, Trial};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Where the programs and tables lie; `NNC_ORACLE_PROGRAMS` names another folder.
fn programs() -> PathBuf {
    match std::env::var_os("NNC_ORACLE_PROGRAMS") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/oracles"),
    }
}

fn fixtures(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|e| e == "safetensors")).collect();
    found.sort();
    found
}

/// Everything a fixture has to say against its program.
fn check(path: &Path) -> Result<(), Failed> {
    let fixture = Fixture::open(path)?;
    let Some(table) = table::read(&programs(), &fixture.slug)? else {
        return Ok(list::without_program(&programs(), &fixture.slug)?);
    };
    let mut comparison = compare::Comparison::new(&fixture);
    for run in &table.runs {
        pipeline::check(&programs(), &fixture, run, &mut comparison)
            .map_err(|reason| format!("model `{}`: {reason}", run.model))?;
    }
    Ok(comparison.finish(&table)?)
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = vec![Trial::test("oracle::not_yet_list", || Ok(list::check(&programs())?))];
    match std::env::var_os("NNC_ORACLES") {
        None => eprintln!("NNC_ORACLES names no folder of fixtures: their tests are skipped"),
        Some(folder) => {
            let found = fixtures(Path::new(&folder));
            if found.is_empty() {
                let message = format!("NNC_ORACLES: no fixture in `{}`", folder.to_string_lossy());
                trials.push(Trial::test("oracle::fixtures_exist", || Err(message.into())));
            }
            trials.extend(found.into_iter().map(|path| {
                let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                Trial::test(format!("oracle::{stem}"), move || check(&path))
            }));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}
