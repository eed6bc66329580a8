//! The bytes of a file as records: decompressed where they are compressed, framed by their headers, one in memory at a time. Knows nothing of
//! what is in a record.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek};

use bzip2::bufread::MultiBzDecoder;
use dropforge_sdk::{Error, Input, Result};
use flate2::bufread::MultiGzDecoder;

/// A record's type and sub-type.
pub(crate) type Kind = (u8, u8);

/// In which order the bytes of a number stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Highest first, as Sun's workstations had it.
    Big,
    /// Lowest first, as PCs have it.
    Little,
}

/// One record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'r> {
    pub kind: Kind,
    /// Where its header begins, in the file as it is without compression.
    pub offset: u64,
    /// What follows its header.
    pub body: &'r [u8],
    pub order: Order,
}

/// The records of a file.
pub(crate) struct Records<'i> {
    source: Box<dyn Read + 'i>,
    order: Order,
    body: Vec<u8>,
    offset: u64,
    ended: bool,
}

/// Whether a file begins as gzip or bzip2 do, by its first bytes.
pub(crate) fn compression(head: &[u8]) -> Option<&'static str> {
    match head {
        [0x1f, 0x8b, 8, ..] => Some("gzip"),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some("bzip2"),
        _ => None,
    }
}

/// Reads a compressed file through once: the sums that prove its bytes right stand behind them, and no report may come of wrong ones. Where it
/// ends too early, what is there may be read.
fn check(input: &mut Input<'_>) -> Result<()> {
    let mut nothing = io::sink();
    let read = match compression(input.fill_buf()?) {
        Some("gzip") => io::copy(&mut MultiGzDecoder::new(&mut *input), &mut nothing),
        Some(_) => io::copy(&mut MultiBzDecoder::new(&mut *input), &mut nothing),
        None => return Ok(()),
    };
    match read.map_err(|error| refused(error, 0)) {
        Err(error) if error.code != "truncated" => return Err(error),
        _ => {}
    }
    input.rewind()?;
    Ok(())
}

impl<'i> Records<'i> {
    /// Opens a file and learns its byte order, which its first record shows. That record comes out again as the first.
    ///
    /// # Errors
    /// `Unsupported` for what is no STDF file, or one of another version or of a VAX; what reading gives.
    pub fn open(input: &'i mut Input<'_>) -> Result<Self> {
        check(input)?;
        let mut source: Box<dyn Read + 'i> = match compression(input.fill_buf()?) {
            Some("gzip") => Box::new(BufReader::new(MultiGzDecoder::new(input))),
            Some(_) => Box::new(BufReader::new(MultiBzDecoder::new(input))),
            None => Box::new(input),
        };
        let mut head = [0; 6];
        let count = fill(&mut source, &mut head).map_err(|error| refused(error, 0))?;
        let (order, cpu, version) = match head {
            [0, 2, 0, 10, cpu, version] if count == 6 => (Order::Big, cpu, version),
            [2, 0, 0, 10, cpu, version] if count == 6 => (Order::Little, cpu, version),
            _ => {
                return Err(Error::unsupported("there is no record FAR at the beginning: this is no STDF file").code("not_stdf").offset(0));
            }
        };
        if version != 4 {
            return Err(Error::unsupported(format!("the file is of version {version} of STDF; only version 4 is read"))
                .code("version")
                .offset(5));
        }
        if cpu == 0 {
            return Err(Error::unsupported("the file has the floating-point numbers of a VAX (CPU_TYPE 0)").code("cpu_type").offset(4));
        }
        let source = Box::new(io::Cursor::new(head).chain(source));
        Ok(Records { source, order, body: Vec::new(), offset: 0, ended: false })
    }

    /// The next record; none at the end. After an error there is none either: where one record ends is where the next begins.
    ///
    /// # Errors
    /// `Malformed` where the file ends inside a record, or is not compressed as it says; what reading gives.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>> {
        if self.ended {
            return Ok(None);
        }
        self.ended = true;
        let offset = self.offset;
        let mut header = [0; 4];
        let count = fill(&mut self.source, &mut header).map_err(|error| refused(error, offset))?;
        if count == 0 {
            return Ok(None);
        }
        let [first, second, kind, sub] = header;
        let length = match self.order {
            Order::Big => u16::from_be_bytes([first, second]),
            Order::Little => u16::from_le_bytes([first, second]),
        };
        self.body.resize(usize::from(length), 0);
        let read = if count == 4 { fill(&mut self.source, &mut self.body).map_err(|error| refused(error, offset))? } else { 0 };
        if count < 4 || read < self.body.len() {
            return Err(Error::malformed("the file ends inside a record").code("truncated").offset(offset));
        }
        self.ended = false;
        self.offset += 4 + u64::from(length);
        Ok(Some(Record { kind: (kind, sub), offset, body: &self.body, order: self.order }))
    }
}

/// Reads until the buffer is full or the source ends, and says how many bytes there were.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// What reading failed with: the host's error as it is, anything else is the compression's.
fn refused(error: io::Error, offset: u64) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            Error::malformed("the compressed file ends too early").code("truncated").offset(offset)
        }
        Err(error) => Error::malformed(format!("the file cannot be decompressed: {error}")).code("compression").offset(offset),
    }
}
