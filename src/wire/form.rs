//! Forms and queries as browsers and providers send them (`application/x-www-form-urlencoded`).

/// The fields of a form or a query in their order, at most so many. Signs that mean nothing stand for themselves, and what
/// is no UTF-8 becomes the sign for that.
pub fn fields(bytes: &[u8], most: usize) -> Vec<(String, String)> {
    let parts = bytes.split(|b| *b == b'&').filter(|field| !field.is_empty()).take(most);
    let field = |field: &[u8]| {
        let mut halves = field.splitn(2, |b| *b == b'=');
        let mut half = || halves.next().map(unpacked).unwrap_or_default();
        (half(), half())
    };
    parts.map(field).collect()
}

/// The value of a field, empty where there is none.
pub fn value<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    fields.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
}

fn unpacked(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        let hex = |b: u8| (b as char).to_digit(16);
        match (first, rest) {
            (b'+', _) => out.push(b' '),
            (b'%', [a, b, after @ ..]) if hex(*a).is_some() && hex(*b).is_some() => {
                out.push((hex(*a).unwrap_or(0) * 16 + hex(*b).unwrap_or(0)) as u8);
                rest = after;
            }
            (other, _) => out.push(*other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_as_browsers_send_them() {
        let form = fields("once=a-b_c&reason=%E5%B7%B2+退款%2&empty=&=x&bare".as_bytes(), 16);
        assert_eq!(value(&form, "once"), "a-b_c");
        assert_eq!(value(&form, "reason"), "已 退款%2");
        assert_eq!((value(&form, "empty"), value(&form, "bare"), value(&form, "missing")), ("", "", ""));
        drop(fields(&[0xff, b'%', b'=', b'&', b'%', b'z', b'z'], 16));
        assert_eq!(fields(b"a=1&&b=2&c=3", 2).len(), 2);
    }
}
