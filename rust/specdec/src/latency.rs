//! What steps take, and what that makes of acceptance: the analytical model of the paper (arXiv 2402.01528, section 3).
//!
//! A step drafts gamma ids one after the other and verifies all in one pass of the target. Its time is
//!
//! ```text
//! draft      layers * ms a layer + overhead            a draft id; small models wait for launches, layer after layer
//! verify(n)  max(weights, n * compute) + overhead      n ids in one pass: first memory binds, then arithmetic
//! step       gamma * draft + verify(batch * (gamma + 1))
//! ```
//!
//! `tau` is what the paper counts as TAR: ids that a verification commits, its own one included, so from 1 to gamma + 1.
//! `alpha` is a probability: that an id is accepted when those before it were.

mod knots;
mod learned;
mod table;

pub use knots::Knots;
pub use learned::Learned;
pub use table::{DraftLine, Line, Machine, Table};

use crate::{Error, Result};

/// Longest drafts that [`best_gamma`] looks at; also what fits the scheduler's bytes.
pub const MOST_GAMMA: u32 = 255;

/// Times of a draft and of its target, as straight lines.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatencyCurve {
    /// Layers of the draft; 0 for one that has none, such as a lookup.
    pub draft_layers: u32,
    /// Milliseconds that each takes an id.
    pub draft_ms_per_layer: f64,
    /// Milliseconds that an id of the draft takes beside its layers.
    pub draft_overhead_ms: f64,
    /// Milliseconds to read the target's weights: what a verification takes at least.
    pub weights_ms: f64,
    /// Milliseconds of arithmetic an id that is verified.
    pub compute_ms_per_token: f64,
    /// Milliseconds of a verification beside both.
    pub overhead_ms: f64,
}

/// The best draft length, and what comes of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Best {
    /// Ids to draft; 0 for none.
    pub gamma: u32,
    /// Ids that all requests together gain a millisecond.
    pub tokens_per_ms: f64,
}

impl LatencyCurve {
    /// Refuses times that are none.
    pub fn check(&self) -> Result<()> {
        let times = [
            ("draft_ms_per_layer", self.draft_ms_per_layer),
            ("draft_overhead_ms", self.draft_overhead_ms),
            ("weights_ms", self.weights_ms),
            ("compute_ms_per_token", self.compute_ms_per_token),
            ("overhead_ms", self.overhead_ms),
        ];
        for (argument, ms) in times {
            if !(ms >= 0.0 && ms.is_finite()) {
                return Err(Error::argument(argument, format!("{ms} is not a number of at least 0")));
            }
        }
        if self.weights_ms + self.compute_ms_per_token + self.overhead_ms > 0.0 {
            return Ok(());
        }
        let what = "0, as are compute_ms_per_token and overhead_ms; give one of them, since verifying takes time";
        Err(Error::argument("weights_ms", what))
    }

    /// Milliseconds of one id of the draft, for all requests of a batch.
    pub fn draft_ms(&self) -> f64 {
        f64::from(self.draft_layers) * self.draft_ms_per_layer + self.draft_overhead_ms
    }

    /// Milliseconds to verify `tokens` ids in one pass.
    pub fn verify_ms(&self, tokens: f64) -> f64 {
        self.weights_ms.max(tokens * self.compute_ms_per_token) + self.overhead_ms
    }

    /// Milliseconds of a step in which each of `batch` requests drafts `gamma` ids.
    pub fn step_ms(&self, batch: u32, gamma: u32) -> f64 {
        let tokens = f64::from(batch) * (f64::from(gamma) + 1.0);
        f64::from(gamma) * self.draft_ms() + self.verify_ms(tokens)
    }
}

/// Ids that a verification commits when each draft is accepted with probability `alpha`, and `gamma` are drafted:
/// (1 - alpha^(gamma + 1)) / (1 - alpha), as the sum that has no limit to take at 1.
pub fn tau(alpha: f64, gamma: u32) -> Result<f64> {
    check_alpha(alpha)?;
    check_gamma("gamma", gamma)?;
    Ok(expected(alpha, gamma))
}

fn expected(alpha: f64, gamma: u32) -> f64 {
    (0..gamma).fold(1.0, |sum, _| 1.0 + alpha * sum)
}

/// The gamma up to `max_gamma` with most tokens a millisecond; of equal ones the least.
pub fn best_gamma(alpha: f64, batch: u32, latency: &LatencyCurve, max_gamma: u32) -> Result<Best> {
    check_alpha(alpha)?;
    check_batch(batch)?;
    check_gamma("max_gamma", max_gamma)?;
    latency.check()?;
    let at = |gamma| f64::from(batch) * expected(alpha, gamma) / latency.step_ms(batch, gamma);
    let first = Best { gamma: 0, tokens_per_ms: at(0) };
    Ok((1..=max_gamma).fold(first, |best, gamma| {
        let tokens_per_ms = at(gamma);
        if tokens_per_ms > best.tokens_per_ms { Best { gamma, tokens_per_ms } } else { best }
    }))
}

