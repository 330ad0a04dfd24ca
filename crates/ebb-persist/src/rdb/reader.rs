//! Reads the parts of which values are made.

use ebb_types::lzf;

use super::text::Text;
use super::{LoadError, Loaded, ensure};

/// Reads bytes from front to back, never beyond their end.
#[derive(Debug, Clone)]
pub struct Reader<'a>(&'a [u8]);

/// What stands where a length is expected.
enum Len {
    Plain(u64),
    /// How a string is written.
    Special(u8),
}

impl<'a> Reader<'a> {
    /// Reads `bytes`.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    /// Whether all is read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> usize {
        self.0.len()
    }

    /// The next byte.
    pub fn byte(&mut self) -> Loaded<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// So many bytes.
    pub(super) fn take(&mut self, len: usize) -> Loaded<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(LoadError::Corrupt)?;
        self.0 = rest;
        Ok(taken)
    }

    /// The same as an array.
    pub(super) fn array<const N: usize>(&mut self) -> Loaded<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(LoadError::Corrupt)?;
        self.0 = rest;
        Ok(*taken)
    }

    /// A time in milliseconds: eight bytes, the lowest first.
    pub(super) fn time(&mut self) -> Loaded<i64> {
        self.array().map(i64::from_le_bytes)
    }

    fn len_or_special(&mut self) -> Loaded<Len> {
        let first = self.byte()?;
        let low = u64::from(first & 0x3f);
        Ok(match first >> 6 {
            0 => Len::Plain(low),
            1 => Len::Plain(low << 8 | u64::from(self.byte()?)),
            2 if first == 0x80 => Len::Plain(u32::from_be_bytes(self.array()?).into()),
            2 if first == 0x81 => Len::Plain(u64::from_be_bytes(self.array()?)),
            3 => Len::Special(first & 0x3f),
            _ => return Err(LoadError::Corrupt),
        })
    }

    /// A number in the form of lengths.
    pub fn number(&mut self) -> Loaded<u64> {
        match self.len_or_special()? {
            Len::Plain(number) => Ok(number),
            Len::Special(_) => Err(LoadError::Corrupt),
        }
    }

    /// The number of parts that follow; each takes a byte at least.
    pub(super) fn count(&mut self) -> Loaded<usize> {
        let count = self.number()?;
        ensure(count <= self.left() as u64)?;
        Ok(count as usize)
    }

    /// A string, in whichever form it is written.
    pub fn string(&mut self) -> Loaded<Text<'a>> {
        match self.len_or_special()? {
            Len::Plain(len) => {
                let len = usize::try_from(len).map_err(|_| LoadError::Corrupt)?;
                self.take(len).map(Text::Bytes)
            }
            Len::Special(0) => Ok(i64::from(i8::from_le_bytes(self.array()?)).into()),
            Len::Special(1) => Ok(i64::from(i16::from_le_bytes(self.array()?)).into()),
            Len::Special(2) => Ok(i64::from(i32::from_le_bytes(self.array()?)).into()),
            Len::Special(3) => {
                let (packed, len) = (self.number()?, self.number()?);
                let packed = usize::try_from(packed).map_err(|_| LoadError::Corrupt)?;
                let unpacked = lzf::decompress(self.take(packed)?, len);
                unpacked.map(Text::Owned).ok_or(LoadError::Corrupt)
            }
            Len::Special(_) => Err(LoadError::Corrupt),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Option<Vec<u8>> {
        Reader::new(bytes).string().ok().map(|text| text.to_vec())
    }

    #[test]
    fn strings_of_all_forms_are_read() {
        // "ab" and then eight bytes from two back.
        assert_eq!(read(&[0xc3, 5, 10, 1, b'a', b'b', 0xc0, 1]), Some(b"ababababab".to_vec()));
        assert_eq!(read(&[0xc0, 0xff]), Some(b"-1".to_vec()));
        assert_eq!(read(&[0xc1, 0, 1]), Some(b"256".to_vec()));
        assert_eq!(read(&[0xc2, 0, 0, 0, 0x80]), Some(b"-2147483648".to_vec()));
        assert_eq!(read(&[0x40, 1, b'a']), Some(b"a".to_vec()));
        assert_eq!(read(&[0x80, 0, 0, 0, 1, b'a']), Some(b"a".to_vec()));
        assert_eq!(read(&[0x81, 0, 0, 0, 0, 0, 0, 0, 1, b'a']), Some(b"a".to_vec()));
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for bad in [
            &[][..],
            &[5, b'a'],
            &[0x82, 0, 0, 0, 0],
            &[0xc4],
            &[0xc0],
            &[0x81, 255, 255, 255, 255, 255, 255, 255, 255],
            &[0xc3, 3, 10, 0x20, 9, 0],
            &[0xc3, 3, 0x81, 255, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3],
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
        assert!(Reader::new(&[0x44, 0, 1, 2]).count().is_err());
    }
}
