//! Looks at 16 or 64 bytes at once, and mostly answers with a bit per byte, the first byte in the lowest bit: the primitive under the decoder,
//! the reader, the JSON writer and the inference of numbers. In WebAssembly it is SIMD, elsewhere arithmetic on 8 bytes at a time; both are
//! safe code.

/// How many bytes the reader looks at in one step, several in a row. A text is followed by as many bytes of padding, so that every step can
/// be a whole one.
pub const BLOCK: usize = 64;

/// 16 bytes of `text` from `at`; zeros where the text and its padding end, which no caller reaches.
#[inline(always)]
pub fn load(text: &[u8], at: usize) -> [u8; 16] {
    match text.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
        Some(bytes) => *bytes,
        None => [0; 16],
    }
}

/// The bytes that have a meaning in a dialect: delimiter, quote, escape and the two ends of a line. Repeated ones do no harm.
#[derive(Debug, Clone, Copy)]
pub struct Needles(pub [u8; 5]);

impl Needles {
    /// Which bytes of a block are one of these.
    #[inline(always)]
    pub fn find(self, block: &[u8; BLOCK]) -> u64 {
        let mut mask = 0;
        for (quarter, bytes) in block.as_chunks::<16>().0.iter().enumerate() {
            mask |= u64::from(lanes::any_of(bytes, &self.0)) << (16 * quarter);
        }
        mask
    }
}

/// Whether all bytes are ASCII: in WebAssembly the standard library looks at 4 at a time.
pub fn is_ascii(text: &[u8]) -> bool {
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    blocks.iter().all(lanes::is_ascii) && rest.is_ascii()
}

/// How often each of two bytes is in a text.
pub fn count(text: &[u8], needles: [u8; 2]) -> [usize; 2] {
    let mut counts = [0; 2];
    // Each lane counts in a byte.
    for chunk in text.chunks(16 * 255) {
        let (blocks, rest) = chunk.as_chunks::<16>();
        for ((count, some), needle) in counts.iter_mut().zip(lanes::count(blocks, needles)).zip(needles) {
            *count += some + rest.iter().filter(|byte| **byte == needle).count();
        }
    }
    counts
}

/// Which bytes cannot stand as they are in a JSON string: control characters, `"` and `\`.
#[inline(always)]
pub fn needs_escape(bytes: &[u8; 16]) -> u32 {
    lanes::needs_escape(bytes).into()
}

/// Which bytes make a cell of CSV need quotes around it: commas, quotes and line ends; and NULs, which are to be found too.
#[inline(always)]
pub fn needs_quotes(bytes: &[u8; 16]) -> u32 {
    lanes::any_of(bytes, b",\"\r\n\0").into()
}

/// Which bytes are `0` to `9`.
#[inline(always)]
pub fn digits(bytes: &[u8; 16]) -> u32 {
    lanes::digits(bytes).into()
}

