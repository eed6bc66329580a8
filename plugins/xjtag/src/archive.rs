//! The entries of a zip archive, read in the guest: the host offers those of files named `.zip` only. As much of the format as XJTAG writes:
//! stored and deflated entries with their sizes in the directory, of one disk, not encrypted. What is unpacked must have the size and the
//! check sum that the directory says. Knows nothing of what is in the entries.

use std::io::{self, BufReader, Read, Seek, SeekFrom, Take};

use dropforge_sdk::{Error, Input, Result};
use flate2::Crc;
use flate2::bufread::DeflateDecoder;

/// What an entry begins with.
const LOCAL: [u8; 4] = *b"PK\x03\x04";
/// What the directory's entries begin with, and how many bytes of each have a fixed place.
const CENTRAL: ([u8; 4], usize) = (*b"PK\x01\x02", 46);
/// What the end of the directory begins with, and how many bytes it has before a comment.
const END: ([u8; 4], usize) = (*b"PK\x05\x06", 22);
/// How many bytes an entry has before its name.
const LOCAL_BYTES: u64 = 30;
/// The longest comment.
const MAX_COMMENT: u64 = u16::MAX as u64;
/// The largest directory: some 50,000 entries.
const MAX_DIRECTORY_BYTES: u32 = 4 << 20;

/// An entry of the directory.
pub(crate) struct Entry {
    /// Its name, with `/` between folders.
    pub name: String,
    offset: u64,
    method: u16,
    encrypted: bool,
    packed: u64,
    size: u64,
    crc: u32,
}

/// An archive's directory.
pub(crate) struct Archive {
    /// Its entries.
    pub entries: Vec<Entry>,
    /// Where it begins.
    pub directory: u64,
}

impl Entry {
    /// Says of an error inside an entry where that is: lines and columns are those of the entry.
    pub fn place(&self, mut error: Error) -> Error {
        let place = error.at.take().map_or(String::new(), |at| format!(" ({at})"));
        error.message = format!("{}{place}: {}", self.name, error.message);
        error.offset(self.offset)
    }
}

/// The name of the entry at the beginning of an archive; none for what does not begin with one. Reading goes on at the beginning.
///
/// # Errors
/// What reading gives.
pub(crate) fn first_name(input: &mut Input) -> Result<Option<String>> {
    let head = part(input, 0, LOCAL_BYTES + 256)?;
    input.seek(SeekFrom::Start(0))?;
    if !head.starts_with(&LOCAL) {
        return Ok(None);
    }
    let length = usize::from(u16_at(&head, 26).unwrap_or_default());
    let from = LOCAL_BYTES as usize;
    Ok(Some(String::from_utf8_lossy(head.get(from..from + length).unwrap_or_default()).into_owned()))
}

impl Archive {
    /// Reads the directory.
    ///
    /// # Errors
    /// `Malformed` where it is not there (it is the end of the file) or not whole; `Unsupported` for more than one disk, and for sizes of more
    /// than 4 GiB.
    pub fn open(input: &mut Input) -> Result<Archive> {
        let size = input.size();
        let from = size.saturating_sub(END.1 as u64 + MAX_COMMENT);
        let tail = part(input, from, END.1 as u64 + MAX_COMMENT)?;
        let is_end = |at: &usize| {
            let rest = tail.get(*at..).unwrap_or_default();
            rest.starts_with(&END.0) && u16_at(rest, 20).is_some_and(|comment| rest.len() == END.1 + usize::from(comment))
        };
        let found = (0..=tail.len().saturating_sub(END.1)).rev().find(is_end);
        let Some(end) = found.and_then(|at| tail.get(at..)) else {
            return Err(Error::malformed("the zip archive has no directory: its end is missing").code("truncated").offset(size));
        };
        let (count, bytes, directory) = match (u16_at(end, 10), u32_at(end, 12), u32_at(end, 16)) {
            (Some(count), Some(bytes), Some(directory)) => (count, bytes, u64::from(directory)),
            _ => (0, 0, 0),
        };
        if u32_at(end, 4) != Some(0) || count == u16::MAX || bytes > MAX_DIRECTORY_BYTES {
            let message = "a zip archive of more than one disk, or of a size that XJTAG's logs do not have";
            return Err(Error::unsupported(message).code("zip").offset(size));
        }
        let broken = || Error::malformed("the directory of the zip archive is broken").code("zip").offset(directory);
        let bytes = part(input, directory, u64::from(bytes))?;
        let mut rest = bytes.as_slice();
        let mut entries = Vec::new();
        for _ in 0..count {
            let (entry, after) = entry(rest).ok_or_else(broken)?;
            entries.push(entry);
            rest = after;
        }
        Ok(Archive { entries, directory })
    }
}

