//! Rates of false positives, and what a query costs.

/// Buckets of a repetition at most: their ids travel in 16 bits.
pub const MAX_BUCKETS: u32 = 1 << 16;
/// Repetitions at most.
pub const MAX_REPETITIONS: usize = 8;
/// Hashes of a repetition at most.
pub const MAX_HASHES: u32 = 32;
/// Rows of a repetition at most.
pub const MAX_ROWS: u64 = 1 << 40;
/// Segments of an index at most.
pub const MAX_SEGMENTS: usize = 4096;

/// Rate of a Bloom filter of `hashes` hashes with on average `x` set attempts a bit: (1 - e^-x)^hashes.
pub fn bloom(hashes: u32, x: f64) -> f64 {
    (-(-x).exp_m1()).powi(hashes as i32)
}

/// Rate of the whole for an item that `holders` documents hold, for one that does not: product over repetitions, given
/// as (rate of a bucket's filter, probability that two documents share a bucket), of 1 - (1 - p)(1 - c)^V.
pub fn with_holders(repetitions: impl Iterator<Item = (f64, f64)>, holders: f64) -> f64 {
    repetitions.map(|(p, c)| 1.0 - (1.0 - p) * (1.0 - c).powf(holders)).product()
}

/// Cache lines that one row touches on average.
pub fn lines_per_row(buckets: u32) -> f64 {
    if buckets.is_multiple_of(512) {
        f64::from(buckets / 512)
    } else if 512 % buckets == 0 {
        1.0
    } else {
        1.0 + f64::from(buckets - 1) / 512.0
    }
}

/// Loads of the buckets relative to their mean, as (relative load, share of documents) pairs, `repetitions` alike.
pub type Loads = Vec<(f64, f64)>;

/// Mean rate over documents when a bucket of mean load has `x` set attempts a bit.
pub fn mean_rate(hashes: &[u32], loads: &[Loads], x: f64) -> f64 {
    hashes
        .iter()
        .zip(loads)
        .map(|(&h, l)| l.iter().map(|&(load, share)| share * bloom(h, x * load)).sum::<f64>())
        .product()
}

/// The largest `x` at which [`mean_rate`] is at most `fpr`: the smallest filters that keep the rate.
pub fn solve(hashes: &[u32], loads: &[Loads], fpr: f64) -> f64 {
    let (mut low, mut high) = (0.0, 64.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if mean_rate(hashes, loads, middle) <= fpr { low = middle } else { high = middle }
    }
    low.max(1e-9)
}

/// Rows for `hashes` hashes at `x` set attempts a bit and a mean load of `load` items; a multiple of 16 (64 beyond
/// 1,024), so that rows can be folded.
pub fn rows(hashes: u32, load: f64, x: f64) -> u64 {
    let exact = (f64::from(hashes) * load / x).ceil().clamp(16.0, MAX_ROWS as f64) as u64;
    exact.next_multiple_of(if exact > 1024 { 64 } else { 16 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_textbook_optimum() {
        // 12 bits an item: 8 hashes, rate 0.6185^12 = 3.13e-3.
        let x = 8.0 / 12.0;
        assert!((bloom(8, x) / 3.14e-3 - 1.0).abs() < 0.01);
        let even = vec![vec![(1.0, 1.0)]; 2];
        // Any split of the eight over two repetitions gives the same rate at the same memory.
        for split in [[4, 4], [6, 2], [7, 1]] {
            assert!((mean_rate(&split, &even, x) / bloom(8, x) - 1.0).abs() < 1e-12);
        }
        assert!((solve(&[6, 2], &even, bloom(8, x)) - x).abs() < 1e-9);
    }

    #[test]
    fn holders_collide() {
        let two = || [(0.05, 1.0 / 256.0); 2].into_iter();
        assert!((with_holders(two(), 0.0) - 0.0025).abs() < 1e-12);
        let at_10 = with_holders(two(), 10.0);
        let paper = (1.0 - 0.95 * (1.0 - 1.0 / 256.0f64).powi(10)).powi(2);
        assert!((at_10 - paper).abs() < 1e-12);
        assert!((with_holders([(0.1, 0.0)].into_iter(), 50.0) - 0.1).abs() < 1e-12);
    }

    #[test]
    fn lines() {
        assert_eq!(lines_per_row(512), 1.0);
        assert_eq!(lines_per_row(64), 1.0);
        assert_eq!(lines_per_row(1536), 3.0);
        assert!((lines_per_row(100) - 1.193).abs() < 1e-3);
    }
}
