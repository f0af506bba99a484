//! A library of device functions as text, of which a program gets what it mentions.

use std::collections::BTreeSet;

/// Items of source text, separated by empty lines. An item is named by the word before its first punctuation.
#[derive(Clone, Debug)]
pub struct Library<'t> {
    items: Vec<(&'t str, &'t str)>,
}

impl<'t> Library<'t> {
    /// Splits `text`. What precedes the first empty line is its header and belongs to no program.
    pub fn new(text: &'t str) -> Library<'t> {
        let items = text.split("\n\n").skip(1).map(str::trim).filter_map(|item| Some((name(item)?, item)));
        Library { items: items.collect() }
    }

    /// Names of all items.
    pub fn names(&self) -> impl Iterator<Item = &'t str> {
        self.items.iter().map(|(name, _)| *name)
    }

    /// The items that `program` mentions and those that these mention, in the order of the library.
    pub fn select(&self, program: &str) -> String {
        let mut wanted: BTreeSet<&str> = words(program).collect();
        let mut chosen = vec![false; self.items.len()];
        while let Some(place) =
            (0..self.items.len()).find(|place| !chosen[*place] && wanted.contains(self.items[*place].0))
        {
            chosen[place] = true;
            wanted.extend(words(self.items[place].1));
        }
        let used = self.items.iter().zip(&chosen).filter(|(_, chosen)| **chosen);
        used.map(|((_, item), _)| format!("{item}\n\n")).collect()
    }
}

/// The last word before the first bracket, colon or equals sign of the code.
fn name(item: &str) -> Option<&str> {
    let code = item.lines().find(|line| !line.starts_with("//"))?;
    let head = code.split(['(', ':', '=', '[', '{']).next()?;
    words(head).last()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "// Header.\n\nfloat half(float x) { return x / 2; }\n\n// Above.\nvar<private> bits: u32 = 1;\n\n\
        fn quarter(x: f32) -> f32 {\n    return half(half(x));\n}\n";

    #[test]
    fn items_are_named_by_what_they_define() {
        assert_eq!(Library::new(TEXT).names().collect::<Vec<_>>(), ["half", "bits", "quarter"]);
    }

    #[test]
    fn a_program_gets_what_it_mentions_and_no_more() {
        let library = Library::new(TEXT);
        let chosen = library.select("y = quarter(x);");
        assert!(
            chosen.starts_with("float half") && chosen.contains("fn quarter") && !chosen.contains("bits")
        );
        assert_eq!(library.select("half_of(x)"), "");
    }
}
