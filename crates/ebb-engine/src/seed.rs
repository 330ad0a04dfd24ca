//! `hash-seed`: servers with the same one, and as many threads, have their keys in the same order, so
//! that a SCAN that began on one can go on with another.

use ebb_config::{Config, id};
use ebb_table::seeds;
use sha2::{Digest, Sha256};

/// Takes the seeds of all hashes from the configured text, if there is one.
pub(crate) fn fix(config: &Config) {
    let text = config.get(id::HASH_SEED);
    if !text.is_empty() {
        seeds::fix(from_text(&text));
    }
}

fn from_text(text: &str) -> [u64; 4] {
    let digest = Sha256::digest(text);
    let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| digest[8 * at + byte]));
    std::array::from_fn(number)
}

#[cfg(test)]
mod tests {
    use super::from_text;

    #[test]
    fn every_character_counts() {
        let (a, b) = (from_text("a"), from_text("b"));
        assert_eq!(a, from_text("a"));
        assert!((0..4).all(|at| a[at] != b[at] && a[at] != a[(at + 1) % 4]));
    }
}
