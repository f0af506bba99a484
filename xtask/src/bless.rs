//! Writes golden files anew. What changed is read in the diff before it is committed.

use std::path::Path;
use std::process::Command;

/// Tests whose golden files follow `BLESS`, and those that keep them as insta snapshots.
const GOLDEN: &[&[&str]] = &[
    &["-p", "nnc", "--test", "diagnostics"],
    &["-p", "nnc-compiler", "--test", "passes"],
    &["-p", "nnc-grammar"],
];

/// Runs the tests so that they write.
pub fn bless(root: &Path) -> Result<(), Vec<String>> {
    for test in GOLDEN {
        let done = Command::new(env!("CARGO"))
            .current_dir(root)
            .arg("test")
            .args(*test)
            .env("BLESS", "1")
            .env("INSTA_UPDATE", "always")
            .status();
        if !done.is_ok_and(|status| status.success()) {
            return Err(vec![format!("`cargo test {}` failed", test.join(" "))]);
        }
    }
    crate::reference::write(root)
}