/// The first entry of a directory, and what follows it.
fn entry(bytes: &[u8]) -> Option<(Entry, &[u8])> {
    if !bytes.starts_with(&CENTRAL.0) {
        return None;
    }
    let long = |at| u32_at(bytes, at).map(u64::from);
    let [name, extra, comment] = [28, 30, 32].map(|at| u16_at(bytes, at).map(usize::from));
    let (name, rest) = bytes.get(CENTRAL.1..)?.split_at_checked(name?)?;
    let entry = Entry {
        name: String::from_utf8_lossy(name).replace('\\', "/"),
        offset: long(42)?,
        method: u16_at(bytes, 10)?,
        encrypted: u16_at(bytes, 8)? & 1 == 1,
        packed: long(20)?,
        size: long(24)?,
        crc: u32_at(bytes, 16)?,
    };
    Some((entry, rest.get(extra? + comment?..)?))
}

/// Reads an entry. The last read fails where size or check sum are not what the directory says.
///
/// # Errors
/// `Malformed` where there is no entry in its place; `Unsupported` for one that is encrypted or packed otherwise.
pub(crate) fn unpack<'a, 'i>(input: &'a mut Input<'i>, entry: &Entry) -> Result<BufReader<Unpacked<'a, 'i>>> {
    if entry.encrypted || !matches!(entry.method, 0 | 8) {
        return Err(Error::unsupported("it is encrypted, or packed otherwise than by `deflate`").code("zip"));
    }
    let head = part(input, entry.offset, LOCAL_BYTES)?;
    let (Some(name), Some(extra), true) = (u16_at(&head, 26), u16_at(&head, 28), head.starts_with(&LOCAL)) else {
        return Err(Error::malformed("the zip archive has no entry where its directory says").code("zip"));
    };
    input.seek(SeekFrom::Start(entry.offset + LOCAL_BYTES + u64::from(name) + u64::from(extra)))?;
    let packed = input.take(entry.packed);
    let bytes = if entry.method == 0 { Bytes::Stored(packed) } else { Bytes::Deflated(Box::new(DeflateDecoder::new(packed))) };
    Ok(BufReader::new(Unpacked { bytes, left: entry.size, crc: Crc::new(), expected: entry.crc }))
}

/// An entry's content.
pub(crate) struct Unpacked<'a, 'i> {
    bytes: Bytes<'a, 'i>,
    /// How many bytes are missing.
    left: u64,
    crc: Crc,
    expected: u32,
}

enum Bytes<'a, 'i> {
    Stored(Take<&'a mut Input<'i>>),
    Deflated(Box<DeflateDecoder<Take<&'a mut Input<'i>>>>),
}

impl Read for Unpacked<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.bytes {
            Bytes::Stored(bytes) => bytes.read(buffer),
            Bytes::Deflated(bytes) => bytes.read(buffer),
        };
        let count = count.map_err(|error| broken(&format!("it cannot be unpacked: {error}")))?;
        self.crc.update(buffer.get(..count).unwrap_or_default());
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| broken("more is packed than the directory says"))?;
        if count == 0 && !buffer.is_empty() && (self.left > 0 || self.crc.sum() != self.expected) {
            return Err(broken("its check sum or its size is not what the directory says"));
        }
        Ok(count)
    }
}

fn broken(message: &str) -> io::Error {
    Error::malformed(message).code("zip").into()
}

/// At most so many bytes from a place on.
fn part(input: &mut Input, from: u64, most: u64) -> Result<Vec<u8>> {
    input.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    input.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
