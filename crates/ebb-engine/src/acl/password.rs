//! Passwords: only their SHA-256 is kept.

use rand::RngCore;
use sha2::{Digest, Sha256};

use super::rules::RuleError;

/// A password's SHA-256 as 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordHash(Box<str>);

impl PasswordHash {
    /// The hash of a password.
    pub fn of(password: &[u8]) -> PasswordHash {
        let digest = Sha256::digest(password);
        PasswordHash(digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into())
    }

    /// Reads a hash.
    pub fn parse(text: &[u8]) -> Result<PasswordHash, RuleError> {
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        match std::str::from_utf8(text) {
            Ok(hash) if text.len() == 64 && text.iter().all(is_digit) => {
                Ok(PasswordHash(hash.into()))
            }
            _ => Err(RuleError::BadHash),
        }
    }

    /// The digits.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether two are the same, without telling by the time it takes where they differ.
    pub(super) fn equals(&self, other: &PasswordHash) -> bool {
        let pairs = self.0.bytes().zip(other.0.bytes());
        let differing = pairs.fold(0, |differing, (a, b)| differing | (a ^ b));
        self.0.len() == other.0.len() && std::hint::black_box(differing) == 0
    }
}

/// A new password of so many bits, in hexadecimal digits. A command's own random numbers would
/// be quick, but could be guessed: these come from the generator for secrets.
pub fn generate(bits: usize) -> String {
    let digits = bits.div_ceil(4);
    let mut bytes = vec![0; digits.div_ceil(2)];
    rand::rng().fill_bytes(&mut bytes);
    let mut text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    text.truncate(digits);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_standard() {
        let hash = PasswordHash::of(b"abc");
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.text(), known);
        assert!(hash.equals(&PasswordHash::parse(known.as_bytes()).unwrap()));
        assert!(!hash.equals(&PasswordHash::of(b"abd")));
        for wrong in [&known[1..], &known.to_uppercase(), &known.replace('f', "g")] {
            assert_eq!(PasswordHash::parse(wrong.as_bytes()), Err(RuleError::BadHash));
        }
    }

    #[test]
    fn generated_passwords_have_their_length() {
        for (bits, digits) in [(1, 1), (4, 1), (5, 2), (256, 64), (4096, 1024)] {
            assert_eq!(generate(bits).len(), digits);
        }
        assert_ne!(generate(256), generate(256));
    }
}
