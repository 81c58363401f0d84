//! Times that are corrected by those of steps as they run.
//!
//! ```text
//! ms  =  pace * sum of knots(rows of each pass)  +  kv * tokens in the caches that it reads
//! ```
//!
//! `pace` and `kv` are found by least squares over relative errors in which older steps count less: so a card that slows
//! down is followed, whatever sizes run. The rest is learned knot by knot, slowly. A time that is far off what was
//! expected is taken for a disturbance and clipped, unless it is one of several in a row: then things have changed.

use super::knots::{Knots, Place};
use crate::{Error, Result};

/// What a step counts after the next one, in the least squares.
const KEEP: f64 = 0.95;
/// Weight of what was thought of `kv` before: it decides where steps do not differ in their caches.
const PRIOR: f64 = 0.02;
/// Share of an error that a knot takes.
const RATE: f64 = 0.05;
/// Errors above so many times their usual size are clipped.
const CLIP: f64 = 4.0;
/// Usual size of relative errors at least.
const LEAST_SPREAD: f64 = 0.005;
/// So many clipped ones to the same side are no disturbance.
const RUN: i32 = 4;

/// Times of passes of one model.
#[derive(Clone, Debug)]
pub struct Learned {
    knots: Knots,
    pace: f64,
    kv: f64,
    prior_kv: f64,
    sums: Sums,
    spread: f64,
    run: i32,
}

/// Products of what is known and what is wanted, older ones less.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    rows: f64,
    cross: f64,
    caches: f64,
    rows_ms: f64,
    caches_ms: f64,
}

impl Learned {
    /// Begins with times by size, and milliseconds that reading the cache of a token takes.
    pub fn new(knots: Knots, kv: f64) -> Result<Self> {
        if !(kv >= 0.0 && kv.is_finite()) {
            return Err(Error::argument("kv_ms_per_token", format!("{kv} is not a number of at least 0")));
        }
        Ok(Self { knots, pace: 1.0, kv, prior_kv: kv, sums: Sums::default(), spread: 0.05, run: 0 })
    }

    /// Milliseconds of one pass over `rows` that reads caches of `kv` tokens.
    #[inline]
    pub fn ms(&self, rows: u32, kv: u64) -> f64 {
        self.pace * self.knots.at(rows) + self.kv * kv as f64
    }

    /// Milliseconds of the caches alone.
    pub fn kv_ms(&self, kv: u64) -> f64 {
        self.kv * kv as f64
    }

    /// Times by size, before the pace of the moment.
    pub fn knots(&self) -> &Knots {
        &self.knots
    }

    /// Measured milliseconds of passes over so many rows each, which read caches of `kv` tokens in all.
    pub fn timed(&mut self, passes: &[u32], kv: u64, ms: f64) -> Result<()> {
        if !(ms >= 0.0 && ms.is_finite()) {
            return Err(Error::argument("ms", format!("{ms} is not a number of at least 0")));
        }
        let rows: f64 = passes.iter().map(|&n| self.knots.at(n)).sum();
        let caches = kv as f64;
        let expected = self.pace * rows + self.kv * caches;
        if expected <= 0.0 {
            return Ok(());
        }
        let error = self.clipped(ms / expected - 1.0);
        let (x, y, ms) = (rows / expected, caches / expected, 1.0 + error);
        self.sums.add(x, y, ms);
        self.fit();
        if self.run == 0 {
            self.shape(passes, rows, error);
        }
        Ok(())
    }

    /// A relative error, as far as it is believed.
    fn clipped(&mut self, error: f64) -> f64 {
        let limit = CLIP * self.spread;
        let far = error.abs() > limit;
        let side = if error > 0.0 { 1 } else { -1 };
        self.run = match (far, self.run.signum() == side) {
            (false, _) => 0,
            (true, true) => self.run + side,
            (true, false) => side,
        };
        let believed = if self.run.abs() >= RUN {
            self.sums.fade(0.3);
            error
        } else {
            error.clamp(-limit, limit)
        };
        // What was clipped tells little of how much errors spread.
        if !far {
            self.spread = (0.95 * self.spread + 0.05 * 1.25 * error.abs()).max(LEAST_SPREAD);
        }
        believed
    }

    fn fit(&mut self) {
        let Sums { rows, cross, caches, rows_ms, caches_ms } = self.sums;
        // The prior pulls `kv` alone; rows are never absent for long.
        let pull = PRIOR * caches;
        let (caches, caches_ms) = (caches + pull, caches_ms + pull * self.prior_kv);
        let determinant = rows * caches - cross * cross;
        let alone = if rows > 0.0 { rows_ms / rows } else { self.pace };
        let (pace, kv) = if caches > 0.0 && determinant > 1e-12 * rows * caches {
            ((rows_ms * caches - cross * caches_ms) / determinant, (rows * caches_ms - cross * rows_ms) / determinant)
        } else {
            (alone, self.kv)
        };
        // Neither can be below nothing; the other one then says all.
        (self.pace, self.kv) = if kv < 0.0 {
            (alone, 0.0)
        } else if pace <= 0.0 {
            (self.pace, self.kv)
        } else {
            (pace, kv)
        };
    }

    /// Knots take a share of the error, each by its part in the rows.
    fn shape(&mut self, passes: &[u32], rows: f64, error: f64) {
        if rows <= 0.0 {
            return;
        }
        let step = RATE * error.clamp(-0.5, 0.5);
        for &n in passes.iter().filter(|&&n| n > 0) {
            let Place { upper, share } = self.knots.place(n);
            let parts = [(upper, share.min(1.0)), (upper.saturating_sub(1), (1.0 - share).max(0.0))];
            for (knot, share) in parts {
                let part = share * self.knots.of(knot) / rows;
                if part > 0.0 {
                    self.knots.scale(knot, 1.0 + step * part.min(1.0));
                }
            }
        }
    }
}

