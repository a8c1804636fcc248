//! "Did you mean": the known name that is closest to the one found.

/// The candidate that `found` most likely meant: at most a third of its letters differ, and no other is closer.
pub(crate) fn nearest<'a>(found: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 64;
    if found.chars().count() > LONGEST {
        return None;
    }
    let allowed = (found.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(found, candidate), candidate))
        .filter(|(d, _)| *d <= allowed)
        .min_by_key(|(d, _)| *d)
        .map(|(_, candidate)| candidate)
}

/// How many letters have to be put in, taken out, replaced or swapped with their neighbour; case does not count.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().flat_map(char::to_lowercase).collect();
    let b: Vec<char> = b.chars().flat_map(char::to_lowercase).collect();
    let mut before_last = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_name_is_offered() {
        let known = ["calendar", "cancel", "name", "on", "start", "stop", "target"];
        for (found, want) in [
            ("calender", Some("calendar")),
            ("tarjet", Some("target")),
            ("tagret", Some("target")),
            ("Name", Some("name")),
            ("strat", Some("start")),
            ("colour", None),
            ("", None),
            ("名称", None),
        ] {
            assert_eq!(nearest(found, known), want, "{found}");
        }
        assert_eq!(nearest(&"x".repeat(10_000), known), None);
    }
}
