//! Which row an n-gram has in each head. A part of the file format: a change is a new [`VERSION`].
//!
//! The key of the n-gram that ends at position t is the XOR of `ids[t - k] * multipliers[k]` over its ids k = 0 .. n - 1,
//! with the padding in the place of ids before the first. Its row in a head is the key modulo the head's prime. Primes
//! are dealt layer by layer, order by order, head by head: each is the least one, from the size of its order on and
//! behind the one before it in that order, that was not dealt yet.

use std::collections::BTreeSet;

use super::spec::EngramSpec;

/// Version of the functions in this module, stored in every file that depends on them.
pub const VERSION: u32 = 1;

/// The hash of a table.
#[derive(Clone, Debug)]
pub struct EngramHash {
    orders: Vec<usize>,
    heads: usize,
    multipliers: Vec<u64>,
    moduli: Vec<Modulus>,
    pad: u32,
}

impl EngramHash {
    /// The hash of a spec that was checked; `pad` is the canonical id of the padding.
    pub fn new(spec: &EngramSpec, pad: u32) -> Self {
        let mut first = 0;
        let moduli = primes(spec).into_iter().map(|prime| {
            let modulus = Modulus { prime, inverse: u64::MAX / prime, first };
            first += prime;
            modulus
        });
        let moduli = moduli.collect();
        Self { orders: spec.orders.clone(), heads: spec.heads, multipliers: spec.multipliers.clone(), moduli, pad }
    }

    /// Rows of each head: order by order.
    pub fn sizes(&self) -> impl Iterator<Item = u64> + '_ {
        self.moduli.iter().map(|m| m.prime)
    }

    /// Rows of the n-grams that end with `ids`, counted over all heads: order by order, one a head.
    #[inline(always)]
    pub fn rows(&self, ids: &[u32], rows: &mut [u64]) {
        let mut key = 0;
        let mut known = 0;
        let heads = self.moduli.chunks_exact(self.heads).zip(rows.chunks_exact_mut(self.heads));
        for (&order, (moduli, rows)) in self.orders.iter().zip(heads) {
            for k in known..order {
                let id = if k < ids.len() { ids[ids.len() - 1 - k] } else { self.pad };
                key ^= u64::from(id).wrapping_mul(self.multipliers[k]);
            }
            known = order;
            for (row, modulus) in rows.iter_mut().zip(moduli) {
                *row = modulus.row(key);
            }
        }
    }
}

/// A head: its prime, and where its rows begin.
#[derive(Clone, Copy, Debug)]
struct Modulus {
    prime: u64,
    inverse: u64,
    first: u64,
}

impl Modulus {
    /// The row of a key. The estimate of the quotient is at most one too small: the inverse lacks less than 2 of
    /// 2^64 / prime, keys are below 2^63.
    #[inline(always)]
    fn row(self, key: u64) -> u64 {
        let quotient = ((u128::from(key) * u128::from(self.inverse)) >> 64) as u64;
        let rest = key - quotient * self.prime;
        self.first + if rest >= self.prime { rest - self.prime } else { rest }
    }
}

/// Primes of the spec's layer.
fn primes(spec: &EngramSpec) -> Vec<u64> {
    let mut dealt = BTreeSet::new();
    let mut of_layer = Vec::new();
    for layer in &spec.layers {
        of_layer.clear();
        for &size in &spec.sizes {
            let mut candidate = size as u64;
            for _ in 0..spec.heads {
                while !is_prime(candidate) || !dealt.insert(candidate) {
                    candidate += 1;
                }
                of_layer.push(candidate);
                candidate += 1;
            }
        }
        if *layer == spec.layer {
            break;
        }
    }
    of_layer
}

