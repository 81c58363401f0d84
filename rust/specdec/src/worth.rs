//! What the ids of a draft are worth: the logarithms of the factors by which each lengthens what its request gets of a step.

/// `log(tau_k / tau_(k-1))`, where `tau_k = 1 + S(1) + ... + S(k)`, of the chances S, to 2 in a million. It does not rise
/// with k where the chances don't.
#[inline(always)]
pub fn worth<const N: usize>(chances: &[f32; N]) -> [f32; N] {
    // Sums of the first ones, by doubling: few steps that wait for each other.
    let (mut sums, mut by) = (*chances, 1);
    while by < N {
        let had = sums;
        for k in by..N {
            sums[k] += had[k - by];
        }
        by *= 2;
    }
    let mut out = [0.0; N];
    for k in 0..N {
        let tau = if k == 0 { 1.0 } else { 1.0 + sums[k - 1] };
        out[k] = log_gain(tau, chances[k]);
    }
    out
}

/// log((tau + s) / tau), for s up to tau, to 2 in a million: twice the first terms of artanh(s / (2 tau + s)).
#[inline(always)]
fn log_gain(tau: f32, s: f32) -> f32 {
    let z = s / (2.0 * tau + s);
    let w = z * z;
    // In pairs, which need not wait for each other.
    let last = 1.0 / 7.0 + w * (1.0 / 9.0);
    2.0 * z * ((1.0 + w * (1.0 / 3.0)) + (w * w) * ((1.0 / 5.0) + w * last))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_a_logarithm(falls in prop::collection::vec(0.0f32..=1.0, 8)) {
            let (mut chances, mut chance) = ([0.0; 8], 1.0);
            for (own, fall) in chances.iter_mut().zip(falls) {
                chance *= fall;
                *own = chance;
            }
            let mut tau = 1.0f64;
            for (worth, s) in worth(&chances).into_iter().zip(chances) {
                let more = tau + f64::from(s);
                prop_assert!((f64::from(worth) - (more / tau).ln()).abs() < 4e-6, "{worth} {tau} {s}");
                tau = more;
            }
        }
    }
}
