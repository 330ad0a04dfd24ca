//! The longest common subsequence of two strings, and where in them it lies.

/// A run of bytes that both strings share. Ends are included, as in the replies of LCS IDX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// The first and the last byte in the first string.
    pub a: (usize, usize),
    /// The first and the last byte in the second string.
    pub b: (usize, usize),
}

impl Match {
    /// The bytes of the run: at least 1.
    pub fn run_len(&self) -> usize {
        self.a.1 - self.a.0 + 1
    }
}

/// A longest common subsequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lcs {
    /// Its bytes.
    pub text: Vec<u8>,
    /// Its runs, the last one first: the order in which LCS IDX replies.
    pub matches: Vec<Match>,
}

/// The length of the longest common subsequence. Takes time by the product of the lengths, and memory for one row.
pub fn lcs_len(a: &[u8], b: &[u8]) -> usize {
    let mut row = vec![0; b.len() + 1];
    for &byte in a {
        next_row(&mut row, byte, b, |_, _| {});
    }
    row[b.len()] as usize
}

/// The longest common subsequence that Redis finds, where there are several: going back from the ends, it leaves
/// out a byte of `b` unless leaving out one of `a` keeps more.
///
/// For going back, one bit for each pair of positions is enough; Redis keeps the whole table of lengths, which is
/// 32 times as much.
pub fn lcs(a: &[u8], b: &[u8]) -> Lcs {
    let mut row = vec![0; b.len() + 1];
    let words_per_row = b.len().div_ceil(64);
    // Whether to leave out a byte of `a`.
    let mut leave_a = vec![0_u64; words_per_row * a.len()];
    for (i, &byte) in a.iter().enumerate() {
        let bits = &mut leave_a[i * words_per_row..][..words_per_row];
        next_row(&mut row, byte, b, |j, leave| bits[j / 64] |= u64::from(leave) << (j % 64));
    }

    let mut found = Lcs { text: Vec::with_capacity(row[b.len()] as usize), matches: Vec::new() };
    let (mut i, mut j) = (a.len(), b.len());
    let mut adjoins = false;
    while i > 0 && j > 0 {
        if a[i - 1] == b[j - 1] {
            i -= 1;
            j -= 1;
            found.text.push(a[i]);
            match found.matches.last_mut() {
                Some(run) if adjoins => (run.a.0, run.b.0) = (i, j),
                _ => found.matches.push(Match { a: (i, i), b: (j, j) }),
            }
            adjoins = true;
        } else {
            let leave = leave_a[(i - 1) * words_per_row + (j - 1) / 64] >> ((j - 1) % 64) & 1 == 1;
            if leave {
                i -= 1;
            } else {
                j -= 1;
            }
            adjoins = false;
        }
    }
    found.text.reverse();
    found
}

/// Turns the lengths for a prefix of `a` into those for the prefix with one more byte, and tells for each position
/// in `b` whether leaving out that byte keeps more than leaving out the one of `b`.
fn next_row(row: &mut [u32], byte: u8, b: &[u8], mut on_choice: impl FnMut(usize, bool)) {
    let (mut diagonal, mut left) = (0, 0);
    for (j, (&other, cell)) in b.iter().zip(&mut row[1..]).enumerate() {
        let above = *cell;
        on_choice(j, above > left);
        left = if byte == other { diagonal + 1 } else { above.max(left) };
        diagonal = above;
        *cell = left;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_known_example() {
        let found = lcs(b"ohmytext", b"mynewtext");
        assert_eq!(found.text, b"mytext");
        assert_eq!(found.matches, [Match { a: (4, 7), b: (5, 8) }, Match { a: (2, 3), b: (0, 1) }]);
        assert_eq!(found.matches[0].run_len(), 4);
        assert_eq!(lcs(b"", b"abc"), Lcs { text: vec![], matches: vec![] });
        assert_eq!(lcs_len(b"abc", b""), 0);
    }

    fn model(a: &[u8], b: &[u8]) -> usize {
        match (a, b) {
            ([], _) | (_, []) => 0,
            ([x, a_rest @ ..], [y, b_rest @ ..]) if x == y => 1 + model(a_rest, b_rest),
            ([_, a_rest @ ..], [_, b_rest @ ..]) => model(a_rest, b).max(model(a, b_rest)),
        }
    }

    proptest! {
        #[test]
        fn it_is_common_and_longest(a in "[abc]{0,9}", b in "[abc]{0,9}") {
            let (a, b) = (a.as_bytes(), b.as_bytes());
            let found = lcs(a, b);
            prop_assert_eq!(found.text.len(), model(a, b));
            prop_assert_eq!(lcs_len(a, b), model(a, b));
            let runs = |pick: fn(&Match) -> (usize, usize), text: &[u8]| -> Vec<u8> {
                found.matches.iter().rev().flat_map(|run| text[pick(run).0..=pick(run).1].to_vec()).collect()
            };
            prop_assert_eq!(&runs(|run| run.a, a), &found.text);
            prop_assert_eq!(&runs(|run| run.b, b), &found.text);
        }
    }
}
