//! Where something stands in an answer: `data.items.0`, or a JSON pointer (RFC 6901) such as `/data/items/0`.

use serde_json::Value;

/// A place in an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path(String);

impl Path {
    /// Reads a path; an empty one is the answer itself.
    ///
    /// # Errors
    /// Why it is none.
    pub(super) fn read(text: &str) -> Result<Path, String> {
        if text.len() > 500 {
            return Err("is longer than 500 bytes".to_owned());
        }
        if text.is_empty() || text.starts_with('/') {
            return Ok(Path(text.to_owned()));
        }
        if text.split('.').any(str::is_empty) {
            return Err(format!("found `{text}`, expected a path such as data.items or /data/items"));
        }
        let pointer = text.split('.').map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1")));
        Ok(Path(pointer.collect()))
    }

    /// What stands there; a null is nothing.
    pub(super) fn of<'v>(&self, answer: &'v Value) -> Option<&'v Value> {
        answer.pointer(&self.0).filter(|value| !value.is_null())
    }
}

/// A value as a text, where it is a plain one. Numbers stay exact.
pub(super) fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_ways_to_write_it_find_the_same() {
        let answer = json!({ "data": { "items": [7], "a/b": 1, "a.b": 2, "n": null } });
        for (path, want) in [
            ("data.items.0", Some(json!(7))),
            ("/data/items/0", Some(json!(7))),
            ("data.a/b", Some(json!(1))),
            ("/data/a~1b", Some(json!(1))),
            ("/data/a.b", Some(json!(2))),
            ("data.n", None),
            ("data.none.x", None),
            ("", Some(answer.clone())),
        ] {
            assert_eq!(Path::read(path).unwrap().of(&answer), want.as_ref(), "{path}");
        }
        for bad in ["a..b", ".", "a."] {
            assert!(Path::read(bad).is_err(), "{bad}");
        }
    }
}
