//! Where a hash belongs: its position, which orders the table, and its tag.
//!
//! A position is not the hash itself. If it were, all segments would fill up at the same
//! pace, and would all outgrow the same size at the same time: the blocks they leave would
//! be of no use to anybody until the next doubling, and the heap would hold twice the index.
//! So positions are spread unevenly: their density falls from 3/2 to 3/4 of the average
//! from the end of the space to its beginning. At any moment the segments are then at all
//! stages between two splits, and a block that one leaves is what another needs.

/// A hash as the table uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Point {
    /// Orders entries; the top bits choose the segment.
    pub(crate) position: u64,
    /// Tells entries of one bucket apart; never 0.
    pub(crate) tag: u8,
}

impl Point {
    #[inline]
    pub(crate) fn of(hash: u64) -> Point {
        Point { position: position(hash), tag: (hash as u8).max(1) }
    }
}

/// With u the hash as a fraction: u + u(1 - u)/3, which grows by 4/3 at 0 and by 2/3 at 1.
#[inline]
fn position(hash: u64) -> u64 {
    let product = (u128::from(hash) * u128::from(!hash)) >> 64;
    // The product is below 2^62, so the sum stays below 2^64: at most u + (1 - u).
    hash + (product as u64) / 3
}

#[cfg(test)]
mod tests {
    use super::position;

    #[test]
    fn positions_keep_the_order_and_spread_by_a_factor_of_two() {
        let step = 1u64 << 44;
        let positions: Vec<u64> = (0..1 << 20).map(|i| position(i * step)).collect();
        assert!(positions.is_sorted());
        assert_eq!((position(0), position(u64::MAX)), (0, u64::MAX));
        let growth = |from: usize| (positions[from + 1000] - positions[from]) as f64 / 1000.0;
        let ratio = growth(0) / growth((1 << 20) - 1001);
        assert!((1.99..2.01).contains(&ratio), "{ratio}");
    }
}
