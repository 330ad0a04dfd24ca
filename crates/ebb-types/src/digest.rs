//! The digest of a string that DIGEST answers: XXH3 with 64 bits.

use xxhash_rust::xxh3::xxh3_64;

/// Digits of a digest.
pub const DIGITS: usize = 16;

/// The digest of some bytes, as lower-case hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    format!("{:016x}", xxh3_64(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_redis() {
        let known = [
            ("hello", "9555e8555c62dcfd"),
            ("", "2d06800538d394c2"),
            ("123", "404a763b3f4c8c9a"),
            ("v8", "0cc76dbb41381419"),
            ("Hello world", "b6acb9d84a38ff74"),
        ];
        for (text, digest) in known {
            assert_eq!(hexadecimal(text.as_bytes()), digest, "{text}");
        }
    }
}
