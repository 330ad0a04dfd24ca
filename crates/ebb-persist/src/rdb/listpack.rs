//! Listpacks.
//!
//! ```text
//! | bytes, 4 | number, 2 (65535: not known) | element ... | 0xff |
//! element: | head | rest | length of both, seven bits a byte, to be read from the end |
//! head:    0xxxxxxx: the integer        110xxxxx + 1: integer of 13 bits
//!          10xxxxxx: so many bytes      1110xxxx + 1: so many bytes
//!          0xf0: length of 4 bytes, bytes
//!          0xf1 to 0xf4: integer of 2, 3, 4 or 8 bytes
//! ```

use ebb_types::number::{INTEGER_LEN_MAX, parse_i64};

use super::items::Items;
use super::reader::Reader;
use super::text::Text;
use super::{LoadError, Loaded, ensure};

const HEADER: usize = 6;
const END: u8 = 0xff;
const COUNT_UNKNOWN: u16 = u16::MAX;

/// The length behind an element.
struct Back {
    bytes: [u8; 5],
    len: usize,
}

impl Back {
    fn of(len: usize) -> Back {
        // A length that just fits gets a byte more, but for the shortest: so it has always been.
        let used = match len {
            0..=127 => 1,
            128..16_383 => 2,
            16_383..2_097_151 => 3,
            2_097_151..268_435_455 => 4,
            _ => 5,
        };
        let mut bytes = [0; 5];
        for (at, byte) in bytes[..used].iter_mut().enumerate() {
            *byte = (len >> (7 * (used - 1 - at))) as u8 & 0x7f | if at > 0 { 0x80 } else { 0 };
        }
        Back { bytes, len: used }
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The elements of a listpack.
pub(super) struct Listpack<'a> {
    rest: Reader<'a>,
    stated: u16,
    seen: usize,
}

impl<'a> Listpack<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Loaded<Listpack<'a>> {
        let mut rest = Reader::new(bytes);
        ensure(u32::from_le_bytes(rest.array()?) as usize == bytes.len())?;
        let stated = u16::from_le_bytes(rest.array()?);
        Ok(Listpack { rest, stated, seen: 0 })
    }

    fn int<const N: usize>(&mut self) -> Loaded<Text<'a>> {
        let bytes: [u8; N] = self.rest.array()?;
        let mut wide = [0; 8];
        wide[..N].copy_from_slice(&bytes);
        let unused = 64 - 8 * N as u32;
        Ok((i64::from_le_bytes(wide) << unused >> unused).into())
    }

    fn bytes(&mut self, len: usize) -> Loaded<Text<'a>> {
        self.rest.take(len).map(Text::Bytes)
    }

    fn element(&mut self, head: u8) -> Loaded<Text<'a>> {
        let low = |bits: u32| u16::from(head) & ((1 << bits) - 1);
        match head {
            0..0x80 => Ok(i64::from(head).into()),
            0x80..0xc0 => self.bytes(low(6).into()),
            0xc0..0xe0 => {
                let value = low(5) << 8 | u16::from(self.rest.byte()?);
                Ok((i64::from(value) << 51 >> 51).into())
            }
            0xe0..0xf0 => {
                let len = low(4) << 8 | u16::from(self.rest.byte()?);
                self.bytes(len.into())
            }
            0xf0 => {
                let len = u32::from_le_bytes(self.rest.array()?);
                self.bytes(len as usize)
            }
            0xf1 => self.int::<2>(),
            0xf2 => self.int::<3>(),
            0xf3 => self.int::<4>(),
            0xf4 => self.int::<8>(),
            _ => Err(LoadError::Corrupt),
        }
    }
}

impl<'a> Items<'a> for Listpack<'a> {
    fn next(&mut self) -> Loaded<Option<Text<'a>>> {
        let before = self.rest.left();
        let head = self.rest.byte()?;
        if head == END {
            ensure(self.rest.is_empty())?;
            ensure(self.stated == COUNT_UNKNOWN || usize::from(self.stated) == self.seen)?;
            // Who asks again finds the end again.
            self.rest = Reader::new(&[END]);
            return Ok(None);
        }
        let text = self.element(head)?;
        let back = Back::of(before - self.rest.left());
        ensure(self.rest.take(back.len)? == back.as_slice())?;
        self.seen += 1;
        Ok(Some(text))
    }
}

/// Builds a listpack.
pub(super) struct Builder {
    bytes: Vec<u8>,
    count: usize,
}

impl Builder {
    pub(super) fn new() -> Builder {
        Builder { bytes: vec![0; HEADER], count: 0 }
    }

