//! Systems without a program yet: `tests/oracles/not-yet.txt`, one slug a line. The list only shrinks.

use std::collections::BTreeSet;
use std::path::Path;

/// How many systems have no program yet. Whoever adds a program takes its slug off the list and lowers this.
const NOT_YET: usize = 5;

fn read(folder: &Path) -> Result<Vec<String>, String> {
    let path = folder.join("not-yet.txt");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(str::to_string).collect())
}

/// A fixture without a program must be on the list.
pub fn without_program(folder: &Path, slug: &str) -> Result<(), String> {
    if read(folder)?.iter().any(|line| line == slug) {
        eprintln!("{slug}: no program yet");
        return Ok(());
    }
    Err(format!("`{slug}` has neither a program nor a line in not-yet.txt"))
}

/// The list is exact: nothing twice, nothing that has a program, no longer than it was.
pub fn check(folder: &Path) -> Result<(), String> {
    let lines = read(folder)?;
    let mut seen = BTreeSet::new();
    for slug in &lines {
        if !seen.insert(slug) {
            return Err(format!("`{slug}` is listed twice"));
        }
        if ["nn", "json"].iter().any(|ending| folder.join(format!("{slug}.{ending}")).exists()) {
            return Err(format!("`{slug}` has a program: take it off not-yet.txt"));
        }
    }
    if lines.len() != NOT_YET {
        return Err(format!(
            "{} systems are listed, {NOT_YET} is the number that may only fall",
            lines.len()
        ));
    }
    Ok(())
}
