//! Loads a file and all it imports, and binds names of items: the stage `resolve`.

use crate::world::World;
use nnc_base::{Diagnostic, SourceId, Span};
use nnc_grammar::syntax::{Decl, Fn, Item, ItemKind, Syntax, Train, Use};
use std::collections::{HashMap, HashSet};

/// The standard library: module path and text.
pub const STDLIB: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/stdlib.rs"));

/// At most this many local modules are read for one program.
pub const MAX_MODULES: usize = 256;

/// One source with its tree.
#[derive(Debug)]
pub struct Source {
    /// Its number.
    pub id: SourceId,
    /// For people: `model.nn`, `std/linear`.
    pub name: String,
    /// Its text.
    pub text: String,
    /// Its tree.
    pub syntax: Syntax,
    /// Names it brings in: where each comes from.
    pub imports: HashMap<String, (usize, usize)>,
    /// Names that a `use` line asks for and nothing has.
    pub missing: HashSet<String>,
    /// Whether it is part of the standard library.
    pub library: bool,
}

/// All sources of a program; the main file is the first.
#[derive(Debug, Default)]
pub struct Program {
    /// In the order they were loaded.
    pub sources: Vec<Source>,
    /// What is wrong with their texts and names.
    pub diagnostics: Vec<Diagnostic>,
}

impl Program {
    /// Name of the source and number of the line in which `span` begins.
    pub fn line(&self, span: Span) -> Option<(&str, usize)> {
        let source = self.sources.get(span.source.0 as usize)?;
        let before = source.text.get(..span.start as usize)?;
        Some((&source.name, before.matches('\n').count() + 1))
    }
}

/// An item by source and place.
pub type ItemRef = (usize, usize);

/// Parses `text` and everything it uses.
pub fn load(name: &str, text: &str, world: &dyn World) -> Program {
    let mut loader = Loader { program: Program::default(), keys: HashMap::new(), world };
    let main = loader.add(name, text.to_string(), name, false);
    for (path, text) in STDLIB {
        loader.add(&format!("std/{path}"), text.to_string(), &format!("std/{path}"), true);
    }
    let mut next = main;
    while next < loader.program.sources.len() {
        loader.imports(next);
        next += 1;
    }
    loader.program
}

struct Loader<'w> {
    program: Program,
    keys: HashMap<String, usize>,
    world: &'w dyn World,
}

impl Loader<'_> {
    fn add(&mut self, name: &str, text: String, key: &str, library: bool) -> usize {
        let place = self.program.sources.len();
        let id = SourceId(place as u32);
        let syntax = nnc_grammar::parse(&text, id);
        self.program.diagnostics.extend(syntax.errors.iter().cloned());
        self.keys.insert(key.to_string(), place);
        self.program.sources.push(Source {
            id,
            name: name.to_string(),
            text,
            syntax,
            imports: HashMap::new(),
            missing: HashSet::new(),
            library,
        });
        self.check_names(place);
        place
    }

    fn check_names(&mut self, source: usize) {
        let mut seen: HashMap<&str, Span> = HashMap::new();
        let mut found = Vec::new();
        for item in &self.program.sources[source].syntax.items {
            let Some((name, span)) = item_name(item) else { continue };
            if let Some(first) = seen.insert(name, span) {
                found.push(
                    Diagnostic::error("name::twice", span, format!("`{name}` is declared twice"))
                        .here("again here")
                        .label(first, "first here")
                        .help("rename one of the two"),
                );
            }
        }
        self.program.diagnostics.extend(found);
    }

    fn imports(&mut self, source: usize) {
        let uses: Vec<Use> = self.program.sources[source]
            .syntax
            .items
            .iter()
            .filter_map(|item| if let ItemKind::Use(u) = &item.kind { Some(u.clone()) } else { None })
            .collect();
        for used in uses {
            self.import(source, &used);
        }
    }

    fn import(&mut self, source: usize, used: &Use) {
        let (path, names) = match &used.names {
            Some(names) => (used.path.as_slice(), names.clone()),
            None => {
                let (last, front) = used.path.split_last().expect("a path has a name");
                (front, vec![last.clone()])
            }
        };
        let Some(first) = path.first() else {
            let name = &names[0];
            self.program.sources[source].missing.insert(name.text.clone());
            let message = format!("`use {}` names no module", name.text);
            self.program.diagnostics.push(
                Diagnostic::error("name::unknown", name.span, message).help("write `use module::{name}`"),
            );
            return;
        };
        let parts: Vec<&str> = path.iter().map(|n| n.text.as_str()).collect();
        let span = first.span.to(path[path.len() - 1].span);
        let modules = match self.modules(source, &parts, span) {
            Ok(modules) => modules,
            Err(diagnostic) => {
                let missing = &mut self.program.sources[source].missing;
                missing.extend(names.iter().map(|name| name.text.clone()));
                return self.program.diagnostics.push(diagnostic);
            }
        };
        for name in &names {
            match self.find(&modules, &name.text) {
                Some(item) if !name.text.starts_with('_') => {
                    self.program.sources[source].imports.insert(name.text.clone(), item);
                }
                Some(_) => {
                    self.program.sources[source].missing.insert(name.text.clone());
                    let message = format!("`{}` is private to its module", name.text);
                    self.program.diagnostics.push(
                        Diagnostic::error("name::private", name.span, message)
                            .help("names that start with `_` stay in their file"),
                    );
                }
                None => {
                    self.program.sources[source].missing.insert(name.text.clone());
                    let known = modules.iter().flat_map(|m| names_of(&self.program.sources[*m]));
                    let near = crate::nearest(&name.text, known.filter(|n| !n.starts_with('_')));
                    let message = format!("module `{}` has no `{}`", parts.join("::"), name.text);
                    let mut diagnostic = Diagnostic::error("name::unknown", name.span, message);
                    if let Some(near) = near {
                        diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
                    }
                    self.program.diagnostics.push(diagnostic);
                }
            }
        }
    }

    fn modules(&mut self, from: usize, parts: &[&str], span: Span) -> Result<Vec<usize>, Diagnostic> {
        if parts[0] == "std" {
            let inside = parts[1..].join("/");
            let prefix = if inside.is_empty() { "std/".to_string() } else { format!("std/{inside}/") };
            let found: Vec<usize> = (0..self.program.sources.len())
                .filter(|m| {
                    let name = &self.program.sources[*m].name;
                    let below = name.strip_prefix(&prefix).is_some_and(|rest| !rest.contains('/'));
                    below || *name == format!("std/{inside}")
                })
                .filter(|m| self.program.sources[*m].library)
                .collect();
            if found.is_empty() {
                let message = format!("the standard library has no module `{}`", parts.join("::"));
                return Err(Diagnostic::error("name::unknown", span, message));
            }
            return Ok(found);
        }
        let file = format!("{}.nn", parts.join("/"));
        if let Some(known) = self.keys.get(&file) {
            return Ok(vec![*known]);
        }
        if self.program.sources[from].library || self.program.sources.len() >= MAX_MODULES + STDLIB.len() {
            let message = format!("more than {MAX_MODULES} modules are used");
            return Err(Diagnostic::error("limit::modules", span, message));
        }
        match self.world.read(&file) {
            Ok(text) => Ok(vec![self.add(&file, text, &file, false)]),
            Err(reason) => {
                Err(Diagnostic::error("name::module", span, format!("cannot read `{file}`: {reason}"))
                    .help("local modules lie beside the main file; the library is `use std::{..}`"))
            }
        }
    }

    fn find(&self, modules: &[usize], name: &str) -> Option<ItemRef> {
        modules.iter().find_map(|m| self.program.item_in(*m, name))
    }
}

