//! Lines out of a stream of bytes, through one buffer that never grows past its bound.

use std::io::{self, BufRead, Read};
use std::ops::Range;

/// The longest line that is read, in bytes, without its line end. A longer one is skipped, not buffered.
pub const MAX_LINE: usize = 1 << 20;

/// What may stand around a line without being of it: a byte-order mark and the `\r` of its end.
const MARKS_ROUND: usize = 4;

const FIRST_BUFFER: usize = 256 << 10;

/// What the stream gave next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A line that is not empty, as a range of [`LineReader::text`]; without its line end.
    Text(Range<usize>),
    /// A line longer than [`MAX_LINE`]; it has been skipped.
    TooLong,
}

/// Reads lines: `\n` or `\r\n`, the last one with or without; a byte-order mark at the start and empty lines
/// are skipped.
pub struct LineReader<R> {
    input: R,
    buffer: Vec<u8>,
    /// What has been read and not yet given out lies in `buffer[next..filled]`.
    next: usize,
    filled: usize,
    at_end: bool,
    number: u64,
}

impl<R: Read> LineReader<R> {
    /// A reader at the start of `input`.
    pub fn new(input: R) -> LineReader<R> {
        LineReader { input, buffer: vec![0; FIRST_BUFFER], next: 0, filled: 0, at_end: false, number: 0 }
    }

    /// The number of the line given last, counted from 1; empty lines count.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The bytes of a line, until the next call of [`LineReader::next_line`].
    pub fn text(&self, line: Range<usize>) -> &[u8] {
        &self.buffer[line]
    }

    /// The next line that is not empty; none at the end.
    ///
    /// # Errors
    /// What the input answers. Lines that were complete before are given out first.
    pub fn next_line(&mut self) -> io::Result<Option<Line>> {
        loop {
            let Some(found) = self.any_line()? else { return Ok(None) };
            self.number += 1;
            let Line::Text(mut range) = found else { return Ok(Some(found)) };
            if self.number == 1 && self.buffer[range.clone()].starts_with(b"\xEF\xBB\xBF") {
                range.start += 3;
            }
            if self.buffer[range.clone()].ends_with(b"\r") {
                range.end -= 1;
            }
            if range.len() > MAX_LINE {
                return Ok(Some(Line::TooLong));
            }
            if self.buffer[range.clone()].iter().any(|b| !b.is_ascii_whitespace()) {
                return Ok(Some(Line::Text(range)));
            }
        }
    }

    /// The first bytes that are not white space nor a byte-order mark, without consuming them.
    ///
    /// # Errors
    /// What the input answers.
    pub fn peek_byte(&mut self) -> io::Result<Option<u8>> {
        loop {
            let seen = &self.buffer[self.next..self.filled];
            let seen = seen.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(seen);
            let first = seen.iter().copied().find(|b| !b.is_ascii_whitespace());
            if first.is_some() || self.at_end || self.filled == self.buffer.len() {
                return Ok(first);
            }
            self.fill()?;
        }
    }

    /// The rest of the stream, for a reader of another shape.
    pub fn into_rest(self) -> impl Read {
        let LineReader { input, mut buffer, next, filled, .. } = self;
        buffer.truncate(filled);
        let mut seen = io::Cursor::new(buffer);
        seen.set_position(next as u64);
        seen.chain(input)
    }

    /// The next line whatever it holds, its number not yet counted.
    fn any_line(&mut self) -> io::Result<Option<Line>> {
        let mut searched = self.next;
        loop {
            if let Some(length) = find_newline(&self.buffer[searched..self.filled]) {
                let line = self.next..searched + length;
                self.next = line.end + 1;
                return Ok(Some(Line::Text(line)));
            }
            let waiting = self.filled - self.next;
            if waiting > MAX_LINE + MARKS_ROUND {
                self.skip_line()?;
                return Ok(Some(Line::TooLong));
            }
            if self.at_end {
                let line = self.next..self.filled;
                self.next = self.filled;
                return Ok((!line.is_empty()).then_some(Line::Text(line)));
            }
            self.make_room();
            searched = self.next + waiting;
            self.fill()?;
        }
    }

