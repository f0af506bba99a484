//! From document to text: 100 columns, four spaces. A comment never swallows
//! code: behind one, text starts a new line wherever it stands.

use super::doc::{Doc, Kind};

/// The longest line.
const WIDTH: usize = 100;
/// The blanks of one level.
const STEP: usize = 4;
/// Comments of neighbouring lines stand in one column, unless their code differs by more.
const SPREAD: usize = 30;

/// Lays `doc` out.
pub(super) fn render(doc: Doc) -> String {
    let mut layout = Layout { stack: vec![Frame { indent: 0, flat: false, doc }], ..Layout::default() };
    while let Some(frame) = layout.stack.pop() {
        layout.place(frame);
    }
    layout.newline(0);
    join(&layout.done)
}

struct Frame {
    indent: usize,
    flat: bool,
    doc: Doc,
}

#[derive(Default)]
struct Line {
    code: String,
    comment: Option<String>,
}

#[derive(Default)]
struct Layout {
    stack: Vec<Frame>,
    done: Vec<Line>,
    line: Line,
    /// Where the current line starts.
    indent: usize,
    /// A comment ended the current line.
    full: bool,
    /// An empty line is wanted in front of the next.
    gap: bool,
}

impl Layout {
    fn place(&mut self, Frame { indent, flat, doc }: Frame) {
        match &doc.kind {
            Kind::Text(text) => self.write(text, indent),
            Kind::Break(text) if flat => self.write(text, indent),
            Kind::Break(_) | Kind::Hard => self.newline(indent),
            Kind::Gap => self.gap = true,
            Kind::Pad(width) if !flat => self.write(&" ".repeat(*width), indent),
            Kind::Comma if !flat => self.write(",", indent),
            Kind::Pad(_) | Kind::Comma => {}
            Kind::Nest(inner) => self.stack.push(Frame { indent: indent + STEP, flat, doc: inner.clone() }),
            Kind::Group(inner) => {
                let flat = flat || self.fits(&doc, indent);
                self.stack.push(Frame { indent, flat, doc: inner.clone() });
            }
            Kind::Concat(parts) => {
                let frames = parts.iter().rev().map(|part| Frame { indent, flat, doc: part.clone() });
                self.stack.extend(frames);
            }
            Kind::Lines { lines, nest, other } => {
                let flat = flat || self.fits(&doc, indent);
                self.lines(indent, flat, lines, *nest, other);
            }
            Kind::Trail(comment) => self.trail(comment, indent),
            Kind::Own(comment) => self.own(comment, indent),
        }
    }

    fn lines(&mut self, indent: usize, flat: bool, lines: &[Doc], nest: bool, other: &Doc) {
        let inner = if nest { indent + STEP } else { indent };
        let tail = self.tail();
        if !flat && !lays(lines, self.column(indent), inner, tail) {
            self.stack.push(Frame { indent, flat: false, doc: other.clone() });
            return;
        }
        for (at, doc) in lines.iter().enumerate().rev() {
            self.stack.push(Frame { indent: inner, flat, doc: super::doc::group(doc.clone()) });
            if at > 0 {
                self.stack.push(Frame { indent: inner, flat, doc: super::doc::line() });
            }
        }
    }

    fn column(&self, indent: usize) -> usize {
        match (self.full, self.line.code.is_empty()) {
            (true, _) => indent,
            (false, true) => self.indent,
            (false, false) => self.line.code.chars().count(),
        }
    }

    fn fits(&self, doc: &Doc, indent: usize) -> bool {
        doc.flat.is_some_and(|width| self.column(indent) + width + self.tail() <= WIDTH)
    }

    /// The width of what follows up to the first place where it may break.
    fn tail(&self) -> usize {
        let mut width = 0;
        for frame in self.stack.iter().rev() {
            let (more, ended) = head(&frame.doc, frame.flat);
            width += more;
            if ended || width > WIDTH {
                break;
            }
        }
        width
    }

