//! What is written on boxes.

use super::graph::{Kind, Node};

/// Height of a line of text.
pub(crate) const LINE: f64 = 15.0;

/// The text of a node, line by line.
pub(crate) fn lines(node: &Node) -> Vec<String> {
    let mut lines = vec![title(node)];
    let last = node.path.rsplit('.').next().unwrap_or("");
    let plain = node.title.to_lowercase();
    if !node.open && !last.is_empty() && last.replace('_', "") != plain {
        lines.push(last.to_string());
    }
    if !node.shape.is_empty() {
        lines.push(node.shape.clone());
    }
    if node.parameters > 0 {
        lines.push(format!("{} parameters", grouped(node.parameters)));
    }
    lines
}

/// What stands first.
pub(crate) fn title(node: &Node) -> String {
    match &node.count {
        Some(count) => format!("{} × {count}", node.title),
        None => node.title.clone(),
    }
}

/// The one line over an open box.
pub(crate) fn heading(node: &Node) -> String {
    lines(node).join("   ")
}

/// `1_048_576` as people write it.
pub(crate) fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let places = digits.len();
    let separated = digits.chars().enumerate().flat_map(|(place, digit)| {
        let comma = place > 0 && (places - place).is_multiple_of(3);
        comma.then_some(',').into_iter().chain([digit])
    });
    separated.collect()
}

/// About how wide a line is, in pixels.
pub(crate) fn text_width(text: &str, per_character: f64) -> f64 {
    text.chars().count() as f64 * per_character
}

/// Whether a node is a border of the model.
pub(crate) fn is_port(node: &Node) -> bool {
    matches!(node.kind, Kind::Input | Kind::Output)
}
