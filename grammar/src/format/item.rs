//! Files and items.

use super::align::align;
use super::doc::{Doc, concat, empty, group, hard, line, lines, nest, text};
use super::pen::Pen;
use crate::syntax::{Code, Decl, Expr, Field, Fn, Item, ItemKind, Subject, Syntax, Train, Use};

impl Pen<'_> {
    pub(super) fn file(&mut self, syntax: &Syntax) -> Doc {
        let mut parts = Vec::new();
        for _ in &syntax.about {
            parts.extend([self.first(parts.is_empty()), self.token()]);
        }
        let (mut rows, mut close, mut seams) = (Vec::new(), Vec::new(), Vec::new());
        for item in &syntax.items {
            let between = self.between(parts.is_empty() && rows.is_empty());
            close.push(between.close);
            seams.push(between.doc);
            rows.push(self.item(item));
        }
        parts.extend(seams.into_iter().zip(align(rows, &close)).flat_map(|(seam, row)| [seam, row]));
        parts.extend([self.last_comments(), hard()]);
        concat(parts)
    }

    fn first(&mut self, first: bool) -> Doc {
        self.between(first).doc
    }

    fn item(&mut self, item: &Item) -> super::align::Row {
        let docs = concat(item.docs.iter().map(|_| concat([self.token(), hard()])).collect::<Vec<_>>());
        let whole = |doc: Doc| super::align::Row::whole(concat([docs.clone(), doc]));
        match &item.kind {
            ItemKind::Let(bind) if item.docs.is_empty() => self.bind(bind),
            ItemKind::Let(bind) => whole(self.bind(bind).plain()),
            ItemKind::Use(import) => whole(self.import(import)),
            ItemKind::Fn(function) => whole(self.function(function)),
            ItemKind::Decl(decl) => whole(self.decl(decl)),
            ItemKind::Train(train) => whole(self.train(train)),
            ItemKind::Error(_) => whole(self.verbatim(item.span)),
        }
    }

    fn import(&mut self, import: &Use) -> Doc {
        let mut parts = vec![self.before()];
        for at in 0..import.path.len() {
            parts.extend((at > 0).then(|| self.token()));
            parts.push(self.token());
        }
        if let Some(names) = &import.names {
            parts.extend([self.token(), self.list(names, false, |pen, _| pen.token())]);
        }
        concat(parts)
    }

    fn function(&mut self, function: &Fn) -> Doc {
        let mut parts = vec![self.before(), self.token()];
        if let Some(axes) = &function.axes {
            parts.push(self.list(axes, false, |pen, _| pen.token()));
        }
        parts.push(self.params(&function.params));
        if let Some(result) = &function.result {
            parts.extend([self.spaced(), self.ty(result)]);
        }
        if !function.requires.is_empty() {
            let guard = self.guard(&function.requires);
            parts.push(group(nest(guard)));
        }
        parts.push(match &function.code {
            Code::Expr(value) => self.assigned(value),
            Code::Body(body) => concat([text(" "), self.body(body)]),
        });
        if let Some(backward) = &function.backward {
            parts.extend([
                self.spaced_word(),
                self.params(&backward.params),
                text(" "),
                self.body(&backward.body),
            ]);
        }
        concat(parts)
    }

    fn spaced_word(&mut self) -> Doc {
        concat([text(" "), self.token()])
    }

    fn decl(&mut self, decl: &Decl) -> Doc {
        let mut parts = vec![self.before(), self.token()];
        if let Some(params) = &decl.params {
            parts.push(self.params(params));
        }
        parts.push(self.clauses(decl));
        parts.extend([text(" "), self.body(&decl.body)]);
        concat(parts)
    }

    /// What stands between parameters and body: behind the parameters, or all on the next line,
    /// or each on its own.
    fn clauses(&mut self, decl: &Decl) -> Doc {
        let mut all = Vec::new();
        if let Some(subject) = &decl.subject {
            all.extend([self.trailing(), concat([self.before(), self.subject(subject)])]);
        }
        if !decl.given.is_empty() {
            all.extend([self.trailing(), concat([self.before(), self.given(&decl.given)])]);
        }
        if let Some(result) = &decl.result {
            all.extend([self.trailing(), concat([self.before(), self.ty(result)])]);
        }
        if !decl.requires.is_empty() {
            all.extend([self.trailing(), concat([self.before(), self.row_of(&decl.requires, Pen::expr)])]);
        }
        stacked(&all)
    }

    fn subject(&mut self, subject: &Subject) -> Doc {
        match subject {
            Subject::Fields(fields) => self.params(fields),
            Subject::One { ty, pattern, .. } => {
                let name = self.token();
                let ty = ty.as_ref().map_or_else(empty, |ty| concat([self.before(), self.ty(ty)]));
                concat([name, ty, self.stored(pattern.as_ref())])
            }
        }
    }

    fn given(&mut self, fields: &[Field]) -> Doc {
        self.row_of(fields, Pen::field)
    }

    fn guard(&mut self, conditions: &[Expr]) -> Doc {
        concat([self.trailing(), line(), self.before(), self.row_of(conditions, Pen::expr)])
    }

    /// Elements behind a word, without brackets.
    fn row_of<T>(&mut self, items: &[T], mut each: impl FnMut(&mut Self, &T) -> Doc) -> Doc {
        let mut parts = Vec::new();
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                parts.extend([self.token(), self.trailing(), line()]);
            }
            parts.push(each(self, item));
        }
        group(nest(concat(parts)))
    }

    fn train(&mut self, train: &Train) -> Doc {
        concat([self.before(), self.expr(&train.model), text(" "), self.body(&train.body)])
    }
}

/// Comments and clauses in turn.
fn stacked(all: &[Doc]) -> Doc {
    if all.is_empty() {
        return empty();
    }
    let apart = all.chunks(2).flat_map(|pair| [pair[0].clone(), line(), pair[1].clone()]);
    let apart = nest(concat(apart));
    let row = all
        .chunks(2)
        .enumerate()
        .flat_map(|(at, pair)| [pair[0].clone(), text(if at == 0 { "" } else { " " }), pair[1].clone()]);
    lines(vec![empty(), concat(row)], true, apart)
}
