//! How many hits chance alone would give.

use crate::plan::Repetition;

/// The chance that an item is found in a document of a segment that does not hold it, by how many buckets of the first
/// repetition answer: from none to all of them.
///
/// A document's bucket answers because its filter errs, or because a holder of the item shares it. How many holders there
/// are is seen in how many buckets of the first repetition answer: of B, B (1 - (1 - p)(1 - 1/B)^V) are expected to.
pub(crate) fn chances(shape: &[Repetition], blooms: &[f64]) -> Vec<f64> {
    let buckets = f64::from(shape[0].buckets);
    // Share of buckets that are silent when nobody holds the item.
    let silent = (1.0 - blooms[0]).max(1e-12);
    let one = (-1.0 / buckets).ln_1p();
    // How much of the holders' effect there is on a document, as an exponent.
    let exponent = |collision: f64| if buckets > 1.0 { (-collision).ln_1p() / one } else { 0.0 };
    let repetitions: Vec<(f64, f64)> =
        blooms.iter().zip(shape).map(|(&p, r)| (p, exponent(r.collision.min(0.999)))).collect();
    (0..=shape[0].buckets)
        .map(|answered| {
            let free = (1.0 - f64::from(answered) / buckets) / silent;
            let product: f64 =
                repetitions.iter().map(|&(p, e)| 1.0 - (1.0 - p) * free.powf(e)).map(|f| f.max(0.0)).product();
            product.clamp(0.0, 1.0)
        })
        .collect()
}

/// Probability that at least `least` of `n` trials succeed, each with probability `p`.
///
/// The number of items that an unrelated document seems to hold is a sum of independent trials of unlike probability;
/// with the mean probability the binomial tail bounds it from above for thresholds over the mean (Hoeffding 1956).
pub(super) fn binomial_tail(n: u64, least: u64, p: f64) -> f64 {
    if least == 0 || p >= 1.0 {
        return 1.0;
    }
    if least > n || p <= 0.0 {
        return 0.0;
    }
    let (log_p, log_q) = (p.ln(), (-p).ln_1p());
    // Sum from `least` up while terms matter; below the mean the other tail is the short one.
    let term = |k: u64| (ln_choose(n, k) + k as f64 * log_p + (n - k) as f64 * log_q).exp();
    let ratio = |k: u64| (n - k) as f64 / (k + 1) as f64 * p / (1.0 - p);
    if least as f64 > n as f64 * p {
        let (mut sum, mut t, mut k) = (0.0, term(least), least);
        loop {
            sum += t;
            if k == n || t < 1e-17 * sum {
                return sum.min(1.0);
            }
            t *= ratio(k);
            k += 1;
        }
    }
    let (mut sum, mut t, mut k) = (0.0, term(least - 1), least - 1);
    loop {
        sum += t;
        if k == 0 || t < 1e-17 * sum {
            return (1.0 - sum).clamp(0.0, 1.0);
        }
        k -= 1;
        t /= ratio(k);
    }
}

fn ln_choose(n: u64, k: u64) -> f64 {
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

/// Logarithm of n!: exact sums for small n, Stirling's series beyond (error below 1e-12).
fn ln_factorial(n: u64) -> f64 {
    if n < 32 {
        return (2..=n).map(|i| (i as f64).ln()).sum();
    }
    let x = n as f64;
    x * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI * x).ln() + 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3))
        + 1.0 / (1260.0 * x.powi(5))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of scipy.stats.binom.sf(least - 1, n, p).
    #[test]
    fn against_scipy() {
        for (n, least, p, expected) in [
            (1, 1, 0.003, 0.003),
            (120, 60, 0.3, 3.541_126e-6),
            (120, 30, 0.3, 0.904_095_6),
            (1000, 1, 1e-3, 0.632_304_6),
            (50, 0, 0.1, 1.0),
            (50, 51, 0.1, 0.0),
        ] {
            let got = binomial_tail(n, least, p);
            assert!((got - expected).abs() <= 1e-6 * expected.max(1e-12), "{n} {least} {p}: {got} {expected}");
        }
    }

    #[test]
    fn tails_add_up() {
        for n in [5u64, 40, 300] {
            for p in [0.01, 0.3, 0.9] {
                let pmf: f64 = (0..=n).map(|k| binomial_tail(n, k, p) - binomial_tail(n, k + 1, p)).sum();
                assert!((pmf - 1.0).abs() < 1e-9);
                for k in 0..n {
                    assert!(binomial_tail(n, k, p) >= binomial_tail(n, k + 1, p) - 1e-12);
                }
            }
        }
    }
}