    /// Number of elements.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    fn end_element(&mut self, start: usize) {
        let back = Back::of(self.bytes.len() - start);
        self.bytes.extend_from_slice(back.as_slice());
        self.count += 1;
    }

    /// Adds a string, as an integer if it is one.
    pub(super) fn push(&mut self, text: &[u8]) {
        if text.len() <= INTEGER_LEN_MAX
            && let Some(value) = parse_i64(text)
        {
            return self.push_int(value);
        }
        let start = self.bytes.len();
        match text.len() {
            len @ 0..64 => self.bytes.push(0x80 | len as u8),
            len @ 64..4096 => self.bytes.extend([0xe0 | (len >> 8) as u8, len as u8]),
            len => {
                self.bytes.push(0xf0);
                self.bytes.extend((len as u32).to_le_bytes());
            }
        }
        self.bytes.extend_from_slice(text);
        self.end_element(start);
    }

    /// Adds an integer.
    pub(super) fn push_int(&mut self, value: i64) {
        let start = self.bytes.len();
        let bytes = value.to_le_bytes();
        let (head, len) = match value {
            0..128 => (value as u8, 0),
            -4096..4096 => {
                self.bytes.extend([0xc0 | (value >> 8) as u8 & 0x1f, value as u8]);
                return self.end_element(start);
            }
            -0x8000..0x8000 => (0xf1, 2),
            -0x80_0000..0x80_0000 => (0xf2, 3),
            -0x8000_0000..0x8000_0000 => (0xf3, 4),
            _ => (0xf4, 8),
        };
        self.bytes.push(head);
        self.bytes.extend_from_slice(&bytes[..len]);
        self.end_element(start);
    }

    /// Adds all elements of another one.
    pub(super) fn append(&mut self, other: &Builder) {
        self.bytes.extend_from_slice(&other.bytes[HEADER..]);
        self.count += other.count;
    }

    /// The listpack.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.push(END);
        let len = self.bytes.len() as u32;
        let count = self.count.min(usize::from(COUNT_UNKNOWN)) as u16;
        self.bytes[..4].copy_from_slice(&len.to_le_bytes());
        self.bytes[4..HEADER].copy_from_slice(&count.to_le_bytes());
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Loaded<Vec<Vec<u8>>> {
        let mut items = Listpack::new(bytes)?;
        let mut all = Vec::new();
        while let Some(item) = items.next()? {
            all.push(item.to_vec());
        }
        Ok(all)
    }

    fn sample() -> (Vec<u8>, Vec<Vec<u8>>) {
        let mut builder = Builder::new();
        let mut texts = Vec::new();
        for power in 0..64 {
            for value in [1_i64 << power, (1_i64 << power).wrapping_sub(1), (-1_i64) << power] {
                texts.push(value.to_string().into_bytes());
            }
        }
        for len in [0, 1, 63, 64, 125, 126, 127, 4095, 4096, 16_377, 16_378, 16_379, 70_000] {
            texts.push(vec![b'x'; len]);
        }
        texts.push(b"-0".to_vec());
        texts.iter().for_each(|text| builder.push(text));
        (builder.finish(), texts)
    }

    #[test]
    fn elements_come_back() {
        let (bytes, texts) = sample();
        assert_eq!(all(&bytes), Ok(texts));
        assert_eq!(all(&Builder::new().finish()), Ok(Vec::new()));
    }

    #[test]
    fn bytes_are_those_of_redis() {
        let mut builder = Builder::new();
        [&b"1"[..], b"-1", b"300", b"a", b"40000"].iter().for_each(|text| builder.push(text));
        let expected = [
            25, 0, 0, 0, 5, 0, 1, 1, 0xdf, 0xff, 2, 0xc1, 0x2c, 2, 0x81, b'a', 2, 0xf2, 0x40, 0x9c,
            0, 4, 0xff,
        ];
        let bytes = builder.finish();
        assert_eq!(bytes[6..], expected[6..]);
        assert_eq!(bytes[..6], [bytes.len() as u8, 0, 0, 0, 5, 0]);
    }

    #[test]
    fn many_elements_are_not_counted() {
        let mut builder = Builder::new();
        (0..70_000).for_each(|value| builder.push_int(value));
        assert_eq!(all(&builder.finish()).unwrap().len(), 70_000);
    }

    #[test]
    fn damage_is_found() {
        let (bytes, texts) = sample();
        for at in (0..600).chain(bytes.len() - 600..bytes.len()) {
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << bit;
                // What cannot be told is only another value in the place of one.
                if let Ok(read) = all(&bad) {
                    assert_eq!(read.len(), texts.len());
                }
            }
            assert_eq!(all(&bytes[..at]), Err(LoadError::Corrupt));
        }
    }
}
