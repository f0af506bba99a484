//! Finds the name somebody probably meant.

/// The candidate closest to `name`, if it is close enough to suggest.
pub fn nearest<'n>(name: &str, candidates: impl IntoIterator<Item = &'n str>) -> Option<String> {
    let limit = (name.chars().count() / 3).max(1);
    let is_about_as_long =
        |candidate: &&str| candidate.chars().count().abs_diff(name.chars().count()) <= limit;
    candidates
        .into_iter()
        .filter(is_about_as_long)
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, candidate)| (*distance, candidate.len()))
        .map(|(_, candidate)| candidate.to_string())
}

/// Edits (insert, delete, replace, swap of neighbors) between two words, letter case ignored.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) =
        (a.to_lowercase().chars().collect(), b.to_lowercase().chars().collect());
    let mut rows = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    rows.iter_mut().enumerate().for_each(|(i, row)| row[0] = i);
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_found_and_a_stranger_is_not() {
        assert_eq!(nearest("RmsNrm", ["Linear", "RmsNorm"]), Some("RmsNorm".into()));
        assert_eq!(nearest("relu", ["softmax", "Linear"]), None);
    }
}
