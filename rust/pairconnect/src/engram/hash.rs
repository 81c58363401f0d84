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
        let quotient = (u128::from(key) * u128::from(self.inverse) >> 64) as u64;
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
