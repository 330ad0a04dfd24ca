//! A string as it was read: part of the payload, an integer, or unpacked.

use std::ops::Deref;

use ebb_types::number::{IntegerText, parse_i64};

/// A string as it was read.
#[derive(Debug, Clone)]
pub enum Text<'a> {
    /// Bytes of the payload.
    Bytes(&'a [u8]),
    /// An integer, and the same as text.
    Int(i64, IntegerText),
    /// Bytes that were unpacked.
    Owned(Vec<u8>),
}

impl Text<'_> {
    /// The integer that it is, if it is one in canonical form.
    pub fn int(&self) -> Option<i64> {
        match self {
            Text::Int(value, _) => Some(*value),
            other => parse_i64(other),
        }
    }
}

impl From<i64> for Text<'_> {
    fn from(value: i64) -> Self {
        Text::Int(value, IntegerText::from_i64(value))
    }
}

impl Deref for Text<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Text::Bytes(bytes) => bytes,
            Text::Int(_, text) => text.as_bytes(),
            Text::Owned(bytes) => bytes,
        }
    }
}
