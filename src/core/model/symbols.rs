//! Names as small numbers.
//!
//! Sources, kinds, marks and attributes are few and repeated in every case; a case keeps their numbers. The
//! table is bounded, so that a source that invents names cannot grow it without end. No order of numbers ever
//! reaches an output: they are given in the order of arrival.

use std::sync::Arc;

use hashbrown::HashTable;

use super::words::Words;

/// The number of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sym(u16);

impl Sym {
    /// Stands for no name; no table gives it.
    pub(super) const NONE: Sym = Sym(u16::MAX);

    /// Its place in a table that is indexed by name.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The name at a place that [`Sym::index`] gave.
    pub(in crate::core) fn at(index: u16) -> Sym {
        Sym(index)
    }
}

/// The table of names.
#[derive(Debug, Default)]
pub struct Symbols {
    names: Vec<Name>,
    index: HashTable<u16>,
    words: Words,
}

#[derive(Debug)]
struct Name {
    text: Arc<str>,
    digest: u64,
    single: bool,
    deadline: bool,
}

/// Marks that happen once in the life of a case; every other mark may come again, told apart by its reference or
/// its instant (`sla_semantics` §4). Configuration adds to both sides (`[marks]`).
const SINGLE: &[&str] = &[
    "accepted",
    "cancelled",
    "closed",
    "created",
    "delivered",
    "done",
    "handed_over",
    "merged",
    "opened",
    "out_for_delivery",
    "paid",
    "picked_up",
    "promised",
    "refunded",
    "return_requested",
    "return_reviewed",
    "return_shipped",
    "return_signed",
    "shipped",
    "signed",
    "spam",
    "vip_since",
];

impl Symbols {
    /// The longest name, in bytes.
    pub const LONGEST: usize = 100;
    /// The most names.
    pub const MOST: usize = 60_000;

    /// A table without names.
    pub fn new() -> Symbols {
        Symbols::default()
    }

    /// The number of `text`, given now if it is new. `None` when the text is empty or longer than
    /// [`Symbols::LONGEST`], or the table holds [`Symbols::MOST`] names already.
    pub fn intern(&mut self, text: &str) -> Option<Sym> {
        if let Some(known) = self.get(text) {
            return Some(known);
        }
        if text.is_empty() || text.len() > Symbols::LONGEST || self.names.len() >= Symbols::MOST {
            return None;
        }
        let number = u16::try_from(self.names.len()).ok()?;
        self.names.push(Name {
            text: text.into(),
            digest: hash64(text.as_bytes()),
            single: SINGLE.binary_search(&text).is_ok(),
            deadline: text.ends_with("_by"),
        });
        let names = &self.names;
        self.index.insert_unique(hash64(text.as_bytes()), number, |n| names[usize::from(*n)].digest);
        Some(Sym(number))
    }

    /// The number of `text` if it has one.
    pub fn get(&self, text: &str) -> Option<Sym> {
        self.index
            .find(hash64(text.as_bytes()), |n| &*self.names[usize::from(*n)].text == text)
            .map(|n| Sym(*n))
    }

    /// The name behind a number of this table.
    pub fn name(&self, sym: Sym) -> &Arc<str> {
        &self.names[sym.index()].text
    }

    /// [`hash64`] of the name.
    pub fn digest(&self, sym: Sym) -> u64 {
        self.names[sym.index()].digest
    }

    /// Says whether the mark happens once in the life of a case; holds for entries merged from now on.
    pub fn declare_single(&mut self, sym: Sym, single: bool) {
        self.names[sym.index()].single = single;
    }

    /// Whether the mark happens once in the life of a case.
    pub fn is_single(&self, sym: Sym) -> bool {
        self.names[sym.index()].single
    }

    /// Whether the mark is a deadline that the platform set: its name ends in `_by`.
    pub fn is_deadline(&self, sym: Sym) -> bool {
        self.names[sym.index()].deadline
    }

    /// The number of what the attribute `name` says, where it is one of the texts that many cases say.
    pub(super) fn word(&mut self, name: Sym, text: &str) -> Option<u32> {
        self.words.number(name, text)
    }

