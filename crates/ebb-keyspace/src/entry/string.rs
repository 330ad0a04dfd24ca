//! Strings on their way into an entry and out of it.

use ebb_heap::Shared;

use ebb_table::handle::SharedRef;

use super::{EntryRef, ValueRef};

/// A string to store.
#[derive(Debug)]
pub enum StringValue<'a> {
    /// An integer.
    Int(i64),
    /// Bytes as a client sent them; stored as an integer if they are one.
    Bytes(&'a [u8]),
    /// Bytes that stay text even if they look like an integer.
    Text(&'a [u8]),
    /// Bytes that were built by editing: reported as "raw".
    Raw(&'a [u8]),
    /// Bytes that already lie in a shared block.
    Shared(Shared),
}

impl StringValue<'_> {
    /// Whether it will lie in the entry's own block.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        match self {
            StringValue::Int(_) => true,
            StringValue::Bytes(bytes) | StringValue::Text(bytes) | StringValue::Raw(bytes) => {
                bytes.len() < super::SHARED_MIN
            }
            StringValue::Shared(_) => false,
        }
    }
}

/// A stored string.
pub enum StringRef<'a> {
    /// An integer.
    Int(i64),
    /// Bytes in the entry.
    Bytes(&'a [u8]),
    /// Bytes in a block of their own.
    Shared(SharedRef<'a>),
}

impl EntryRef<'_> {
    /// Asks for the head of the value, if it is a string in a block of its own.
    #[inline]
    pub(crate) fn prefetch_value(&self) {
        if let ValueRef::String(StringRef::Shared(shared)) = self.value() {
            shared.block().compact().prefetch_head();
        }
    }
}

impl<'a> StringRef<'a> {
    /// Length of the string as bytes.
    pub fn len(&self) -> usize {
        match self {
            StringRef::Int(value) => decimal_len(*value),
            StringRef::Bytes(bytes) => bytes.len(),
            StringRef::Shared(shared) => shared.len(),
        }
    }

    /// Whether the string is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Calls `use_bytes` with the string's bytes; an integer is formatted on the stack.
    pub fn with_bytes<R>(&self, use_bytes: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            StringRef::Int(value) => {
                let mut buffer = [0; 20];
                use_bytes(format_int(*value, &mut buffer))
            }
            StringRef::Bytes(bytes) => use_bytes(bytes),
            StringRef::Shared(shared) => use_bytes(shared.bytes()),
        }
    }

    /// A copy of the bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        self.with_bytes(<[u8]>::to_vec)
    }

    /// The integer that the string is, if it is one in canonical form.
    pub fn to_int(&self) -> Option<i64> {
        match self {
            StringRef::Int(value) => Some(*value),
            StringRef::Bytes(bytes) => parse_int(bytes),
            StringRef::Shared(_) => None,
        }
    }
}

fn decimal_len(value: i64) -> usize {
    let digits = value.unsigned_abs().checked_ilog10().unwrap_or(0) as usize + 1;
    digits + usize::from(value < 0)
}

pub(super) fn format_int(value: i64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut at = buffer.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        buffer[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        buffer[at] = b'-';
    }
    &buffer[at..]
}

/// An integer in the one form that formatting it gives back.
pub(super) fn parse_int(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty()
        || digits.len() > 19
        || (digits[0] == b'0' && (negative || digits.len() > 1))
    {
        return None;
    }
    let mut value = 0u64;
    for &digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    if negative { 0i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}