/// The tau above which `gamma` drafts a step are better than none: what the step takes, over what a plain one takes.
pub fn break_even_tau(gamma: u32, batch: u32, latency: &LatencyCurve) -> Result<f64> {
    check_gamma("gamma", gamma)?;
    check_batch(batch)?;
    latency.check()?;
    Ok(latency.step_ms(batch, gamma) / latency.step_ms(batch, 0))
}

/// The least alpha at which some gamma up to `max_gamma` is better than none; nothing where even 1 is too little.
pub fn break_even_alpha(batch: u32, latency: &LatencyCurve, max_gamma: u32) -> Result<Option<f64>> {
    check_gamma("max_gamma", max_gamma)?;
    check_batch(batch)?;
    latency.check()?;
    let plain = latency.step_ms(batch, 0);
    let needed = (1..=max_gamma).filter_map(|gamma| alpha_for(latency.step_ms(batch, gamma) / plain, gamma));
    Ok(needed.min_by(f64::total_cmp))
}

/// The alpha whose tau with `gamma` drafts is `wanted`, if there is one.
pub fn alpha_for(wanted: f64, gamma: u32) -> Option<f64> {
    if wanted <= 1.0 {
        return Some(0.0);
    }
    if wanted > f64::from(gamma) + 1.0 {
        return None;
    }
    // Tau grows with alpha, so halving finds it; 60 halves of 1 are below what f64 tells apart.
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if expected(middle, gamma) < wanted { low = middle } else { high = middle }
    }
    Some(high)
}

/// The tau that a candidate needs with `candidate_gamma` drafts to be as good as a draft that reaches `tau` with
/// `gamma`: the paper's way to judge a design before it is trained. Above `candidate_gamma + 1` it can not be had.
pub fn needed_tau(
    tau: f64,
    gamma: u32,
    batch: u32,
    latency: &LatencyCurve,
    candidate: &LatencyCurve,
    candidate_gamma: u32,
) -> Result<f64> {
    check_gamma("gamma", gamma)?;
    check_gamma("candidate_gamma", candidate_gamma)?;
    check_batch(batch)?;
    latency.check()?;
    candidate.check()?;
    let most = f64::from(gamma) + 1.0;
    if !(1.0..=most).contains(&tau) {
        let what = format!("{tau} is not between 1 and gamma + 1 = {most}; it counts the verifier's own id too");
        return Err(Error::argument("tau", what));
    }
    Ok(tau * candidate.step_ms(batch, candidate_gamma) / latency.step_ms(batch, gamma))
}

fn check_alpha(alpha: f64) -> Result<()> {
    if (0.0..=1.0).contains(&alpha) {
        return Ok(());
    }
    Err(Error::argument("alpha", format!("{alpha} is not a probability between 0 and 1")))
}

fn check_batch(batch: u32) -> Result<()> {
    if batch >= 1 {
        return Ok(());
    }
    Err(Error::argument("batch", "0 requests have no step; give at least 1"))
}