/// The test of Miller and Rabin with bases that leave no composite below 4,759,123,141 (Jaeschke 1993).
fn is_prime(n: u64) -> bool {
    const BASES: [u64; 3] = [2, 7, 61];
    if n < 2 || n.is_multiple_of(2) || BASES.contains(&n) {
        return BASES.contains(&n);
    }
    let twos = (n - 1).trailing_zeros();
    let odd = (n - 1) >> twos;
    BASES.iter().all(|&base| {
        let first = power(base, odd, n);
        first == 1 || std::iter::successors(Some(first), |x| Some(x * x % n)).take(twos as usize).any(|x| x == n - 1)
    })
}

/// `base` to the `exponent` modulo `n`, which is below 2^32.
fn power(base: u64, mut exponent: u64, n: u64) -> u64 {
    let (mut square, mut out) = (base % n, 1);
    while exponent > 0 {
        if exponent % 2 == 1 {
            out = out * square % n;
        }
        square = square * square % n;
        exponent /= 2;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Precision;

    fn spec() -> EngramSpec {
        EngramSpec {
            vocab: 129_280,
            orders: vec![2, 3],
            heads: 2,
            head_dim: 1,
            sizes: vec![646_400; 2],
            layers: vec![1, 15],
            layer: 15,
            seed: 0,
            pad: 2,
            multipliers: vec![22_166_238_923_025, 42_939_128_327_945, 41_336_139_856_257],
            precision: Precision::F32,
        }
    }

    /// What numpy says with the formulas of `engram_demo_v1.py`, its vocabulary and its sizes, two heads an order.
    #[test]
    fn rows_are_those_of_the_demo() {
        let hash = EngramHash::new(&spec(), 2);
        assert_eq!(hash.sizes().collect::<Vec<_>>(), [646_433, 646_453, 646_519, 646_523]);
        let ids = [0, 1, 129_279, 5, 5, 77_777];
        let rows: Vec<[u64; 4]> = (1..=ids.len())
            .map(|n| {
                let mut rows = [0; 4];
                hash.rows(&ids[..n], &mut rows);
                rows
            })
            .collect();
        assert_eq!(rows, GOLDEN);
    }

    const GOLDEN: [[u64; 4]; 6] = [
        [426_267, 1_005_910, 1_650_093, 2_034_138],
        [284_818, 1_016_304, 1_511_451, 2_428_157],
        [456_831, 696_319, 1_715_124, 2_425_710],
        [517_043, 1_180_988, 1_865_650, 2_260_544],
        [341_458, 740_192, 1_925_543, 2_432_242],
        [332_433, 678_634, 1_912_609, 2_494_612],
    ];

    #[test]
    fn primes_are_those_of_the_sieve() {
        let mut sieve = vec![true; 100_000];
        sieve[..2].fill(false);
        for n in 2..sieve.len() {
            if sieve[n] {
                (2 * n..sieve.len()).step_by(n).for_each(|multiple| sieve[multiple] = false);
            }
        }
        assert!((0..sieve.len()).all(|n| is_prime(n as u64) == sieve[n]));
        // Carmichael numbers, a strong pseudoprime to 2, 3, 5 and 7, and the largest primes below 2^31 and 2^32.
        assert!([561, 41_041, 314_821, 3_215_031_751, u64::from(u32::MAX)].iter().all(|&n| !is_prime(n)));
        assert!(is_prime(2_147_483_647) && is_prime(4_294_967_291));
    }

    #[test]
    fn remainders_at_the_edges() {
        for prime in [2, 3, 7, 61, 646_433, 2_147_483_647] {
            let modulus = Modulus { prime, inverse: u64::MAX / prime, first: 0 };
            let near = |n: u64| [n.saturating_sub(1), n, n + 1];
            let keys = [0, prime, prime * prime, i64::MAX as u64 / prime * prime, i64::MAX as u64 - 1];
            for key in keys.into_iter().flat_map(near).filter(|&key| key <= i64::MAX as u64) {
                assert_eq!(modulus.row(key), key % prime, "{key} modulo {prime}");
            }
        }
    }
}
