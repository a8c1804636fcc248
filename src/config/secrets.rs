//! Values that must never be seen in a message.

use crate::config::tree::{Node, Value};
use crate::core::problem::Step;

/// What is shown instead.
pub(crate) const MASK: &str = "***";

/// Whether the values under this key are secret. Rather one too many: a masked value costs a glance at the file.
pub(crate) fn is_secret_key(key: &str) -> bool {
    let key = key.to_lowercase();
    ["secret", "password", "passwd", "token", "key"].iter().any(|word| key.contains(word))
}

/// Whether a value at this path is secret.
pub(crate) fn is_secret(path: &[Step]) -> bool {
    path.iter().any(|step| matches!(step, Step::Key(key) if is_secret_key(key)))
}

/// All secret texts of a tree, to be taken out of whatever is printed.
#[derive(Debug, Default)]
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    /// Collects every scalar under a secret key.
    pub(crate) fn of(tree: &Node) -> Secrets {
        let mut found = Vec::new();
        tree.walk(&mut Vec::new(), &mut |path, node| {
            if !is_secret(path) {
                return;
            }
            match &node.value {
                Value::Text(text) if !text.is_empty() => found.push(text.clone()),
                Value::Integer(number) => found.push(number.to_string()),
                Value::Real(number) => found.push(number.to_string()),
                _ => {}
            }
        });
        // The longest first, so that one that holds another is masked as a whole.
        found.sort_by_key(|text| std::cmp::Reverse(text.len()));
        Secrets(found)
    }

    /// The text of a message about `path` without any secret. Short values are common words elsewhere, so they are
    /// masked only where the path itself is secret; there, everything quoted that is a piece of the value goes too.
    pub(crate) fn mask(&self, path: &[Step], text: &str) -> String {
        const TELLING: usize = 6;
        let mut masked = text.to_owned();
        for secret in self.0.iter().filter(|s| s.len() >= TELLING) {
            masked = masked.replace(secret.as_str(), MASK);
        }
        if !is_secret(path) {
            return masked;
        }
        masked
            .split('`')
            .enumerate()
            .map(|(i, part)| {
                let piece = part.trim_end_matches('…');
                let quoted = i % 2 == 1;
                if quoted && self.0.iter().any(|s| s.contains(piece)) { MASK } else { part }
            })
            .collect::<Vec<_>>()
            .join("`")
    }
}
