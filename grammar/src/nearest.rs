//! The word somebody meant.

use crate::tokens::STARTERS;

/// What people from elsewhere write for the words that open an item.
const ELSEWHERE: [(&str, &str); 14] = [
    ("layer", "block"),
    ("module", "block"),
    ("class", "block"),
    ("struct", "block"),
    ("network", "model"),
    ("net", "model"),
    ("def", "fn"),
    ("func", "fn"),
    ("function", "fn"),
    ("import", "use"),
    ("from", "use"),
    ("const", "let"),
    ("optimizer", "policy"),
    ("residual", "topology"),
];

/// The word for an item that is nearest to `word`, if any is near.
pub(crate) fn starter(word: &str) -> Option<&'static str> {
    let own = STARTERS.iter().map(|&starter| (starter, starter));
    let all = own.chain(ELSEWHERE).map(|(like, starter)| (distance(word, like), like.len(), starter));
    let near = all.filter(|(edits, length, _)| *edits <= 2 && edits < length);
    near.min_by_key(|(edits, ..)| *edits).map(|(.., starter)| starter)
}

/// How many letters must be changed, added or dropped. Words beyond any keyword are far.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 16 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let change = diagonal + (x != y) as usize;
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
