//! A path or standard input becomes a stream of plain bytes; what packed it is told by its first bytes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;

use super::InputError;

/// How a history is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Packing {
    /// Not at all.
    Plain,
    /// gzip, one member or several.
    Gzip,
    /// Zstandard, one frame or several.
    Zstd,
}

impl Packing {
    /// Its name in a message.
    pub const fn name(self) -> &'static str {
        match self {
            Packing::Plain => "plain",
            Packing::Gzip => "gzip",
            Packing::Zstd => "zstd",
        }
    }

    /// The packing whose magic bytes `start` begins with.
    fn of(start: &[u8]) -> Packing {
        match start {
            [0x1F, 0x8B, ..] => Packing::Gzip,
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Packing::Zstd,
            // A skippable frame may come first.
            [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..] => Packing::Zstd,
            _ => Packing::Plain,
        }
    }
}

/// The name by which standard input is asked for.
pub const STDIN: &str = "-";

/// A stream of plain bytes, and how it was packed.
pub struct Opened {
    /// What it is called in messages: the path, or `standard input`.
    pub name: Arc<str>,
    /// The plain bytes.
    pub bytes: Box<dyn Read>,
    /// How they were packed.
    pub packing: Packing,
}

/// What an input is called in messages.
pub fn shown_name(input: &str) -> Arc<str> {
    if input == STDIN { "standard input".into() } else { input.into() }
}

/// The size of all `inputs` in bytes; none where one of them has none to tell.
pub fn total_size(inputs: &[String]) -> Option<u64> {
    inputs.iter().map(|input| std::fs::metadata(input).ok().filter(|m| m.is_file()).map(|m| m.len())).sum()
}

/// Stands between an input and its reader, to see how far it is.
pub type Watch<'w> = &'w dyn Fn(Box<dyn Read>) -> Box<dyn Read>;

/// Opens `input`, a path or `-`.
///
/// # Errors
/// What cannot be opened or read, a directory, and what holds nothing.
pub fn open(input: &str, watch: Watch<'_>) -> Result<Opened, InputError> {
    let name = shown_name(input);
    let raw: Box<dyn Read> = if input == STDIN {
        watch(Box::new(io::stdin().lock()))
    } else {
        let refused = |cause| InputError::Open { file: name.clone(), cause };
        let file = File::open(input).map_err(refused)?;
        if file.metadata().map_err(refused)?.is_dir() {
            return Err(InputError::Directory { file: name });
        }
        watch(Box::new(file))
    };
    unpack(name, raw)
}

/// Unpacks a stream.
///
/// # Errors
/// A stream that cannot be read, and one that holds nothing.
pub fn unpack(name: Arc<str>, raw: Box<dyn Read>) -> Result<Opened, InputError> {
    let (raw, start) = with_start(raw).map_err(|cause| InputError::Open { file: name.clone(), cause })?;
    if start.is_empty() {
        return Err(InputError::Empty { file: name });
    }
    let packing = Packing::of(&start);
    let bytes: Box<dyn Read> = match packing {
        Packing::Plain => Box::new(raw),
        Packing::Gzip => Box::new(MultiGzDecoder::new(raw)),
        Packing::Zstd => Box::new(
            zstd::stream::read::Decoder::with_buffer(raw)
                .map_err(|cause| InputError::Open { file: name.clone(), cause })?,
        ),
    };
    Ok(Opened { name, bytes, packing })
}

/// A pipe may give its first bytes one by one, so they are read apart and put in front again.
fn with_start(mut raw: Box<dyn Read>) -> io::Result<(impl BufRead, Vec<u8>)> {
    let mut start = Vec::with_capacity(4);
    raw.by_ref().take(4).read_to_end(&mut start)?;
    let whole = io::Cursor::new(start.clone()).chain(BufReader::with_capacity(128 << 10, raw));
    Ok((whole, start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packing_is_told_by_the_first_bytes() {
        for (start, want) in [
            (&b"{\"at\""[..], Packing::Plain),
            (b"{", Packing::Plain),
            (b"\x1F\x8B\x08\0", Packing::Gzip),
            (b"\x28\xB5\x2F\xFD", Packing::Zstd),
            (b"\x50\x2A\x4D\x18", Packing::Zstd),
            (b"\xEF\xBB\xBFa", Packing::Plain),
        ] {
            assert_eq!(Packing::of(start), want, "{start:?}");
        }
    }
}
