//! In how many tables each row is, and rows drawn as often as that.

/// Rows whose shares are summed.
const BLOCK: usize = 64;

/// Shares of rows, with a tree of their sums (Fenwick 1994) over blocks of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    shares: Vec<u16>,
    /// Node i has the sum of the i & -i blocks that end with block i - 1.
    tree: Vec<u64>,
    total: u64,
}

impl Shares {
    /// Of these rows.
    pub fn new(shares: Vec<u16>) -> Self {
        let mut tree = vec![0u64];
        tree.extend(shares.chunks(BLOCK).map(|block| block.iter().map(|&share| u64::from(share)).sum::<u64>()));
        let total = tree.iter().sum();
        for i in 1..tree.len() {
            let above = i + (i & i.wrapping_neg());
            if above < tree.len() {
                tree[above] += tree[i];
            }
        }
        Self { shares, tree, total }
    }

    /// The share of a row.
    #[inline(always)]
    pub fn of(&self, row: usize) -> usize {
        usize::from(self.shares[row])
    }

    /// Sum of all shares.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// One table more, or one less, for a row.
    pub fn change(&mut self, row: usize, more: bool) {
        let by = if more { 1 } else { u64::MAX };
        self.shares[row] = self.shares[row].wrapping_add(by as u16);
        self.total = self.total.wrapping_add(by);
        let mut i = row / BLOCK + 1;
        while i < self.tree.len() {
            self.tree[i] = self.tree[i].wrapping_add(by);
            i += i & i.wrapping_neg();
        }
    }

    /// The row at which the sum of shares, in the order of rows, exceeds `at`, which is below the total.
    pub fn find(&self, mut at: u64) -> usize {
        let (mut block, mut step) = (0, (self.tree.len().max(2) - 1).next_power_of_two());
        while step > 0 {
            if block + step < self.tree.len() && self.tree[block + step] <= at {
                block += step;
                at -= self.tree[block];
            }
            step /= 2;
        }
        let mut row = block * BLOCK;
        while u64::from(self.shares[row]) <= at {
            at -= u64::from(self.shares[row]);
            row += 1;
        }
        row
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        2 * self.shares.capacity() + 8 * self.tree.capacity()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Every place belongs to the row that a plain sum says, after changes too.
        #[test]
        fn places(mut shares in proptest::collection::vec(0u16..9, 1..700), changes in proptest::collection::vec((0usize..700, any::<bool>()), 0..50)) {
            let mut made = Shares::new(shares.clone());
            for (row, more) in changes {
                let row = row % shares.len();
                if more || shares[row] > 0 {
                    shares[row] = if more { shares[row] + 1 } else { shares[row] - 1 };
                    made.change(row, more);
                }
            }
            prop_assert_eq!(&made, &Shares::new(shares.clone()));
            let rows: Vec<usize> = shares.iter().enumerate().flat_map(|(row, &share)| std::iter::repeat_n(row, share.into())).collect();
            prop_assert_eq!(made.total(), rows.len() as u64);
            for (at, &row) in rows.iter().enumerate() {
                prop_assert_eq!(made.find(at as u64), row);
            }
        }
    }
}
