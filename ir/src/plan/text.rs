//! Plans as text, for people: entries with their memory and steps. It is not read back.

use super::{EntryPlan, Place, PlaceClass, PlaceId, Plan, Step};
use crate::graph::Port;
use std::fmt;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for size in &self.sizes {
            let max = size.max.map(|max| max.to_string()).unwrap_or_default();
            writeln!(f, "size {} in {}..{max} step {}", size.symbol, size.min, size.multiple)?;
        }
        for slot in &self.slots {
            writeln!(f, "slot {} {}: {}", slot.kind.name(), slot.path, slot.ty)?;
        }
        self.entries.iter().try_for_each(|entry| self.entry(f, entry))
    }
}

impl Plan {
    fn entry(&self, f: &mut fmt::Formatter<'_>, entry: &EntryPlan) -> fmt::Result {
        writeln!(f, "entry {}", entry.name)?;
        for (what, ports) in [("in", &entry.inputs), ("out", &entry.outputs)] {
            for (port, place) in ports {
                let name = match port {
                    Port::Named(name) => name.clone(),
                    Port::Slot(slot) => self.slots.get(*slot).map(|s| s.path.clone()).unwrap_or_default(),
                };
                writeln!(f, "  {what} {name} = p{}", place.0)?;
            }
        }
        for (number, place) in entry.places.iter().enumerate() {
            writeln!(f, "  p{number} {place}")?;
        }
        for guard in &entry.guards {
            writeln!(f, "  guard {} = 0: {}", guard.zero, guard.message)?;
        }
        self.steps(f, &entry.steps, 1)?;
        entry.notes.iter().try_for_each(|note| writeln!(f, "  // {note}"))
    }

    fn steps(&self, f: &mut fmt::Formatter<'_>, steps: &[Step], depth: usize) -> fmt::Result {
        let margin = "  ".repeat(depth);
        for step in steps {
            match step {
                Step::Launch { kernel, bind } => {
                    let name = self.kernels.get(*kernel as usize).map_or("?", |kernel| kernel.name.as_str());
                    let places: Vec<String> = bind.iter().map(place).collect();
                    writeln!(f, "{margin}launch {name}({})", places.join(", "))?;
                }
                Step::Loop { counter, count, reverse, body } => {
                    let order = if *reverse { " downwards" } else { "" };
                    writeln!(f, "{margin}loop {counter} in 0..{count}{order}")?;
                    self.steps(f, body, depth + 1)?;
                }
                Step::If { condition, then, otherwise } => {
                    writeln!(f, "{margin}if {}", place(condition))?;
                    self.steps(f, then, depth + 1)?;
                    writeln!(f, "{margin}else")?;
                    self.steps(f, otherwise, depth + 1)?;
                }
                Step::Copy { from, to } => writeln!(f, "{margin}copy {} to {}", place(from), place(to))?,
            }
        }
        Ok(())
    }
}

fn place(id: &PlaceId) -> String {
    format!("p{}", id.0)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: Vec<String> = self.shape.iter().map(ToString::to_string).collect();
        write!(f, "{}: {}[{}]", self.name, self.dtype, sizes.join(", "))?;
        match self.class {
            PlaceClass::Caller => write!(f, " of the caller"),
            PlaceClass::Slot(slot) => write!(f, " in slot {slot}"),
            PlaceClass::Scratch { first, last } => write!(f, " during steps {first}..={last}"),
        }
    }
}
