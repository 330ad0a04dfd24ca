//! Ziplists, which listpacks have replaced in Redis 7.0.
//!
//! ```text
//! | bytes, 4 | offset of the last entry, 4 | number, 2 (65535: not known) | entry ... | 0xff |
//! entry: | length of the entry before: 1 byte, or 254 and 4 bytes | head | rest |
//! head:  00xxxxxx: so many bytes        0xc0, 0xd0, 0xe0: integer of 2, 4 or 8 bytes
//!        01xxxxxx + 1: so many bytes    0xf0: integer of 3 bytes, 0xfe: of one
//!        0x80: length of 4 bytes        0xf1 to 0xfd: 0 to 12
//! ```

use super::items::Items;
use super::reader::Reader;
use super::text::Text;
use super::{LoadError, Loaded, ensure};

const HEADER: usize = 10;
const END: u8 = 0xff;
const LONG: u8 = 254;

/// The entries of a ziplist.
pub(super) struct Ziplist<'a> {
    rest: Reader<'a>,
    len: usize,
    last: usize,
    stated: u16,
    seen: usize,
    /// Where the entry before begins, and its length.
    before: (usize, usize),
}

impl<'a> Ziplist<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Loaded<Ziplist<'a>> {
        let mut rest = Reader::new(bytes);
        ensure(u32::from_le_bytes(rest.array()?) as usize == bytes.len())?;
        let last = u32::from_le_bytes(rest.array()?) as usize;
        let stated = u16::from_le_bytes(rest.array()?);
        Ok(Ziplist { rest, len: bytes.len(), last, stated, seen: 0, before: (HEADER, 0) })
    }

    fn entry(&mut self) -> Loaded<Text<'a>> {
        let head = self.rest.byte()?;
        let low = usize::from(head & 0x3f);
        let value = match head {
            0..0x40 => return self.bytes(low),
            0x40..0x80 => {
                let len = low << 8 | usize::from(self.rest.byte()?);
                return self.bytes(len);
            }
            0x80 => {
                let len = u32::from_be_bytes(self.rest.array()?);
                return self.bytes(len as usize);
            }
            0xc0 => i16::from_le_bytes(self.rest.array()?).into(),
            0xd0 => i32::from_le_bytes(self.rest.array()?).into(),
            0xe0 => i64::from_le_bytes(self.rest.array()?),
            0xf0 => {
                let [low, middle, high] = self.rest.array()?;
                (i32::from_le_bytes([0, low, middle, high]) >> 8).into()
            }
            0xf1..=0xfd => i64::from(head - 0xf1),
            0xfe => i8::from_le_bytes(self.rest.array()?).into(),
            _ => return Err(LoadError::Corrupt),
        };
        Ok(value.into())
    }

    fn bytes(&mut self, len: usize) -> Loaded<Text<'a>> {
        self.rest.take(len).map(Text::Bytes)
    }
}

impl<'a> Items<'a> for Ziplist<'a> {
    fn next(&mut self) -> Loaded<Option<Text<'a>>> {
        let start = self.len - self.rest.left();
        let previous = match self.rest.byte()? {
            END => {
                ensure(self.rest.is_empty() && self.last == self.before.0)?;
                ensure(self.stated == u16::MAX || usize::from(self.stated) == self.seen)?;
                return Ok(None);
            }
            LONG => u32::from_le_bytes(self.rest.array()?) as usize,
            short => usize::from(short),
        };
        ensure(previous == self.before.1)?;
        let text = self.entry()?;
        self.before = (start, self.len - self.rest.left() - start);
        self.seen += 1;
        Ok(Some(text))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A ziplist of strings that are not too long for a length of two bytes.
    pub(in crate::rdb) fn ziplist(texts: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        let mut last = HEADER;
        for (at, text) in texts.iter().enumerate() {
            let previous = if at == 0 { 0 } else { bytes.len() - last };
            last = bytes.len();
            match previous {
                0..254 => bytes.push(previous as u8),
                _ => {
                    bytes.push(LONG);
                    bytes.extend((previous as u32).to_le_bytes());
                }
            }
            bytes.extend([0x40 | (text.len() >> 8) as u8, text.len() as u8]);
            bytes.extend_from_slice(text);
        }
        bytes.push(END);
        let len = bytes.len() as u32;
        bytes[..4].copy_from_slice(&len.to_le_bytes());
        bytes[4..8].copy_from_slice(&(last as u32).to_le_bytes());
        bytes[8..10].copy_from_slice(&(texts.len() as u16).to_le_bytes());
        bytes
    }

    fn all(bytes: &[u8]) -> Loaded<Vec<Vec<u8>>> {
        let mut items = Ziplist::new(bytes)?;
        let mut all = Vec::new();
        while let Some(item) = items.next()? {
            all.push(item.to_vec());
        }
        Ok(all)
    }

    #[test]
    fn entries_come_back() {
        let long = vec![b'x'; 300];
        let bytes = ziplist(&[b"", b"a", &long, b"after a long one"]);
        let expected = [&b""[..], b"a", &long, b"after a long one"].map(<[u8]>::to_vec);
        assert_eq!(all(&bytes), Ok(expected.to_vec()));
        assert_eq!(all(&ziplist(&[])), Ok(Vec::new()));
        for at in 0..bytes.len() {
            assert_eq!(all(&bytes[..at]), Err(LoadError::Corrupt));
        }
    }

    #[test]
    fn integers_of_all_widths_are_read() {
        let entries: [(&[u8], &str); 8] = [
            (&[0xc0, 0, 0x80], "-32768"),
            (&[0xd0, 0xff, 0xff, 0xff, 0x7f], "2147483647"),
            (&[0xe0, 0, 0, 0, 0, 0, 0, 0, 0x80], "-9223372036854775808"),
            (&[0xf0, 0xff, 0xff, 0xff], "-1"),
            (&[0xf0, 0, 0, 0x80], "-8388608"),
            (&[0xfe, 0x80], "-128"),
            (&[0xf1], "0"),
            (&[0xfd], "12"),
        ];
        let mut bytes = vec![0; HEADER];
        let (mut last, mut previous) = (HEADER, 0);
        for (entry, _) in entries {
            last = bytes.len();
            bytes.push(previous);
            bytes.extend_from_slice(entry);
            previous = entry.len() as u8 + 1;
        }
        bytes.push(END);
        bytes[0] = bytes.len() as u8;
        bytes[4] = last as u8;
        bytes[8] = 8;
        let expected: Vec<_> = entries.iter().map(|(_, text)| text.as_bytes().to_vec()).collect();
        assert_eq!(all(&bytes), Ok(expected));
        for at in [0, 4, 8, last, bytes.len() - 1] {
            bytes[at] ^= 1;
            assert_eq!(all(&bytes), Err(LoadError::Corrupt), "{at}");
            bytes[at] ^= 1;
        }
    }
}
