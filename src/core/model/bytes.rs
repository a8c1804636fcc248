//! Numbers as few bytes: seven bits of a number in each, the low ones first, so that small numbers are short. For what
//! rests in memory; what is kept in the store has a layout of its own.

/// Appends a number.
#[inline]
pub(in crate::core) fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// A signed number as one without a sign: 0, -1, 1, -2, …
#[inline]
pub(in crate::core) fn fold(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

/// [`fold`] undone.
#[inline]
pub(in crate::core) fn unfold(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// Reads what [`put`] wrote, in its order.
///
/// # Panics
/// Where it was not written so: nothing from outside is read by it.
#[derive(Clone, Debug)]
pub(in crate::core) struct Bytes<'a>(pub(in crate::core) &'a [u8]);

impl<'a> Bytes<'a> {
    /// The next number.
    #[inline]
    pub(in crate::core) fn number(&mut self) -> u64 {
        let first = self.byte();
        if first < 0x80 {
            return u64::from(first);
        }
        let (mut number, mut shift) = (u64::from(first & 0x7f), 7);
        loop {
            let byte = self.byte();
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return number;
            }
            shift += 7;
        }
    }

    /// The next byte.
    #[inline]
    pub(in crate::core) fn byte(&mut self) -> u8 {
        let first = self.0[0];
        self.0 = &self.0[1..];
        first
    }

    /// The next so many bytes.
    #[inline]
    pub(in crate::core) fn some(&mut self, count: usize) -> &'a [u8] {
        let (first, rest) = self.0.split_at(count);
        self.0 = rest;
        first
    }

    /// The next eight bytes as a number.
    #[inline]
    pub(in crate::core) fn whole(&mut self) -> u64 {
        let mut whole = [0; 8];
        whole.copy_from_slice(self.some(8));
        u64::from_le_bytes(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let numbers = [0, 1, 127, 128, 300, 1 << 35, u64::MAX >> 1, u64::MAX];
        let mut bytes = Vec::new();
        for number in numbers {
            put(&mut bytes, number);
            put(&mut bytes, fold(number as i64));
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let mut read = Bytes(&bytes);
        for number in numbers {
            assert_eq!(read.number(), number);
            assert_eq!(unfold(read.number()), number as i64);
            assert_eq!(read.whole(), number);
        }
        assert!(read.0.is_empty());
        assert_eq!([0, -1, 1, -2].map(fold), [0, 1, 2, 3]);
    }
}