    fn write(&mut self, text: &str, indent: usize) {
        if self.full {
            self.newline(indent);
        }
        // Blanks separate words of one line; no line starts with them.
        let text = if self.line.code.is_empty() { text.trim_start() } else { text };
        if text.is_empty() {
            return;
        }
        if self.line.code.is_empty() {
            self.space();
            self.line.code = " ".repeat(self.indent);
        }
        self.line.code.push_str(text);
    }

    /// Puts the empty line that was asked for.
    fn space(&mut self) {
        let wanted = std::mem::take(&mut self.gap);
        if wanted && self.done.last().is_some_and(|line| !line.code.is_empty()) {
            self.done.push(Line::default());
        }
    }

    fn newline(&mut self, indent: usize) {
        let mut line = std::mem::take(&mut self.line);
        line.code.truncate(line.code.trim_end().len());
        if !line.code.is_empty() {
            self.done.push(line);
        }
        (self.indent, self.full) = (indent, false);
    }

    fn trail(&mut self, comment: &str, indent: usize) {
        if self.full || self.line.code.is_empty() {
            return self.own(comment, indent);
        }
        self.line.comment = Some(comment.to_owned());
        self.full = true;
    }

    fn own(&mut self, comment: &str, indent: usize) {
        if self.full || !self.line.code.is_empty() {
            self.newline(indent);
        }
        self.write(comment, indent);
        self.full = true;
    }
}

/// Whether `lines` fit below each other, the first from `column`, the others from `inner`.
fn lays(lines: &[Doc], column: usize, inner: usize, tail: usize) -> bool {
    let start = |at: usize| if at == 0 { column } else { inner };
    lines.iter().enumerate().all(|(at, line)| lies(line, start(at), inner, tail))
}

fn lies(doc: &Doc, column: usize, indent: usize, tail: usize) -> bool {
    doc.flat.is_some_and(|width| column + width + tail <= WIDTH)
        || match &doc.kind {
            Kind::Group(inner) => lies(inner, column, indent, tail),
            Kind::Lines { lines, nest, .. } => {
                doc.flat.is_some() && lays(lines, column, if *nest { indent + STEP } else { indent }, tail)
            }
            _ => false,
        }
}

/// The width of the start of `doc`, and whether it may break there.
fn head(doc: &Doc, flat: bool) -> (usize, bool) {
    match &doc.kind {
        _ if flat => (doc.flat.unwrap_or(0), false),
        Kind::Text(_) => (doc.flat.unwrap_or(0), false),
        Kind::Break(_) | Kind::Hard | Kind::Trail(_) | Kind::Own(_) | Kind::Gap => (0, true),
        Kind::Pad(width) => (*width, false),
        Kind::Comma => (1, false),
        Kind::Nest(inner) | Kind::Group(inner) => head(inner, false),
        Kind::Lines { lines, .. } => (lines.first().map_or(0, |line| head(line, false).0), true),
        Kind::Concat(parts) => {
            let mut width = 0;
            for part in parts {
                let (more, ended) = head(part, false);
                width += more;
                if ended || width > WIDTH {
                    return (width, true);
                }
            }
            (width, false)
        }
    }
}

/// The text of all lines; comments of neighbouring lines in one column.
fn join(lines: &[Line]) -> String {
    let mut text = String::new();
    let mut at = 0;
    while at < lines.len() {
        let run = run(&lines[at..]);
        let column = lines[at..at + run].iter().map(width).max().unwrap_or(0);
        for line in &lines[at..at + run] {
            text.push_str(&line.code);
            if let Some(comment) = &line.comment {
                text.extend(std::iter::repeat_n(' ', column - width(line) + 2));
                text.push_str(comment);
            }
            text.push('\n');
        }
        at += run;
    }
    text
}

fn width(line: &Line) -> usize {
    line.code.chars().count()
}

/// How many lines from the first on carry comments that fit one column.
fn run(lines: &[Line]) -> usize {
    let (mut least, mut most) = (usize::MAX, 0);
    let fits = |line: &&Line| {
        (least, most) = (least.min(width(line)), most.max(width(line)));
        line.comment.is_some() && most - least <= SPREAD
    };
    lines.iter().take_while(fits).count().max(1)
}
