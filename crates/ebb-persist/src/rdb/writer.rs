//! Writes the parts of which values are made.

use ebb_types::lzf;
use ebb_types::number::{IntegerText, parse_i64};

/// The longest text that may be one of the integers that have a short form.
const INTEGER_LEN_MAX: usize = 11;
/// Shorter strings are not worth compressing.
const COMPRESSED_MIN: usize = 21;
/// What compression must save.
const SAVING_MIN: usize = 4;

/// Collects the bytes of a value.
pub struct Writer {
    out: Vec<u8>,
    compress: bool,
}

impl Writer {
    /// Compresses strings if `compress` is set.
    pub fn new(compress: bool) -> Writer {
        Writer { out: Vec::new(), compress }
    }

    /// A writer of the same kind, for what must be counted before it is written.
    pub(super) fn another(&self) -> Writer {
        Writer::new(self.compress)
    }

    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// Writes a byte.
    pub fn byte(&mut self, byte: u8) {
        self.out.push(byte);
    }

    /// Writes bytes as they are.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Writes a time in milliseconds.
    pub(super) fn time(&mut self, ms: i64) {
        self.raw(&ms.to_le_bytes());
    }

    /// Writes a number in the form of lengths.
    pub fn number(&mut self, number: u64) {
        match number {
            0..=0x3f => self.byte(number as u8),
            0x40..=0x3fff => self.raw(&[0x40 | (number >> 8) as u8, number as u8]),
            0x4000..=0xffff_ffff => {
                self.byte(0x80);
                self.raw(&(number as u32).to_be_bytes());
            }
            _ => {
                self.byte(0x81);
                self.raw(&number.to_be_bytes());
            }
        }
    }

    /// Writes a number of elements.
    pub(super) fn count(&mut self, count: usize) {
        self.number(count as u64);
    }

    /// Writes a string: as an integer if it is one, else compressed if that helps.
    pub fn string(&mut self, text: &[u8]) {
        if text.len() <= INTEGER_LEN_MAX
            && let Some(value) = parse_i64(text).and_then(|value| i32::try_from(value).ok())
        {
            return self.short_int(value);
        }
        if self.compress
            && text.len() >= COMPRESSED_MIN
            && let Some(packed) = lzf::compress(text, SAVING_MIN)
        {
            self.byte(0xc3);
            self.count(packed.len());
            self.count(text.len());
            return self.raw(&packed);
        }
        self.count(text.len());
        self.raw(text);
    }

    /// Writes a string that is an integer.
    pub(super) fn int(&mut self, value: i64) {
        match i32::try_from(value) {
            Ok(value) => self.short_int(value),
            Err(_) => self.string(IntegerText::from_i64(value).as_bytes()),
        }
    }

    fn short_int(&mut self, value: i32) {
        if let Ok(value) = i8::try_from(value) {
            self.raw(&[0xc0, value as u8]);
        } else if let Ok(value) = i16::try_from(value) {
            self.byte(0xc1);
            self.raw(&value.to_le_bytes());
        } else {
            self.byte(0xc2);
            self.raw(&value.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Reader;
    use super::*;

    fn written(text: &[u8], compress: bool) -> Vec<u8> {
        let mut writer = Writer::new(compress);
        writer.string(text);
        let bytes = writer.into_bytes();
        assert_eq!(&*Reader::new(&bytes).string().unwrap(), text);
        bytes
    }

    #[test]
    fn strings_come_back() {
        for len in [0, 1, 63, 64, 16383, 16384, 70000] {
            let text = vec![b'x'; len];
            assert!(written(&text, false).len() > len);
            written(&text, true);
        }
        assert!(written(&[b'x'; 70000], true).len() < 2000);
    }

    #[test]
    fn integers_are_short() {
        for (text, len) in [
            ("0", 2),
            ("-128", 2),
            ("128", 3),
            ("32768", 5),
            ("-2147483648", 5),
            ("2147483648", 11),
            ("007", 4),
            ("-0", 3),
        ] {
            assert_eq!(written(text.as_bytes(), true).len(), len, "{text}");
        }
    }

    #[test]
    fn numbers_come_back() {
        for number in [0, 63, 64, 16383, 16384, u64::from(u32::MAX), 1 << 32, u64::MAX] {
            let mut writer = Writer::new(false);
            writer.number(number);
            assert_eq!(Reader::new(&writer.into_bytes()).number(), Ok(number));
        }
    }
}
