//! Forms as they come over the wire: `name=value&…`, packed as URLs pack them.

/// The fields of a form, in their order. `None` where it is none: a packed byte that is no byte, a text that is no UTF-8.
pub fn fields(body: &[u8]) -> Option<Vec<(String, String)>> {
    let text = std::str::from_utf8(body).ok()?;
    let parts = text.split('&').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Some((unpack(name)?, unpack(value)?))
        })
        .collect()
}

/// One name or value.
fn unpack(text: &str) -> Option<String> {
    let digit = |b: &u8| char::from(*b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, others @ ..] = rest {
        rest = others;
        match (first, others) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, after @ ..]) => {
                bytes.push(digit(high)? << 4 | digit(low)?);
                rest = after;
            }
            (b'%', _) => return None,
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).ok()
}

/// A form of these fields.
pub fn pack<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (name, value) in fields {
        for (mark, part) in [("&", name), ("=", value)] {
            if !text.is_empty() {
                text.push_str(mark);
            }
            for byte in part.bytes() {
                match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                        text.push(char::from(byte))
                    }
                    b' ' => text.push('+'),
                    byte => text.push_str(&format!("%{byte:02X}")),
                }
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_unpacked_to_the_byte() {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        for (body, want) in [
            ("a=1&b=x+y%2B%26", Some(vec![pair("a", "1"), pair("b", "x y+&")])),
            ("param=%7B%22a%22%3A%22%E5%9C%86%22%7D", Some(vec![pair("param", "{\"a\":\"圆\"}")])),
            ("a", Some(vec![pair("a", "")])),
            ("a=b=c", Some(vec![pair("a", "b=c")])),
            ("", Some(Vec::new())),
            ("a=%", None),
            ("a=%4", None),
            ("a=%zz", None),
            ("a=%ff", None),
        ] {
            assert_eq!(fields(body.as_bytes()), want, "{body}");
        }
        assert_eq!(fields(b"a=\xff"), None);
    }

    proptest::proptest! {
        #[test]
        fn what_is_packed_is_unpacked(name in "\\PC{1,20}", value in "(?s).{0,60}", other in "\\PC{0,20}") {
            let packed = pack([(name.as_str(), value.as_str()), ("b", other.as_str())]);
            let want = vec![(name, value), ("b".to_owned(), other)];
            proptest::prop_assert_eq!(fields(packed.as_bytes()), Some(want));
        }

        #[test]
        fn anything_is_a_form_or_none(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            fields(&bytes);
        }
    }
}
