//! The drawing as SVG: no scripts, no fonts, one file.

use super::graph::{Diagram, Kind, Node};
use super::labels::{LINE, heading, is_port, lines};
use super::layout::{HEAD, Layout, Rect, Route, layout};
use std::fmt::Write as _;

/// The picture of a diagram.
pub fn picture(diagram: &Diagram, name: &str) -> String {
    let drawn = layout(diagram);
    let (width, height) = drawn.size;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\" font-family=\"system-ui, sans-serif\" role=\"img\">\n<title>{}</title>\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" \
         orient=\"auto\"><path d=\"M0 0 8 4 0 8z\" fill=\"#555\"/></marker></defs>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        escape(name)
    );
    boxes(diagram, &drawn, &mut out);
    drawn.routes.iter().for_each(|route| edge(route, &mut out));
    for (node, rect) in diagram.nodes.iter().zip(&drawn.rects).filter(|(node, _)| !node.open) {
        leaf(node, rect, &mut out);
    }
    out + "</svg>\n"
}

/// Open boxes, outer ones first.
fn boxes(diagram: &Diagram, drawn: &Layout, out: &mut String) {
    for (node, rect) in diagram.nodes.iter().zip(&drawn.rects).filter(|(node, _)| node.open) {
        let (fill, stroke) = match node.kind {
            Kind::Loop => ("#fff7e8", "#d9a441"),
            Kind::Branch => ("#f1f8f1", "#7fb183"),
            _ => ("#f6f7f9", "#b4bac4"),
        };
        if node.kind == Kind::Loop {
            // A second outline behind: several of these.
            frame(&Rect { x: rect.x + 5.0, y: rect.y + 5.0, ..*rect }, fill, stroke, out);
        }
        let _ = write!(out, "<g>{}", tip(node));
        frame(rect, fill, stroke, out);
        let (x, y) = (rect.x + 12.0, rect.y + HEAD - 7.0);
        let _ = writeln!(
            out,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"12\" fill=\"#333\" font-weight=\"600\">{}</text></g>",
            escape(&heading(node))
        );
    }
}

fn frame(rect: &Rect, fill: &str, stroke: &str, out: &mut String) {
    let Rect { x, y, w, h } = rect;
    let _ = writeln!(
        out,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" rx=\"8\" fill=\"{fill}\" stroke=\"{stroke}\"/>"
    );
}

fn leaf(node: &Node, rect: &Rect, out: &mut String) {
    let (fill, stroke) = match node.kind {
        Kind::Block | Kind::Branch => ("#e3ecfb", "#6f93d2"),
        Kind::Function => ("#efe6f8", "#a184c4"),
        Kind::Loop => ("#fdeccb", "#d9a441"),
        Kind::Input | Kind::Output => ("#dff1e6", "#5f9e78"),
        Kind::Step => ("#f7f7f5", "#b9b9b2"),
    };
    let _ = write!(out, "<g>{}", tip(node));
    frame(rect, fill, stroke, out);
    let middle = rect.x + rect.w / 2.0;
    for (place, line) in lines(node).iter().enumerate() {
        let y = rect.y + 6.0 + LINE * (place as f64 + 0.8);
        let style = match (place, node.kind) {
            (0, Kind::Step) => "font-size=\"12\" fill=\"#222\" font-family=\"ui-monospace, monospace\"",
            (0, _) => "font-size=\"13\" fill=\"#111\" font-weight=\"600\"",
            _ => "font-size=\"11\" fill=\"#555\"",
        };
        let text = escape(line);
        let _ =
            write!(out, "<text x=\"{middle:.1}\" y=\"{y:.1}\" text-anchor=\"middle\" {style}>{text}</text>");
    }
    out.push_str("</g>\n");
}

/// What a pointer over the box tells.
fn tip(node: &Node) -> String {
    if is_port(node) {
        return String::new();
    }
    let path = if node.path.is_empty() { String::new() } else { format!("{} ", node.path) };
    format!("<title>{}</title>", escape(&format!("{path}{}", node.source)))
}

fn edge(route: &Route, out: &mut String) {
    let Some((x, y)) = route.points.first() else { return };
    let mut path = format!("M{x:.1} {y:.1}");
    for pair in route.points.windows(2) {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        if x0 == x1 {
            let _ = write!(path, "V{y1:.1}");
        } else {
            let middle = f64::midpoint(y0, y1);
            let _ = write!(path, "C{x0:.1} {middle:.1} {x1:.1} {middle:.1} {x1:.1} {y1:.1}");
        }
    }
    let (color, width) = if route.long { ("#c2632a", 1.8) } else { ("#777", 1.3) };
    let marker = if route.open { "" } else { " marker-end=\"url(#tip)\"" };
    let _ = writeln!(
        out,
        "<path d=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"{width}\"{marker}/>"
    );
}

/// Text inside markup.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
