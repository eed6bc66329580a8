//! From bytes to UTF-8, chunk by chunk: the four usual encodings by hand, all others by `encoding_rs`.

use crate::block::is_ascii;
use crate::encoding::{Encoding, by_sequences};

/// What could not be decoded, and stands as U+FFFD.
#[derive(Debug, Default)]
pub struct Replaced {
    /// Where the first ones are in the decoded text.
    pub first: Vec<usize>,
    /// How many there are.
    pub count: u64,
}

/// How many positions of replaced bytes are kept of a chunk.
const KEPT: usize = 32;

impl Replaced {
    fn put(&mut self, out: &mut Vec<u8>) {
        if self.first.len() < KEPT {
            self.first.push(out.len());
        }
        self.count += 1;
        out.extend_from_slice("\u{fffd}".as_bytes());
    }
}

/// Decodes a file chunk by chunk. As long as there is nothing but ASCII, an undetected encoding stays open: the first chunk with
/// something else decides, however far into the file it is.
pub struct Decoder {
    encoding: Option<Encoding>,
    /// The library's decoder, of an encoding that is not decoded here.
    other: Option<encoding_rs::Decoder>,
    /// The first bytes of a sequence whose others are in the next chunk.
    carry: Vec<u8>,
    /// Whether a byte order mark may still come.
    at_start: bool,
}

impl Decoder {
    /// A decoder for a known encoding, or one that finds out.
    pub fn new(encoding: Option<Encoding>) -> Self {
        Decoder { encoding, other: None, carry: Vec::new(), at_start: true }
    }

    /// The encoding; UTF-8 for a text of nothing but ASCII.
    pub fn encoding(&self) -> Encoding {
        self.encoding.unwrap_or(Encoding::Utf8)
    }

    /// Appends the text of the next chunk to `out`. `last` says that no other follows.
    pub fn decode(&mut self, chunk: &[u8], last: bool, out: &mut Vec<u8>, replaced: &mut Replaced) {
        let joined;
        let mut bytes = chunk;
        if !self.carry.is_empty() {
            joined = [std::mem::take(&mut self.carry).as_slice(), chunk].concat();
            bytes = &joined;
        }
        if self.at_start {
            bytes = match self.skip_mark(bytes, last) {
                Some(rest) => rest,
                None => return self.carry.extend_from_slice(bytes),
            };
        }
        if self.encoding.is_none() {
            if is_ascii(bytes) {
                return out.extend_from_slice(bytes);
            }
            self.encoding = by_sequences(bytes).map(|(encoding, _)| encoding);
            if self.encoding.is_none() && last {
                self.encoding = Some(Encoding::Windows1252);
            }
        }
        let done = match self.encoding() {
            Encoding::Utf8 => utf8(bytes, last, out, replaced),
            Encoding::Utf16Le => utf16(bytes, u16::from_le_bytes, last, out, replaced),
            Encoding::Utf16Be => utf16(bytes, u16::from_be_bytes, last, out, replaced),
            Encoding::Windows1252 => windows_1252(bytes, out),
            Encoding::Other(encoding) => {
                let decoder = self.other.get_or_insert_with(|| encoding.new_decoder_without_bom_handling());
                other(decoder, bytes, last, out, replaced);
                bytes.len()
            }
        };
        self.carry.extend_from_slice(bytes.get(done..).unwrap_or_default());
    }

    /// `bytes` without the byte order mark, if there is one; none where more bytes are needed to tell.
    fn skip_mark<'b>(&mut self, bytes: &'b [u8], last: bool) -> Option<&'b [u8]> {
        let mark: &[u8] = match self.encoding() {
            Encoding::Utf8 => &[0xef, 0xbb, 0xbf],
            Encoding::Utf16Le => &[0xff, 0xfe],
            Encoding::Utf16Be => &[0xfe, 0xff],
            Encoding::Windows1252 | Encoding::Other(_) => &[],
        };
        if !last && bytes.len() < mark.len() && mark.starts_with(bytes) {
            return None;
        }
        self.at_start = false;
        Some(bytes.strip_prefix(mark).unwrap_or(bytes))
    }
}

