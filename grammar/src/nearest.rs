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

/// How many letters must be changed, added, dropped or swapped. Words beyond any keyword are far.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 16 {
        return usize::MAX;
    }
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            table[i][j] = if i == 0 || j == 0 { i + j } else { cheapest(&table, a, b, i, j) };
        }
    }
    table[a.len()][b.len()]
}

/// The cost of the first `i` letters of `a` and `j` of `b`, from shorter ones.
fn cheapest(table: &[Vec<usize>], a: &[u8], b: &[u8], i: usize, j: usize) -> usize {
    let change = table[i - 1][j - 1] + (a[i - 1] != b[j - 1]) as usize;
    let best = change.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1);
    let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
    if swapped { best.min(table[i - 2][j - 2] + 1) } else { best }
}
