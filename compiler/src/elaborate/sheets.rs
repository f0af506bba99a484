//! Sheets: lines select weights and blocks by path and say how they are stored, wrapped and updated.

use super::Elaborator;
use super::slots::OnWeight;
use super::values::{Recipe, Scope, Sheet, Val};
use nnc_base::Diagnostic;
use nnc_grammar::syntax as ast;
use std::rc::Rc;

impl<'a> Elaborator<'a> {
    /// Applies all lines that select a new weight; later lines win, property by property.
    pub(crate) fn apply_sheets(&mut self, slot: usize) {
        let path = self.slots[slot].path.clone();
        for (prefix, sheet) in self.sheets.clone() {
            let Some(inside) = below(&prefix, &path) else { continue };
            for rule in &sheet.rules {
                if rule.selects.iter().any(|s| self.selects(s, inside)) {
                    self.matched.insert(std::ptr::from_ref(*rule));
                    self.apply_rule(slot, rule, &sheet.scope);
                }
            }
        }
    }

    fn apply_rule(&mut self, slot: usize, rule: &'a ast::Rule, scope: &Rc<Scope<'a>>) {
        for setting in &rule.settings {
            match &setting.kind {
                ast::SettingKind::Frozen => self.slots[slot].frozen = true,
                ast::SettingKind::By(policies) => self.set_policies(slot, policies, scope),
                ast::SettingKind::Set { name, value } if name.text == "init" => {
                    let start = self.expr(value, scope);
                    let (ty, axes) = (self.slots[slot].ty.clone(), self.slots[slot].axes.clone());
                    if let Some(start) = self.start_value(start, &ty, &axes, value.span) {
                        self.slots[slot].start = Some(start);
                    }
                }
                ast::SettingKind::Set { name, .. } => {
                    let message = format!("a sheet line cannot set `{}`", name.text);
                    self.report(
                        Diagnostic::error("name::argument", name.span, message).help("it can set `init`"),
                    );
                }
                ast::SettingKind::Pattern { pattern, by } => {
                    if let Some(unit) = &pattern.unit
                        && let Some(item) = self.program.lookup(scope.source, &unit.name.text)
                        && let ast::ItemKind::Decl(decl) = &self.program.item(item).kind
                    {
                        let message = format!(
                            "`{}` is a {}; this line selects weights",
                            decl.name.text,
                            super::values::decl_kind(decl)
                        );
                        let help = if decl.kind == ast::DeclKind::Policy {
                            "write it after `by`"
                        } else {
                            "select a block"
                        };
                        self.report(Diagnostic::error("path::wrap", unit.name.span, message).help(help));
                        continue;
                    }
                    let axes = self.slots[slot].axes.clone();
                    if let Some(found) = self.pattern(pattern, &axes, scope) {
                        self.slots[slot].ty.pattern = found;
                    }
                    self.set_policies(slot, by, scope);
                }
            }
        }
    }

    fn set_policies(&mut self, slot: usize, policies: &'a [ast::Expr], scope: &Rc<Scope<'a>>) {
        let mut list = Vec::new();
        for expr in policies {
            let value = self.expr(expr, scope);
            match self.policy(&value, expr.span) {
                Some(policy) => list.push(policy),
                None => return,
            }
        }
        if !list.is_empty() {
            self.slots[slot].policies = list;
        }
    }