    fn make_room(&mut self) {
        if self.filled < self.buffer.len() {
            return;
        }
        if self.next > 0 {
            self.buffer.copy_within(self.next..self.filled, 0);
            self.filled -= self.next;
            self.next = 0;
        }
        if self.filled > self.buffer.len() / 2 {
            let larger = (self.buffer.len() * 2).min(2 * MAX_LINE);
            self.buffer.resize(larger, 0);
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        loop {
            match self.input.read(&mut self.buffer[self.filled..]) {
                Ok(0) => self.at_end = true,
                Ok(n) => self.filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            }
            return Ok(());
        }
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            if let Some(length) = find_newline(&self.buffer[self.next..self.filled]) {
                self.next += length + 1;
                return Ok(());
            }
            self.next = 0;
            self.filled = 0;
            if self.at_end {
                return Ok(());
            }
            self.fill()?;
        }
    }
}

/// Where the first newline stands. The standard library looks for it with vectors, but only inside `BufRead`.
fn find_newline(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    // Reading from a slice cannot fail.
    let taken = rest.skip_until(b'\n').unwrap_or(0);
    (taken > 0 && bytes[taken - 1] == b'\n').then(|| taken - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives out a few bytes a time, as a pipe may.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let n = self.0.len().min(self.1).min(out.len());
            out[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn read_all(bytes: &[u8], step: usize) -> Vec<(u64, Option<String>)> {
        let mut lines = LineReader::new(Drip(bytes, step));
        let mut got = Vec::new();
        while let Some(line) = lines.next_line().expect("a drip never fails") {
            let text = match line {
                Line::Text(range) => Some(String::from_utf8_lossy(lines.text(range)).into_owned()),
                Line::TooLong => None,
            };
            got.push((lines.number(), text));
        }
        got
    }

    #[test]
    fn lines_keep_their_numbers() {
        let t = |n, s: &str| (n, Some(s.to_owned()));
        for (name, bytes, want) in [
            ("nothing", &b""[..], vec![]),
            ("only line ends", b"\n\r\n \n", vec![]),
            ("no last line end", b"a\nb", vec![t(1, "a"), t(2, "b")]),
            ("both line ends", b"a\r\nb\n", vec![t(1, "a"), t(2, "b")]),
            ("byte-order mark", b"\xEF\xBB\xBFa\n\nb\n", vec![t(1, "a"), t(3, "b")]),
            ("only a byte-order mark", b"\xEF\xBB\xBF", vec![]),
        ] {
            for step in [1, 2, 1000] {
                assert_eq!(read_all(bytes, step), want, "{name}, {step} bytes a time");
            }
        }
    }

    #[test]
    fn a_long_line_is_skipped_and_told() {
        for (length, end, fits) in [
            (MAX_LINE, "\n", true),
            (MAX_LINE, "\r\n", true),
            (MAX_LINE, "", true),
            (MAX_LINE + 1, "\n", false),
            (MAX_LINE + 1, "", false),
            (10 << 20, "\n", false),
            (10 << 20, "", false),
        ] {
            let mut bytes = b"first\n".to_vec();
            bytes.extend(std::iter::repeat_n(b'x', length));
            bytes.extend_from_slice(end.as_bytes());
            if !end.is_empty() {
                bytes.extend_from_slice(b"last\n");
            }
            let got = read_all(&bytes, 100_000);
            let name = format!("{length} bytes and {end:?}");
            assert_eq!(got[1].0, 2, "{name}");
            assert_eq!(got[1].1.is_some(), fits, "{name}");
            if !end.is_empty() {
                assert_eq!(got[2], (3, Some("last".to_owned())), "{name}");
            }
        }
    }

    #[test]
    fn a_long_line_is_not_buffered() {
        let bytes = vec![b'x'; 8 << 20];
        let mut lines = LineReader::new(&bytes[..]);
        assert_eq!(lines.next_line().ok(), Some(Some(Line::TooLong)));
        assert!(lines.buffer.len() <= 2 * MAX_LINE);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_split_as_by_hand(
            bytes in proptest::collection::vec(proptest::sample::select(b"ab \n\r\xEF\xBB\xBF".to_vec()), 0..60),
            step in 1usize..9,
        ) {
            let whole = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
            let mut want = Vec::new();
            for (number, line) in (1..).zip(whole.split(|b| *b == b'\n')) {
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                if line.iter().any(|b| !b.is_ascii_whitespace()) {
                    want.push((number, Some(String::from_utf8_lossy(line).into_owned())));
                }
            }
            proptest::prop_assert_eq!(read_all(&bytes, step), want);
        }
    }
}
