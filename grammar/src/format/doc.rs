//! Documents: text with the places where it may break. A node knows its width on
//! one line, so choosing a layout never looks at a node twice.

use std::rc::Rc;

/// A shared document.
pub(super) type Doc = Rc<Node>;

/// A document and its width on one line; `None` where it needs several.
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) flat: Option<usize>,
}

/// What a document is.
pub(super) enum Kind {
    Text(String),
    /// This text on one line, otherwise a newline.
    Break(&'static str),
    /// Always a newline.
    Hard,
    /// An empty line in front of the next line.
    Gap,
    /// This many blanks, unless on one line.
    Pad(usize),
    /// A comma, unless on one line.
    Comma,
    /// One level further in.
    Nest(Doc),
    /// On one line if it fits.
    Group(Doc),
    Concat(Vec<Doc>),
    /// On one line if that fits; else these lines, each unbroken, if they fit; else `other`.
    Lines {
        lines: Vec<Doc>,
        nest: bool,
        other: Doc,
    },
    /// A comment at the end of the line.
    Trail(String),
    /// A comment on a line of its own.
    Own(String),
}

fn node(kind: Kind, flat: Option<usize>) -> Doc {
    Rc::new(Node { kind, flat })
}

pub(super) fn text(text: impl Into<String>) -> Doc {
    let text = text.into();
    let width = text.chars().count();
    node(Kind::Text(text), Some(width))
}

pub(super) fn empty() -> Doc {
    text("")
}

/// A blank or a newline.
pub(super) fn line() -> Doc {
    broken_by(" ")
}

/// Nothing or a newline.
pub(super) fn soft() -> Doc {
    broken_by("")
}

/// `flat` or a newline.
pub(super) fn broken_by(flat: &'static str) -> Doc {
    node(Kind::Break(flat), Some(flat.len()))
}

pub(super) fn hard() -> Doc {
    node(Kind::Hard, None)
}

pub(super) fn gap() -> Doc {
    node(Kind::Gap, None)
}

pub(super) fn pad(width: usize) -> Doc {
    node(Kind::Pad(width), Some(0))
}

pub(super) fn comma() -> Doc {
    node(Kind::Comma, Some(0))
}

pub(super) fn trail(comment: &str) -> Doc {
    node(Kind::Trail(comment.to_owned()), None)
}

pub(super) fn own(comment: &str) -> Doc {
    node(Kind::Own(comment.to_owned()), None)
}

pub(super) fn nest(inner: Doc) -> Doc {
    let flat = inner.flat;
    node(Kind::Nest(inner), flat)
}

pub(super) fn group(inner: Doc) -> Doc {
    let flat = inner.flat;
    node(Kind::Group(inner), flat)
}

pub(super) fn concat(parts: impl IntoIterator<Item = Doc>) -> Doc {
    let parts: Vec<Doc> = parts.into_iter().collect();
    let flat = parts.iter().map(|part| part.flat).sum();
    node(Kind::Concat(parts), flat)
}

pub(super) fn lines(lines: Vec<Doc>, nest: bool, other: Doc) -> Doc {
    let widths: Option<usize> = lines.iter().map(|line| line.flat).sum();
    let flat = widths.map(|width| width + lines.len() - 1);
    node(Kind::Lines { lines, nest, other }, flat)
}