impl Program {
    /// The item called `name` that `source` itself declares.
    pub fn item_in(&self, source: usize, name: &str) -> Option<ItemRef> {
        let items = &self.sources[source].syntax.items;
        items
            .iter()
            .position(|item| item_name(item).is_some_and(|(n, _)| n == name))
            .map(|item| (source, item))
    }

    /// The item that `name` means in `source`: its own or an imported one.
    pub fn lookup(&self, source: usize, name: &str) -> Option<ItemRef> {
        self.item_in(source, name).or_else(|| self.sources[source].imports.get(name).copied())
    }

    /// The library item called `name`.
    pub fn library(&self, name: &str) -> Option<ItemRef> {
        (0..self.sources.len()).filter(|s| self.sources[*s].library).find_map(|s| self.item_in(s, name))
    }

    /// An item.
    pub fn item(&self, at: ItemRef) -> &Item {
        &self.sources[at.0].syntax.items[at.1]
    }

    /// Names visible in `source`.
    pub fn visible(&self, source: usize) -> Vec<&str> {
        let own = self.sources[source].syntax.items.iter().filter_map(|item| item_name(item).map(|n| n.0));
        own.chain(self.sources[source].imports.keys().map(String::as_str)).collect()
    }

    /// The `train` items of the main file.
    pub fn trains(&self) -> impl Iterator<Item = &Train> {
        let items = self.sources.first().map(|s| s.syntax.items.as_slice()).unwrap_or_default();
        items
            .iter()
            .filter_map(|item| if let ItemKind::Train(train) = &item.kind { Some(train) } else { None })
    }

    /// The declarations of the main file.
    pub fn declarations(&self) -> impl Iterator<Item = (ItemRef, &Decl)> {
        let items = self.sources.first().map(|s| s.syntax.items.as_slice()).unwrap_or_default();
        items.iter().enumerate().filter_map(|(place, item)| match &item.kind {
            ItemKind::Decl(decl) => Some(((0, place), decl)),
            _ => None,
        })
    }

    /// The functions of the main file.
    pub fn functions(&self) -> impl Iterator<Item = (ItemRef, &Fn)> {
        let items = self.sources.first().map(|s| s.syntax.items.as_slice()).unwrap_or_default();
        items.iter().enumerate().filter_map(|(place, item)| match &item.kind {
            ItemKind::Fn(function) => Some(((0, place), function)),
            _ => None,
        })
    }
}

/// The name an item declares.
pub fn item_name(item: &Item) -> Option<(&str, Span)> {
    match &item.kind {
        ItemKind::Fn(function) => Some((&function.name.text, function.name.span)),
        ItemKind::Decl(decl) => Some((&decl.name.text, decl.name.span)),
        ItemKind::Let(bind) => match &bind.place.kind {
            nnc_grammar::syntax::PlaceKind::Path { path, .. } => Some((&path[0].text, path[0].span)),
            nnc_grammar::syntax::PlaceKind::Tuple(_) => None,
        },
        ItemKind::Error(names) => names.first().map(|name| (name.text.as_str(), name.span)),
        ItemKind::Use(_) | ItemKind::Train(_) => None,
    }
}

fn names_of(source: &Source) -> impl Iterator<Item = &str> {
    source.syntax.items.iter().filter_map(|item| item_name(item).map(|n| n.0))
}