fn check_gamma(argument: &'static str, gamma: u32) -> Result<()> {
    if gamma <= MOST_GAMMA {
        return Ok(());
    }
    Err(Error::argument(argument, format!("{gamma} is not between 0 and {MOST_GAMMA}")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn curve(draft_layers: u32, compute_ms_per_token: f64) -> LatencyCurve {
        LatencyCurve {
            draft_layers,
            draft_ms_per_layer: 0.2,
            draft_overhead_ms: 0.1,
            weights_ms: 20.0,
            compute_ms_per_token,
            overhead_ms: 0.5,
        }
    }

    #[test]
    fn tau_is_the_closed_form() {
        for alpha in [0.0, 0.3, 0.9, 0.999_999] {
            for gamma in [0, 1, 5, 16] {
                let closed = (1.0 - f64::powi(alpha, gamma as i32 + 1)) / (1.0 - alpha);
                assert!((expected(alpha, gamma) / closed - 1.0).abs() < 1e-9, "{alpha} {gamma}");
            }
        }
        assert_eq!(expected(1.0, 16), 17.0);
        assert_eq!(tau(0.0, 16).unwrap(), 1.0);
        assert!(tau(0.5, 256).is_err() && tau(-1.0, 2).is_err());
    }

    #[test]
    fn times_by_hand() {
        let curve = curve(5, 0.25);
        assert_eq!(curve.draft_ms(), 1.1);
        assert_eq!(curve.verify_ms(8.0), 20.5);
        assert_eq!(curve.verify_ms(100.0), 25.5);
        assert_eq!(curve.step_ms(4, 3), 3.0 * 1.1 + 20.5);
        assert_eq!(break_even_tau(3, 4, &curve).unwrap(), (3.0 * 1.1 + 20.5) / 20.5);
    }

    #[test]
    fn a_deeper_draft_that_is_accepted_more_can_lose() {
        let (deep, shallow) = (curve(24, 0.001), curve(5, 0.001));
        let deep_best = best_gamma(0.8, 1, &deep, 16).unwrap();
        let shallow_best = best_gamma(0.75, 1, &shallow, 16).unwrap();
        assert!(shallow_best.tokens_per_ms > 1.2 * deep_best.tokens_per_ms);
        // What the shallow one needs by the formula of section 2, and no more.
        let needed = needed_tau(expected(0.8, 4), 4, 1, &deep, &shallow, 4).unwrap();
        assert!((needed - expected(0.8, 4) * (4.0 * 1.1 + 20.5) / (4.0 * 4.9 + 20.5)).abs() < 1e-12);
        assert!(needed < expected(0.75, 4));
    }

    #[test]
    fn no_draft_pays_once_arithmetic_binds() {
        let curve = curve(5, 0.4);
        assert!(best_gamma(0.7, 1, &curve, 16).unwrap().gamma > 0);
        assert_eq!(best_gamma(0.7, 256, &curve, 16).unwrap().gamma, 0);
        assert!(break_even_alpha(1, &curve, 16).unwrap().unwrap() < 0.7);
        let needed = break_even_alpha(256, &curve, 16).unwrap();
        assert!(needed.is_none_or(|alpha| alpha > 0.7), "{needed:?}");
    }

    proptest! {
        /// Just below the alpha that is needed nothing pays, and just above something does.
        #[test]
        fn break_even_is_where_gamma_leaves_zero(
            layers in 0u32..30, compute in 0.0f64..0.5, batch in 1u32..300, most in 1u32..17,
        ) {
            let curve = curve(layers, compute);
            match break_even_alpha(batch, &curve, most).unwrap() {
                None => prop_assert_eq!(best_gamma(1.0, batch, &curve, most).unwrap().gamma, 0),
                Some(alpha) => {
                    if alpha < 1.0 - 1e-6 {
                        prop_assert!(best_gamma(alpha + 1e-6, batch, &curve, most).unwrap().gamma > 0);
                    }
                    if alpha > 1e-6 {
                        prop_assert_eq!(best_gamma(alpha - 1e-6, batch, &curve, most).unwrap().gamma, 0);
                    }
                }
            }
        }

        #[test]
        fn more_acceptance_is_never_fewer_tokens(
            alpha in 0.0f64..0.99, layers in 0u32..30, compute in 0.0f64..0.5, batch in 1u32..300,
        ) {
            let curve = curve(layers, compute);
            let less = best_gamma(alpha, batch, &curve, 16).unwrap();
            let more = best_gamma(alpha + 0.01, batch, &curve, 16).unwrap();
            prop_assert!(more.tokens_per_ms >= less.tokens_per_ms);
        }
    }

    #[test]
    fn what_can_not_be() {
        let good = curve(5, 0.1);
        let named = |result: Result<Best>| match result {
            Err(Error::Argument { argument, .. }) => argument,
            other => panic!("{other:?}"),
        };
        for alpha in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(named(best_gamma(alpha, 1, &good, 16)), "alpha");
        }
        assert_eq!(named(best_gamma(0.5, 0, &good, 16)), "batch");
        assert_eq!(named(best_gamma(0.5, 1, &good, 256)), "max_gamma");
        assert_eq!(named(best_gamma(0.5, 1, &LatencyCurve { weights_ms: -1.0, ..good }, 16)), "weights_ms");
        assert_eq!(named(best_gamma(0.5, 1, &LatencyCurve { overhead_ms: f64::NAN, ..good }, 16)), "overhead_ms");
        let nothing = LatencyCurve { weights_ms: 0.0, compute_ms_per_token: 0.0, overhead_ms: 0.0, ..good };
        assert_eq!(named(best_gamma(0.5, 1, &nothing, 16)), "weights_ms");
        assert!(needed_tau(5.1, 4, 1, &good, &good, 4).is_err());
        assert!(needed_tau(f64::NAN, 4, 1, &good, &good, 4).is_err());
    }
}