/// Which bytes can be part of a number as JSON writes it: digits, `.`, `e`, `E`, `+` and `-`.
#[inline(always)]
pub fn in_numbers(bytes: &[u8; 16]) -> u32 {
    digits(bytes) | u32::from(lanes::any_of(bytes, b".eE+-"))
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod lanes {
    use std::arch::wasm32::{
        i8x16_bitmask, i8x16_eq, u8x16_lt, u8x16_splat, u8x16_sub, u16x8_extadd_pairwise_u8x16, u32x4_extadd_pairwise_u16x8,
        u32x4_extract_lane, u64x2, v128, v128_or,
    };

    #[inline(always)]
    fn vector(bytes: &[u8; 16]) -> v128 {
        let whole = u128::from_le_bytes(*bytes);
        u64x2(whole as u64, (whole >> 64) as u64)
    }

    #[inline(always)]
    pub(super) fn is_ascii(block: &[u8; super::BLOCK]) -> bool {
        let all = block.as_chunks::<16>().0.iter().map(vector).reduce(|a, b| v128_or(a, b));
        all.is_none_or(|all| i8x16_bitmask(all) == 0)
    }

    /// Of at most 255 blocks.
    #[inline(always)]
    pub(super) fn count(blocks: &[[u8; 16]], needles: [u8; 2]) -> [usize; 2] {
        let (mut sums, needles) = ([u8x16_splat(0); 2], needles.map(|needle| u8x16_splat(needle)));
        for block in blocks {
            let block = vector(block);
            sums = [0, 1].map(|which| u8x16_sub(sums[which], i8x16_eq(block, needles[which])));
        }
        sums.map(|sum| {
            let sum = u32x4_extadd_pairwise_u16x8(u16x8_extadd_pairwise_u8x16(sum));
            (u32x4_extract_lane::<0>(sum) + u32x4_extract_lane::<1>(sum) + u32x4_extract_lane::<2>(sum) + u32x4_extract_lane::<3>(sum))
                as usize
        })
    }

    #[inline(always)]
    pub(super) fn any_of(bytes: &[u8; 16], needles: &[u8; 5]) -> u16 {
        let bytes = vector(bytes);
        let [a, b, c, d, e] = needles.map(|needle| i8x16_eq(bytes, u8x16_splat(needle)));
        i8x16_bitmask(v128_or(v128_or(v128_or(a, b), v128_or(c, d)), e))
    }

    #[inline(always)]
    pub(super) fn needs_escape(bytes: &[u8; 16]) -> u16 {
        let bytes = vector(bytes);
        let control = u8x16_lt(bytes, u8x16_splat(b' '));
        i8x16_bitmask(v128_or(control, v128_or(i8x16_eq(bytes, u8x16_splat(b'"')), i8x16_eq(bytes, u8x16_splat(b'\\')))))
    }

    #[inline(always)]
    pub(super) fn digits(bytes: &[u8; 16]) -> u16 {
        i8x16_bitmask(u8x16_lt(u8x16_sub(vector(bytes), u8x16_splat(b'0')), u8x16_splat(10)))
    }
}

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
mod lanes {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const LOW: u64 = 0x7f * ONES;

    /// 0x80 in every byte that is zero.
    #[inline(always)]
    fn zeros(bytes: u64) -> u64 {
        !(((bytes & LOW) + LOW) | bytes | LOW)
    }

    #[inline(always)]
    fn equal(bytes: u64, byte: u8) -> u64 {
        zeros(bytes ^ (u64::from(byte) * ONES))
    }

    /// From 0x80 in some bytes to one bit for each.
    #[inline(always)]
    fn gather(bytes: &[u8; 16], flags: impl Fn(u64) -> u64) -> u16 {
        let whole = u128::from_le_bytes(*bytes);
        let bits = |half: u64| (flags(half) >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        (bits(whole as u64) | (bits((whole >> 64) as u64) << 8)) as u16
    }

    #[inline(always)]
    pub(super) fn is_ascii(block: &[u8; super::BLOCK]) -> bool {
        block.is_ascii()
    }

    #[inline(always)]
    pub(super) fn count(blocks: &[[u8; 16]], needles: [u8; 2]) -> [usize; 2] {
        // Few enough for a sum in a byte, of which the compiler makes vectors.
        let count = |some: &[[u8; 16]], needle| some.as_flattened().iter().map(|byte| u8::from(*byte == needle)).sum::<u8>();
        needles.map(|needle| blocks.chunks(15).map(|some| usize::from(count(some, needle))).sum())
    }

    #[inline(always)]
    pub(super) fn any_of(bytes: &[u8; 16], needles: &[u8; 5]) -> u16 {
        gather(bytes, |half| needles.iter().fold(0, |found, needle| found | equal(half, *needle)))
    }

    #[inline(always)]
    pub(super) fn needs_escape(bytes: &[u8; 16]) -> u16 {
        gather(bytes, |half| zeros(half & (0xe0 * ONES)) | equal(half, b'"') | equal(half, b'\\'))
    }

    #[inline(always)]
    pub(super) fn digits(bytes: &[u8; 16]) -> u16 {
        gather(bytes, |half| {
            let value = half ^ (0x30 * ONES);
            !(value | ((value & LOW) + 0x76 * ONES)) & (0x80 * ONES)
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_every_length() {
        for length in (0..=33).chain(239..=257).chain(4079..=4097).chain([8161]) {
            for text in [vec![b'\n'; length], vec![b'\r'; length], (0..length).map(|at| b"\nx\r\r.."[at * at % 6]).collect()] {
                let naive = |needle: u8| text.iter().filter(|byte| **byte == needle).count();
                assert_eq!(count(&text, [b'\n', b'\r']), [naive(b'\n'), naive(b'\r')], "{length}");
            }
        }
        for length in 0..=130 {
            let mut text = vec![b'x'; length];
            assert!(is_ascii(&text));
            for at in 0..length {
                text[at] = 0x80;
                assert!(!is_ascii(&text), "{at} of {length}");
                text[at] = 0x7f;
            }
        }
    }

    #[test]
    fn every_byte_in_every_lane() {
        for byte in 0..=255u8 {
            for lane in 0..16 {
                let mut bytes = [b'x'; 16];
                bytes[lane] = byte;
                let expect = |found: bool| if found { 1u32 << lane } else { 0 };
                assert_eq!(needs_escape(&bytes), expect(byte < 0x20 || byte == b'"' || byte == b'\\'), "{byte} in {lane}");
                assert_eq!(digits(&bytes), expect(byte.is_ascii_digit()), "{byte} in {lane}");
            }
            for at in 0..BLOCK {
                let mut block = [b'x'; BLOCK];
                block[at] = byte;
                let found = matches!(byte, b',' | b'"' | b'\n' | b'\r' | b'\\');
                assert_eq!(Needles(*b",\"\n\r\\").find(&block), u64::from(found) << at, "{byte} at {at}");
                assert_eq!(is_ascii(&block), byte < 0x80, "{byte} at {at}");
            }
        }
    }
}
