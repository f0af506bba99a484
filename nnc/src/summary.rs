//! The summary that `nnc build` prints.

use crate::account::{Account, EntryAccount};
use std::collections::BTreeMap;

/// Prints an account for people.
pub fn print(account: &Account) {
    for slot in account.slots.iter().filter(|slot| slot.kind == "weight") {
        println!("  {:<48} {}", slot.path, slot.r#type);
    }
    println!("{} parameters", account.parameters);
    let sizes: Vec<String> = account.sizes.iter().map(|(name, size)| format!("{name} = {size}")).collect();
    let at = if sizes.is_empty() { String::new() } else { format!(", at {}", sizes.join(", ")) };
    println!("\none call of each entry{at}:");
    println!(
        "  {:<12} {:>10} {:>11} {:>11} {:>11} {:>11} {:>9}",
        "", "operations", "peak", "slots", "working", "saved", "launches"
    );
    account.entries.iter().for_each(entry);
    println!("  saved: values that wait for the backward half; working: all but slots\n");
    for entry in &account.entries {
        println!("  {:<12} {}", entry.name, reasons(entry));
    }
    let kernels: std::collections::BTreeSet<&str> = account
        .entries
        .iter()
        .flat_map(|entry| entry.kernels.iter().map(|kernel| kernel.name.as_str()))
        .collect();
    println!(
        "{} kernels, {} of code, built in {:.0} ms; `--emit notes` tells why each is there",
        kernels.len(),
        scaled(account.code_bytes as f64, &BYTES),
        account.build_milliseconds
    );
}

fn entry(entry: &EntryAccount) {
    let bytes =
        |bytes: Option<i64>| bytes.map_or_else(|| "?".to_string(), |bytes| scaled(bytes as f64, &BYTES));
    println!(
        "  {:<12} {:>10} {:>11} {:>11} {:>11} {:>11} {:>9}",
        entry.name,
        entry.flops_here.map_or_else(|| "?".to_string(), |flops| scaled(flops as f64, &COUNTS)),
        bytes(entry.peak_bytes),
        bytes(entry.slot_bytes),
        bytes(entry.working_bytes.and_then(|bytes| i64::try_from(bytes).ok())),
        bytes(entry.saved_bytes),
        entry.launches.map_or_else(|| "?".to_string(), |launches| launches.to_string()),
    );
}

/// How many kernels an entry has, by the first thing said of each.
fn reasons(entry: &EntryAccount) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for kernel in &entry.kernels {
        *counts.entry(kernel.why.split([',', ';']).next().unwrap_or("")).or_insert(0) += 1;
    }
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let parts: Vec<String> = counts.iter().map(|(why, count)| format!("{count} × {why}")).collect();
    format!("{} kernels: {}", entry.kernels.len(), parts.join(", "))
}

const BYTES: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
const COUNTS: [&str; 5] = ["", "k", "M", "G", "T"];

/// Three digits and a unit of a power of 1000.
fn scaled(number: f64, units: &[&str; 5]) -> String {
    let mut number = number;
    let mut unit = 0;
    while number >= 999.5 && unit + 1 < units.len() {
        number /= 1e3;
        unit += 1;
    }
    let digits = if unit == 0 || number >= 99.95 {
        0
    } else if number >= 9.995 {
        1
    } else {
        2
    };
    format!("{number:.digits$} {}", units[unit]).trim_end().to_string()
}