impl Sums {
    fn add(&mut self, x: f64, y: f64, ms: f64) {
        self.fade(KEEP);
        self.rows += x * x;
        self.cross += x * y;
        self.caches += y * y;
        self.rows_ms += x * ms;
        self.caches_ms += y * ms;
    }

    fn fade(&mut self, keep: f64) {
        let Self { rows, cross, caches, rows_ms, caches_ms } = self;
        for sum in [rows, cross, caches, rows_ms, caches_ms] {
            *sum *= keep;
        }
    }
}

#[cfg(test)]
mod tests {
    use thrifty_base::philox::Philox;

    use super::*;
    use crate::latency::LatencyCurve;

    const CURVE: LatencyCurve = LatencyCurve {
        draft_layers: 5,
        draft_ms_per_layer: 0.2,
        draft_overhead_ms: 0.1,
        weights_ms: 20.0,
        compute_ms_per_token: 0.1,
        overhead_ms: 0.5,
    };

    /// Steps of a machine whose times are `true_ms`, with 2 % of noise, and now and then a disturbance.
    fn run(model: &mut Learned, steps: std::ops::Range<u64>, disturbed: u64, true_ms: impl Fn(u32, u64) -> f64) {
        let random = Philox::new(5, 0);
        for step in steps {
            let [a, b, c, _] = random.words_at(step);
            let (rows, kv) = (1 + (a >> 8) % (2 << (a % 9)), u64::from(b % 200_000));
            let noise = 1.0 + 0.04 * (f64::from(c) / 4_294_967_296.0 - 0.5) * 3f64.sqrt();
            let ms = true_ms(rows, kv) * noise * if disturbed > 0 && step % disturbed == 0 { 8.0 } else { 1.0 };
            model.timed(&[rows], kv, ms).unwrap();
        }
    }

    fn error(model: &Learned, true_ms: impl Fn(u32, u64) -> f64) -> f64 {
        let cases = [(1, 0), (8, 10_000), (64, 100_000), (250, 50_000), (480, 200_000)];
        cases.into_iter().map(|(n, kv)| (model.ms(n, kv) / true_ms(n, kv) - 1.0).abs()).fold(0.0, f64::max)
    }

    fn fresh() -> Learned {
        Learned::new(Knots::of_verify(&CURVE, &[]).unwrap(), 2e-5).unwrap()
    }

    #[test]
    fn begins_with_the_curve() {
        assert_eq!(fresh().ms(10, 0), 20.5);
        assert!((fresh().ms(400, 100_000) - (40.5 + 2.0)).abs() < 1e-9);
    }

    #[test]
    fn follows_a_shift_of_a_fifth_within_twenty_steps() {
        let before = |n: u32, kv: u64| CURVE.verify_ms(n.into()) + 2e-5 * kv as f64;
        for factor in [1.2, 0.8] {
            let after = |n, kv| factor * before(n, kv);
            let mut model = fresh();
            run(&mut model, 0..300, 0, before);
            assert!(error(&model, before) < 0.03);
            run(&mut model, 300..320, 0, after);
            assert!(error(&model, after) < 0.05, "{factor}: {}", error(&model, after));
        }
    }

    #[test]
    fn disturbances_are_no_shift() {
        let law = |n: u32, kv: u64| CURVE.verify_ms(n.into()) + 2e-5 * kv as f64;
        let mut model = fresh();
        run(&mut model, 0..600, 7, law);
        assert!(error(&model, law) < 0.05, "{}", error(&model, law));
    }

    #[test]
    fn tells_caches_from_rows() {
        // Reading caches takes four times what was thought.
        let law = |n: u32, kv: u64| CURVE.verify_ms(n.into()) + 8e-5 * kv as f64;
        let mut model = fresh();
        run(&mut model, 0..300, 0, law);
        assert!(error(&model, law) < 0.05, "{}", error(&model, law));
    }

    #[test]
    fn learns_a_curve_that_is_wrong() {
        // Arithmetic binds far sooner than was thought, and all takes twice as long.
        let law = |n: u32, kv: u64| 2.0 * (20.0f64).max(0.25 * f64::from(n)) + 0.5 + 2e-5 * kv as f64;
        let mut model = fresh();
        assert!(error(&model, law) > 0.4);
        run(&mut model, 0..6000, 0, law);
        assert!(error(&model, law) < 0.1, "{}", error(&model, law));
    }

    #[test]
    fn knows_steps_that_are_all_alike() {
        // Nothing tells rows from caches; the sum must still be right, and neither below nothing.
        let mut model = fresh();
        for _ in 0..2000 {
            model.timed(&[64], 100_000, 30.0).unwrap();
        }
        assert!((model.ms(64, 100_000) - 30.0).abs() < 0.1);
        assert!(model.kv_ms(100_000) >= 0.0 && model.ms(64, 0) > 0.0);
    }

    #[test]
    fn passes_of_a_draft() {
        let mut draft = Learned::new(Knots::of_draft(&CURVE).unwrap(), 0.0).unwrap();
        for _ in 0..100 {
            draft.timed(&[64, 40, 10], 0, 3.0 * 2.2).unwrap();
        }
        assert!((draft.ms(40, 0) - 2.2).abs() < 0.02, "{}", draft.ms(40, 0));
        draft.timed(&[], 0, 1.0).unwrap();
        assert!(draft.timed(&[1], 0, f64::NAN).is_err());
        assert!(Learned::new(Knots::of_draft(&CURVE).unwrap(), -1.0).is_err());
    }
}
