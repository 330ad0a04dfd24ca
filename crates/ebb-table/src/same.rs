//! Comparing keys, which every search does.

/// Whether two keys are equal. Most are short: no call is made for them.
#[inline]
pub fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len()
        && match one.len() {
            // The first, the last, and the one between them, if there is one.
            len @ 1..4 => {
                let at = [0, len / 2, len - 1];
                at.into_iter().all(|at| one[at] == other[at])
            }
            4..8 => {
                one.first_chunk::<4>() == other.first_chunk()
                    && one.last_chunk::<4>() == other.last_chunk()
            }
            8..=16 => {
                one.first_chunk::<8>() == other.first_chunk()
                    && one.last_chunk::<8>() == other.last_chunk()
            }
            17..=32 => {
                one.first_chunk::<16>() == other.first_chunk()
                    && one.last_chunk::<16>() == other.last_chunk()
            }
            _ => one == other,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_anywhere_is_seen() {
        for len in 0..70 {
            let key: Vec<u8> = (0..len).collect();
            assert!(same(&key, &key.clone()));
            assert!(!same(&key, &[&key[..], b"x"].concat()));
            for at in 0..key.len() {
                let mut other = key.clone();
                other[at] ^= 0x40;
                assert!(!same(&key, &other), "{len} {at}");
            }
        }
    }
}
