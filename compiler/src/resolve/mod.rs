//! What can be said of a declaration before anybody uses it: names that mean nothing, calls whose arguments do not fit,
//! roles that are confused. Specialization says the rest, of what is used.

mod walk;

use crate::elaborate::MAX_FINDINGS;
use crate::program::{Program, Source};
use nnc_base::Diagnostic;
use nnc_grammar::syntax::{self as ast, DeclKind, ExprKind, Field, Item, ItemKind, Name};
use std::collections::HashSet;
use walk::{Seen, Walk};

/// Findings in the modules of the user, of every item alone.
pub(crate) fn resolve(program: &Program) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (place, source) in program.sources.iter().enumerate().filter(|(_, source)| !source.library) {
        for item in &source.syntax.items {
            Resolve { program, place, source, bound: HashSet::new(), found: &mut found }.item(item);
        }
    }
    found
}

struct Resolve<'p, 'f> {
    program: &'p Program,
    place: usize,
    source: &'p Source,
    /// Names that this item binds somewhere. Order and nesting are left to specialization.
    bound: HashSet<&'p str>,
    found: &'f mut Vec<Diagnostic>,
}

impl<'p> Resolve<'p, '_> {
    fn item(&mut self, item: &'p Item) {
        let mut bound = HashSet::from(["result"]);
        let mut collect = |seen: Seen<'p>| {
            if let Seen::Binds(name) = seen {
                bound.insert(name.text.as_str());
            }
        };
        Walk { see: &mut collect }.item(item);
        self.bound = bound;
        let mut all = Vec::new();
        Walk { see: &mut |seen| all.push(seen) }.item(item);
        for seen in all {
            if self.found.len() >= MAX_FINDINGS {
                return;
            }
            match seen {
                Seen::Binds(_) => {}
                Seen::Uses(name) => self.uses(name),
                Seen::Calls(name, args) => self.calls(name, args),
                Seen::Piped(expr) => {
                    self.role(expr, &[DeclKind::Topology, DeclKind::Policy, DeclKind::Sheet], "a block")
                }
                Seen::By(expr) => self.role(
                    expr,
                    &[DeclKind::Block, DeclKind::Model, DeclKind::Topology, DeclKind::Sheet],
                    "a policy",
                ),
                Seen::Sheet(name) => self.sheet(name),
            }
        }
    }

    fn target(&self, name: &Name) -> Option<&'p ItemKind> {
        if self.bound.contains(name.text.as_str()) {
            return None;
        }
        self.program.lookup(self.place, &name.text).map(|at| &self.program.item(at).kind)
    }

    fn uses(&mut self, name: &'p Name) {
        let known = self.bound.contains(name.text.as_str())
            || self.program.lookup(self.place, &name.text).is_some()
            // Reported where it is imported.
            || self.source.missing.contains(&name.text)
            || crate::elaborate::is_builtin(&name.text);
        if !known {
            let local = self.bound.iter().copied();
            self.found.push(unknown_name(self.program, self.place, &name.text, name.span, local));
        }
    }

    fn calls(&mut self, name: &'p Name, args: &'p [ast::Arg]) {
        let params: &'p [Field] = match self.target(name) {
            Some(ItemKind::Fn(function)) => &function.params,
            Some(ItemKind::Decl(decl)) => decl.params.as_deref().unwrap_or_default(),
            _ => return,
        };
        let all: Vec<&str> = params.iter().map(|p| p.name.text.as_str()).collect();
        let list = if all.is_empty() { "it has none".into() } else { format!("it has {}", all.join(", ")) };
        let mut given: HashSet<&str> = HashSet::new();
        for (place, arg) in args.iter().enumerate() {
            let found = match &arg.name {
                Some(named) => params.iter().find(|p| p.name.text == named.text),
                None => params.get(place),
            };
            let owner = &name.text;
            match (found, &arg.name) {
                (Some(param), _) => drop(given.insert(&param.name.text)),
                (None, Some(named)) => {
                    let message = format!("`{owner}` has no argument `{}`; {list}", named.text);
                    let near = crate::nearest(&named.text, all.iter().copied());
                    let diagnostic = Diagnostic::error("name::argument", named.span, message);
                    self.found.push(match near {
                        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                        None => diagnostic,
                    });
                    return;
                }
                (None, None) => {
                    let message =
                        format!("`{owner}` takes {} arguments, this is number {}", all.len(), place + 1);
                    self.found.push(Diagnostic::error("name::argument", arg.value.span, message));
                    return;
                }
            }
        }
        let missing = params.iter().find(|p| p.default.is_none() && !given.contains(p.name.text.as_str()));
        if let Some(param) = missing {
            let message = format!("`{}` needs `{}`", name.text, param.name.text);
            self.found.push(
                Diagnostic::error("name::argument", name.span, message)
                    .label(param.span, "declared here")
                    .help(format!("give it: `{}: ..`", param.name.text)),
            );
        }
    }

    fn role(&mut self, expr: &'p ast::Expr, refused: &[DeclKind], wanted: &str) {
        let name = match &expr.kind {
            ExprKind::Name(name) => name,
            ExprKind::Call { callee, .. } => match &callee.kind {
                ExprKind::Name(name) => name,
                _ => return,
            },
            _ => return,
        };
        if let Some(ItemKind::Decl(decl)) = self.target(name)
            && refused.contains(&decl.kind)
        {
            self.wrong_role(name, decl, wanted);
        }
    }

    fn sheet(&mut self, name: &'p Name) {
        if let Some(ItemKind::Decl(decl)) = self.target(name)
            && decl.kind != DeclKind::Sheet
        {
            self.wrong_role(name, decl, "a sheet");
        }
    }

    fn wrong_role(&mut self, name: &Name, decl: &ast::Decl, wanted: &str) {
        let kind = crate::elaborate::values::decl_kind(decl);
        let message = format!("`{}` is a {kind}, not {wanted}", name.text);
        let help = match decl.kind {
            DeclKind::Topology => {
                format!("write it after `join:`: `stack(n, Layer(), join: {}())`", name.text)
            }
            DeclKind::Policy => format!("write it after `by` in a sheet: `**.w : by {}()`", name.text),
            DeclKind::Sheet => format!("write it after `with`: `Model() with {}`", name.text),
            DeclKind::Block | DeclKind::Model => format!("apply it: `x |> {}()`", name.text),
        };
        self.found.push(Diagnostic::error("role::wrong", name.span, message).help(help));
    }
}

/// A name that means nothing, with what might have been meant.
pub(crate) fn unknown_name<'n>(
    program: &Program,
    source: usize,
    name: &str,
    span: nnc_base::Span,
    local: impl Iterator<Item = &'n str>,
) -> Diagnostic {
    let mut known: Vec<String> = local.map(str::to_string).collect();
    // The nearest of several equally near ones is the first in the alphabet, whatever order a table has.
    known.extend(program.visible(source).into_iter().map(str::to_string));
    known.extend(crate::elaborate::builtin_names().map(str::to_string));
    known.sort();
    let near = crate::nearest(name, known.iter().map(String::as_str));
    let diagnostic = Diagnostic::error("name::unknown", span, format!("no `{name}` here"));
    let in_library = program.library(name).map(|(source, _)| program.sources[source].name.clone());
    match (in_library, near) {
        (Some(module), _) => {
            let module = module.replace('/', "::");
            let module = if module.matches("::").count() == 1 { "std".to_string() } else { module };
            diagnostic.help(format!("write `use {module}::{{{name}}}` at the top"))
        }
        (None, Some(near)) => diagnostic.help(format!("did you mean `{near}`?")),
        (None, None) => diagnostic,
    }
}
