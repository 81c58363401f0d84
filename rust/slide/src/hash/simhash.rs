//! Signs of Gaussian projections (Charikar, STOC 2002).

use std::f64::consts::TAU;

use thrifty_base::math::{LANES, Rows, multiply};
use thrifty_base::memory::available;
use thrifty_base::philox::Philox;
use thrifty_base::simd::Path;

use super::gather::aligned;
use super::join::Join;
use crate::{Error, Result, stream};

/// A direction for each value.
#[derive(Clone, Debug)]
pub(super) struct SimHash {
    /// Directions, one after the other.
    directions: Vec<f32>,
    starts: Vec<usize>,
    length: usize,
    join: Join,
}

impl SimHash {
    pub(super) fn new(k: usize, tables: usize, bits: usize, length: usize, seed: u64) -> Result<Self> {
        let bytes = 4 * (k * tables) as u64 * length as u64;
        if let Some(there) = available()
            && bytes > there
        {
            let gb = |bytes: u64| bytes as f64 / 1e9;
            let what = format!(
                "{} directions of {length} numbers take {:.1} GB, and {:.1} GB are free; take smaller k or tables",
                k * tables,
                gb(bytes),
                gb(there)
            );
            return Err(Error::Capacity { what });
        }
        let random = Philox::new(seed, stream::DIRECTIONS);
        let mut directions = Vec::with_capacity(k * tables * length + 1);
        for i in 0..(k * tables * length).div_ceil(2) as u64 {
            directions.extend(normal(random.u64_at(i)));
        }
        let starts = (0..k * tables).map(|i| i * length).collect();
        let key = Philox::new(seed, stream::HASH_KEYS).u64_at(0);
        Ok(Self { directions, starts, length, join: Join { k, width: 1, bits, key } })
    }

    pub(super) fn codes(
        &self,
        path: Path,
        block: &[f32],
        products: &mut Vec<f32>,
        values: &mut Vec<u32>,
        out: &mut [u32],
    ) {
        let products = aligned(products, self.starts.len() * LANES);
        let directions = Rows { data: &self.directions, starts: &self.starts, length: self.length };
        multiply(path, directions, block, LANES, None, products);
        values.clear();
        values.extend(products.iter().map(|&x| u32::from(x > 0.0)));
        self.join.codes(path, values, out);
    }
}

/// Two normal numbers of 64 random bits (Box and Muller 1958).
fn normal(bits: u64) -> [f32; 2] {
    let uniform = |bits: u32| (f64::from(bits) + 0.5) / (1u64 << 32) as f64;
    let radius = (-2.0 * uniform(bits as u32).ln()).sqrt();
    let (sine, cosine) = (TAU * uniform((bits >> 32) as u32)).sin_cos();
    [(radius * cosine) as f32, (radius * sine) as f32]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean, variance, fourth moment and the correlation of the two.
    #[test]
    fn normal_numbers() {
        let random = Philox::new(3, 3);
        let n = 100_000;
        let mut sums = [0.0f64; 4];
        for i in 0..n {
            let [a, b] = normal(random.u64_at(i)).map(f64::from);
            for (sum, x) in sums.iter_mut().zip([a + b, a * a + b * b, a.powi(4) + b.powi(4), 2.0 * a * b]) {
                *sum += x / (2 * n) as f64;
            }
        }
        // Standard deviations over 200,000 numbers: 1, sqrt 2, sqrt 96 and, of half as many products, sqrt 2.
        for (sum, (exact, sd)) in sums.iter().zip([(0.0, 1.0), (1.0, 1.415), (3.0, 9.8), (0.0, 1.415)]) {
            assert!((sum - exact).abs() < 4.0 * sd / ((2 * n) as f64).sqrt(), "{sum} {exact}");
        }
    }

    /// Against sums in double precision, where those are not next to zero.
    #[test]
    fn signs_by_hand() {
        let (k, tables, length) = (4, 9, 50);
        let hash = SimHash::new(k, tables, k, length, 5).unwrap();
        let random = Philox::new(1, 1);
        let block: Vec<f32> =
            (0..(length * LANES) as u64).flat_map(|i| normal(random.u64_at(i))).take(length * LANES).collect();
        let mut first: Option<Vec<u32>> = None;
        for path in Path::usable() {
            let mut out = vec![0; tables * LANES];
            hash.codes(path, &block, &mut Vec::new(), &mut Vec::new(), &mut out);
            assert_eq!(first.get_or_insert_with(|| out.clone()), &out);
            for lane in 0..LANES {
                for (i, direction) in hash.directions.chunks_exact(length).enumerate() {
                    let x = block.iter().skip(lane).step_by(LANES);
                    let sum: f64 = direction.iter().zip(x).map(|(&d, &x)| f64::from(d) * f64::from(x)).sum();
                    let bit = out[i / k * LANES + lane] >> (k - 1 - i % k) & 1;
                    assert!(sum.abs() < 1e-4 || bit == u32::from(sum > 0.0));
                }
            }
        }
    }
}