    /// A value as a policy with its settings.
    pub(crate) fn policy(&mut self, value: &Val<'a>, span: nnc_base::Span) -> Option<OnWeight<'a>> {
        if let Val::Recipe(recipe) = value
            && let Recipe::Decl { decl, source, args, .. } = &**recipe
            && decl.kind == ast::DeclKind::Policy
        {
            return Some(OnWeight { decl, source: *source, args: args.clone(), span });
        }
        if !value.is_unknown() {
            let message = format!("a policy is needed here, not {}", value.describe());
            self.report(Diagnostic::error("role::wrong", span, message));
        }
        None
    }

    /// A block that a sheet line wraps, if one does: the wrapper with the block as its first setting.
    pub(crate) fn wrapped(&mut self, recipe: &Rc<Recipe<'a>>, path: &str) -> Option<Rc<Recipe<'a>>> {
        for (prefix, sheet) in self.sheets.clone().into_iter().rev() {
            let Some(inside) = below(&prefix, path) else { continue };
            let inside = inside.to_string();
            for rule in sheet.rules.iter().rev() {
                let key = (std::ptr::from_ref::<ast::Rule>(rule), path.to_string());
                if self.wrapping.contains(&key) || !rule.selects.iter().any(|s| self.selects(s, &inside)) {
                    continue;
                }
                let Some((decl, source, unit)) = self.wrapper(rule, &sheet) else { continue };
                self.matched.insert(key.0);
                self.wrapping.push(key);
                let mut given = vec![super::calls::Given {
                    name: None,
                    value: Val::Recipe(recipe.clone()),
                    span: unit.name.span,
                }];
                given.extend(self.arguments(unit.args.as_deref().unwrap_or_default(), &sheet.scope));
                if let Val::Recipe(made) = self.recipe(decl, source, given, unit.name.span) {
                    return Some(made);
                }
            }
        }
        None
    }

    fn wrapper(
        &mut self,
        rule: &'a ast::Rule,
        sheet: &Rc<Sheet<'a>>,
    ) -> Option<(&'a ast::Decl, usize, &'a ast::Unit)> {
        rule.settings.iter().find_map(|setting| {
            let ast::SettingKind::Pattern { pattern, .. } = &setting.kind else { return None };
            let unit = pattern.unit.as_ref()?;
            let item = self.program.lookup(sheet.scope.source, &unit.name.text)?;
            match &self.program.item(item).kind {
                ast::ItemKind::Decl(decl) if decl.kind == ast::DeclKind::Block => Some((decl, item.0, unit)),
                _ => None,
            }
        })
    }

    pub(crate) fn selects(&mut self, select: &'a ast::Select, path: &str) -> bool {
        if let Some(axis) = &select.axis {
            let message = "policies on axes are not built yet";
            self.report(Diagnostic::error("support::axis", axis.span, message));
            return false;
        }
        for seg in &select.segs {
            if let ast::SegKind::Name { name, range: Some(range) } = &seg.kind
                && super::cuts::literal(range).is_none()
            {
                let message = format!("the copies of `{}` are a number or a range of numbers", name.text);
                self.report(
                    Diagnostic::error("dim::static", range.span, message)
                        .help(format!("write `{0}[3]` or `{0}[0..4]`", name.text)),
                );
                return false;
            }
        }
        matches(&select.segs, &nnc_ir::graph::segments(path), true)
    }
}

/// The part of `path` below `prefix`.
pub(crate) fn below<'p>(prefix: &str, path: &'p str) -> Option<&'p str> {
    if prefix.is_empty() {
        return Some(path);
    }
    path.strip_prefix(prefix)?.strip_prefix('.')
}

/// Whether the names of segments match, whichever copies are meant.
pub(crate) fn matches_names(select: &[ast::Seg], path: &[&str]) -> bool {
    matches(select, path, false)
}

/// Whether segments match: `**` any number, `*` one, a name itself or one of its copies.
fn matches(select: &[ast::Seg], path: &[&str], copies: bool) -> bool {
    match (select.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((seg, rest)), _) if matches!(seg.kind, ast::SegKind::Many) => {
            (0..=path.len()).any(|skip| matches(rest, &path[skip..], copies))
        }
        (Some((seg, rest)), Some((first, others))) => {
            let fits = match &seg.kind {
                ast::SegKind::Any => true,
                ast::SegKind::Name { name, range } => {
                    let base = first.split('[').next().unwrap_or(first);
                    let among = range.as_ref().is_none_or(|range| super::cuts::among(first, range));
                    base == name.text && (among || !copies)
                }
                ast::SegKind::Many => unreachable!("handled above"),
            };
            fits && matches(rest, others, copies)
        }
        _ => false,
    }
}