    /// The text behind a number of [`Symbols::word`].
    pub(super) fn word_text(&self, word: u32) -> &str {
        self.words.text(word)
    }

    /// How many names there are.
    pub fn count(&self) -> usize {
        self.names.len()
    }
}

/// A 64-bit digest of bytes, the same in every run and on every machine. It is part of what a snapshot keeps (the
/// identity of cycles): changing it needs a new snapshot version. Not meant to resist an attacker.
pub fn hash64(bytes: &[u8]) -> u64 {
    let mut hash = 0x9e37_79b9_7f4a_7c15_u64 ^ (bytes.len() as u64);
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let mut word = [0u8; 8];
        word.copy_from_slice(chunk);
        hash = fold(hash ^ u64::from_le_bytes(word));
    }
    fold(fold(hash ^ last_word(bytes)))
}

/// The bytes after the last whole word, as one number. Names are short, so this is most of the work: nothing is copied
/// byte by byte.
fn last_word(bytes: &[u8]) -> u64 {
    let rest = bytes.len() % 8;
    if rest == 0 {
        return 0;
    }
    if let Some(last) = bytes.last_chunk::<8>() {
        return u64::from_le_bytes(*last) >> (8 * (8 - rest));
    }
    match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(first), Some(last)) => {
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << (8 * (rest - 4))
        }
        _ => {
            u64::from(bytes[0])
                | u64::from(bytes[rest / 2]) << (8 * (rest / 2))
                | u64::from(bytes[rest - 1]) << (8 * (rest - 1))
        }
    }
}

/// Two digests as one; the order matters.
pub fn combine(a: u64, b: u64) -> u64 {
    fold(fold(a ^ 0x2545_f491_4f6c_dd1d) ^ b)
}

fn fold(x: u64) -> u64 {
    let wide = u128::from(x) * 0xa076_1d64_78bd_642f_u128;
    (wide as u64) ^ ((wide >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_numbers_and_kinds() {
        let mut symbols = Symbols::new();
        let paid = symbols.intern("paid");
        let reply = symbols.intern("agent_reply");
        let ship_by = symbols.intern("ship_by");
        assert_eq!(symbols.intern("paid"), paid);
        assert_eq!(symbols.get("ship_by"), ship_by);
        assert_eq!(symbols.get("unheard"), None);
        let (Some(paid), Some(reply), Some(ship_by)) = (paid, reply, ship_by) else {
            panic!("three names fit into the table")
        };
        assert!(symbols.is_single(paid) && !symbols.is_single(reply));
        assert!(symbols.is_deadline(ship_by) && !symbols.is_deadline(paid));
        assert_eq!(&**symbols.name(reply), "agent_reply");
    }

    #[test]
    fn the_table_is_bounded() {
        let mut symbols = Symbols::new();
        for n in 0..Symbols::MOST {
            assert!(symbols.intern(&format!("n{n}")).is_some());
        }
        assert_eq!(symbols.intern("one more"), None);
        assert_eq!(symbols.intern(&"x".repeat(101)), None);
        assert_eq!(symbols.count(), Symbols::MOST);
    }

    #[test]
    fn the_table_of_single_marks_is_sorted() {
        assert!(SINGLE.is_sorted());
    }

    #[test]
    fn the_last_word_is_the_rest_with_zeros() {
        let bytes: Vec<u8> = (1..=40).collect();
        for length in 0..=bytes.len() {
            let rest = &bytes[length / 8 * 8..length];
            let mut word = [0u8; 8];
            word[..rest.len()].copy_from_slice(rest);
            assert_eq!(last_word(&bytes[..length]), u64::from_le_bytes(word), "{length} bytes");
        }
    }

    #[test]
    fn the_digest_is_what_snapshots_keep() {
        assert_eq!(hash64(b""), hash64(b""));
        assert_ne!(hash64(b"a"), hash64(b"a\0"));
        assert_ne!(hash64(b"customer_message"), hash64(b"customer_messagf"));
    }
}