/// Copies what is UTF-8; answers how many bytes are used.
fn utf8(bytes: &[u8], last: bool, out: &mut Vec<u8>, replaced: &mut Replaced) -> usize {
    let mut rest = bytes;
    loop {
        let Err(error) = std::str::from_utf8(rest) else {
            out.extend_from_slice(rest);
            return bytes.len();
        };
        let (valid, bad) = rest.split_at(error.valid_up_to());
        out.extend_from_slice(valid);
        match error.error_len() {
            Some(length) => {
                replaced.put(out);
                rest = bad.get(length..).unwrap_or_default();
            }
            None if last => {
                replaced.put(out);
                return bytes.len();
            }
            None => return bytes.len() - bad.len(),
        }
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16, last: bool, out: &mut Vec<u8>, replaced: &mut Replaced) -> usize {
    let (pairs, odd) = bytes.as_chunks::<2>();
    let mut units = pairs.iter().map(|pair| unit(*pair)).peekable();
    out.reserve(bytes.len());
    while let Some(first) = units.next() {
        if first < 0x80 {
            out.push(first as u8);
            continue;
        }
        let second = if (0xd800..0xdc00).contains(&first) { units.next_if(|second| (0xdc00..0xe000).contains(second)) } else { None };
        if (0xd800..0xdc00).contains(&first) && second.is_none() && units.peek().is_none() && !last {
            return bytes.len() - odd.len() - 2;
        }
        match char::decode_utf16([first].into_iter().chain(second)).next() {
            Some(Ok(c)) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            _ => replaced.put(out),
        }
    }
    if last && !odd.is_empty() {
        replaced.put(out);
        return bytes.len();
    }
    bytes.len() - odd.len()
}

/// Decodes with the library, whose decoder keeps the first bytes of a character itself.
fn other(decoder: &mut encoding_rs::Decoder, mut bytes: &[u8], last: bool, out: &mut Vec<u8>, replaced: &mut Replaced) {
    loop {
        let start = out.len();
        let room = decoder.max_utf8_buffer_length_without_replacement(bytes.len()).unwrap_or(4 * bytes.len()) + 16;
        out.resize(start + room, 0);
        let (result, read, written) = decoder.decode_to_utf8_without_replacement(bytes, out.get_mut(start..).unwrap_or_default(), last);
        out.truncate(start + written);
        bytes = bytes.get(read..).unwrap_or_default();
        match result {
            encoding_rs::DecoderResult::InputEmpty => return,
            encoding_rs::DecoderResult::OutputFull => {}
            encoding_rs::DecoderResult::Malformed(..) => replaced.put(out),
        }
    }
}

fn windows_1252(bytes: &[u8], out: &mut Vec<u8>) -> usize {
    out.reserve(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| !byte.is_ascii()) {
        let (ascii, tail) = rest.split_at(at);
        out.extend_from_slice(ascii);
        let Some((byte, tail)) = tail.split_first() else { break };
        let c = match byte.checked_sub(0x80).and_then(|index| WINDOWS_1252.get(usize::from(index))) {
            Some(c) => *c,
            None => char::from(*byte),
        };
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        rest = tail;
    }
    out.extend_from_slice(rest);
    bytes.len()
}

/// 0x80 to 0x9f; the five bytes without a character stand for the control characters of their number, as the WHATWG's standard has it.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•', '–',
    '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    /// Decodes in chunks of every size, which must make no difference.
    fn decode(encoding: Option<Encoding>, bytes: &[u8]) -> (String, u64, Encoding) {
        let mut results: Vec<(String, u64, Encoding)> = Vec::new();
        for size in 1..=bytes.len().max(1) {
            let (mut decoder, mut out, mut replaced) = (Decoder::new(encoding), Vec::new(), Replaced::default());
            for chunk in bytes.chunks(size) {
                decoder.decode(chunk, false, &mut out, &mut replaced);
            }
            decoder.decode(&[], true, &mut out, &mut replaced);
            results.push((String::from_utf8(out).unwrap(), replaced.count, decoder.encoding()));
        }
        results.dedup();
        assert_eq!(results.len(), 1, "{results:?}");
        results.remove(0)
    }

    fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(unit).collect()
    }

    #[test]
    fn decodes_each_encoding() {
        let text = "a,b\nÅse,😀€\n";
        let detected = |bytes: &[u8]| decode(Encoding::of(bytes).map(|(encoding, _)| encoding), bytes);
        let marked = format!("\u{feff}{text}");
        let latin: Vec<u8> = [b"a,b\n", &[0xc5][..], b"se,", &[0x80, 0x81], b"\n"].concat();
        assert_eq!(detected(text.as_bytes()), (text.into(), 0, Encoding::Utf8));
        assert_eq!(detected(marked.as_bytes()), (text.into(), 0, Encoding::Utf8));
        assert_eq!(detected(&utf16(text, u16::to_le_bytes)), (text.into(), 0, Encoding::Utf16Le));
        assert_eq!(detected(&utf16(&marked, u16::to_le_bytes)), (text.into(), 0, Encoding::Utf16Le));
        assert_eq!(detected(&utf16(text, u16::to_be_bytes)), (text.into(), 0, Encoding::Utf16Be));
        assert_eq!(detected(&utf16(&marked, u16::to_be_bytes)), (text.into(), 0, Encoding::Utf16Be));
        assert_eq!(detected(&latin), ("a,b\nÅse,€\u{81}\n".into(), 0, Encoding::Windows1252));
        assert_eq!(detected(b"a,b\n"), ("a,b\n".into(), 0, Encoding::Utf8));
        assert_eq!(detected(b""), ("".into(), 0, Encoding::Utf8));
    }

    #[test]
    fn replaces_what_is_broken_as_the_standard_says() {
        let broken: &[u8] = b"\xc3\xa9\xe2\x82,\xff\xf0\x9f\x98\xe2\x82\xac\xc3";
        assert_eq!(decode(Some(Encoding::Utf8), broken), (String::from_utf8_lossy(broken).into_owned(), 4, Encoding::Utf8));
        let lone = [0x41, 0, 0x3d, 0xd8, 0x42, 0, 0x00, 0xde, 0x3d, 0xd8, 0x43];
        assert_eq!(decode(Some(Encoding::Utf16Le), &lone), ("A\u{fffd}B\u{fffd}\u{fffd}\u{fffd}".into(), 4, Encoding::Utf16Le));
    }

    #[test]
    fn decodes_what_the_world_writes() {
        let table = [
            ("shift_jis", "製品,結果\n電圧計,合格\n抵抗器,不合格\nテスト,ソフトウェア\n"),
            ("windows-1251", "изделие,результат\nвольтметр,годен\nрезистор,брак\n"),
            ("windows-1250", "výrobek,výsledek\nžárovka,vyhovuje\nměřič,nevyhovuje\nříjen,pátek\n"),
            ("koi8-u", "изделие,результат\nвольтметр,годен\nрезистор,брак\n"),
            ("gbk", "产品,结果\n电压表,合格\n电阻器,不合格\n"),
            ("euc-kr", "제품,결과\n전압계,합격\n저항기,불합격\n"),
            ("windows-1253", "προϊόν,αποτέλεσμα\nβολτόμετρο,εντάξει\n"),
        ];
        for (name, text) in table {
            let Some(Encoding::Other(encoding)) = Encoding::named(name) else { panic!("{name}") };
            let bytes = encoding.encode(text).0.into_owned();
            let (detected, _) = Encoding::of(&bytes).unwrap();
            assert_eq!(decode(Some(detected), &bytes), (text.into(), 0, detected), "{name}");
            assert_eq!(detected.to_string(), name);
        }
    }

    #[test]
    fn signs_alone_tell_no_language() {
        let bytes = b"temperature,\xb0C\ncapacity,\xb5F\nerror,\xb1 5\narea,m\xb2\n\xb0C,\xb5F,\xb0C\n";
        assert_eq!(Encoding::of(bytes).unwrap().0, Encoding::Windows1252);
        let german = "Größe;Wert\nLänge;5\nHöhe;7\nPrüfung;für jedes Gerät\n".chars().map(|c| c as u8).collect::<Vec<u8>>();
        assert_eq!(Encoding::of(&german).unwrap().0, Encoding::Windows1252);
    }

    #[test]
    fn encodings_have_many_names() {
        for name in ["latin1", "latin-1", "ISO-8859-1", "cp1252", "windows-1252"] {
            assert_eq!(Encoding::named(name), Some(Encoding::Windows1252), "{name}");
        }
        assert_eq!(Encoding::named("cp932"), Encoding::named("Shift_JIS"));
        assert_eq!((Encoding::named("utf8"), Encoding::named("latin-7")), (Some(Encoding::Utf8), None));
    }

    #[test]
    fn ascii_leaves_the_encoding_open() {
        let (mut decoder, mut out, mut replaced) = (Decoder::new(None), Vec::new(), Replaced::default());
        for chunk in [&b"plain,"[..], b"plain\n", b"caf\xe9,", b"\x80\n"] {
            decoder.decode(chunk, false, &mut out, &mut replaced);
        }
        decoder.decode(&[], true, &mut out, &mut replaced);
        assert_eq!((String::from_utf8(out).unwrap().as_str(), decoder.encoding()), ("plain,plain\ncafé,€\n", Encoding::Windows1252));
    }
}
