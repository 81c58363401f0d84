//! How likely drafts are accepted: of each request and draft, the chance S(k) that its first k ids are.
//!
//! Position by position, rounds are counted in which it was looked at, and in which it was accepted; older ones count
//! less. A request has few rounds, so what they say is mixed with what its class says (requests of one kind: the same
//! temperature, say), in two steps: how often its drafts fail in all, compared with the class, moves the class's chances
//! up or down; then each position's own counts move what that gives.
//!
//! ```text
//! level     (LEVEL + rejections) / (LEVEL + those that the class expects)
//! expected  1 - level * failure of the class at k
//! chance    (SHAPE * expected + accepted at k) / (SHAPE + looked at k)         a mean of the Beta law
//! S(k)      product of the chances up to k
//! ```
//!
//! A class learns from all its requests. Where it has seen nothing of a position, that is as the one before.
//! Instead of all counts decaying each round, what a round counts grows, so an update touches what it saw and no more.

use thrifty_base::prefetch::prefetch;

use crate::{Error, Result};

/// Longest draft whose positions are told apart.
pub const DEPTHS: usize = 16;
/// What a round of a request counts after the next one.
pub const KEEP: f32 = 0.98;
/// The same for a class, which sees rounds of many requests.
const CLASS_KEEP: f32 = 0.9995;
/// Rejections that the class's word counts like.
const LEVEL: f32 = 2.0;
/// Rounds at a position that what the level says counts like.
const SHAPE: f32 = 12.0;
/// Rounds that the position before counts like, in a class.
const SMOOTH: f32 = 8.0;
/// Counts are scaled back above this.
const LARGE: f32 = (1 << 20) as f32;
/// Classes that are told apart.
pub const MOST_CLASSES: u32 = 1024;
/// Class of a slot that has no request.
const NOBODY: u32 = u32::MAX;

/// A number for each position of a draft, the first one first; a line of the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C, align(64))]
pub struct Row(pub [f32; DEPTHS]);

/// Rounds that looked at positions, and those that accepted them.
#[derive(Clone, Copy, Debug)]
struct Counts {
    looked: Row,
    accepted: Row,
    /// What a round counts now.
    unit: f32,
}

impl Counts {
    const NONE: Self = Self { looked: Row([0.0; DEPTHS]), accepted: Row([0.0; DEPTHS]), unit: 1.0 };

    /// A round of `gamma` drafts; those behind the first rejection were not looked at.
    fn add(&mut self, gamma: usize, accepted: usize, keep: f32) {
        self.age(keep);
        let looked = gamma.min(accepted + 1);
        for k in 0..looked {
            self.looked.0[k] += self.unit;
        }
        for k in 0..accepted {
            self.accepted.0[k] += self.unit;
        }
    }

    /// Makes all rounds so far count less.
    fn age(&mut self, keep: f32) {
        self.unit /= keep;
        if self.unit > LARGE {
            let scale = 1.0 / self.unit;
            for k in 0..DEPTHS {
                self.looked.0[k] *= scale;
                self.accepted.0[k] *= scale;
            }
            self.unit = 1.0;
        }
    }
}

/// What requests of a kind have in common.
#[derive(Clone, Copy, Debug)]
struct Class {
    counts: Counts,
    /// Chance that a position is not accepted when those before it were.
    failure: Row,
    stale: bool,
}

impl Class {
    fn new(alpha: f32) -> Self {
        Self { counts: Counts::NONE, failure: Row([1.0 - alpha; DEPTHS]), stale: false }
    }

    fn refresh(&mut self, alpha: f32) {
        let Counts { looked, accepted, unit } = &self.counts;
        let mut chance = alpha;
        for k in 0..DEPTHS {
            chance = (SMOOTH * unit * chance + accepted.0[k]) / (SMOOTH * unit + looked.0[k]);
            self.failure.0[k] = 1.0 - chance;
        }
        self.stale = false;
    }
}

/// The chances of all requests, by slot and draft.
#[derive(Clone, Debug)]
pub struct Acceptance {
    /// Of each draft, what is thought before anything is known.
    alphas: Vec<f32>,
    max_gamma: u8,
    classes: Vec<Class>,
    class_of: Vec<u32>,
    counts: Vec<Counts>,
    survival: Vec<Row>,
}

impl Acceptance {
    /// For drafts of which nothing is known but a guess each, a probability, and which are no longer than `max_gamma`.
    pub fn new(alphas: &[f32], max_gamma: u8) -> Result<Self> {
        if usize::from(max_gamma) > DEPTHS {
            return Err(Error::argument("max_gamma", format!("{max_gamma} is not between 0 and {DEPTHS}")));
        }
        for alpha in alphas {
            if !(0.0..=1.0).contains(alpha) {
                return Err(Error::argument("alpha", format!("{alpha} is not a probability between 0 and 1")));
            }
        }
        Ok(Self {
            alphas: alphas.to_vec(),
            max_gamma,
            classes: Vec::new(),
            class_of: Vec::new(),
            counts: Vec::new(),
            survival: Vec::new(),
        })
    }

    /// Drafts.
    pub fn drafts(&self) -> usize {
        self.alphas.len()
    }

    /// A new request at `slot`, which knows what its class knows. Classes from [`MOST_CLASSES`] on are one.
    pub fn admit(&mut self, slot: u32, class: u32) {
        let class = class.min(MOST_CLASSES);
        let drafts = self.drafts();
        let slots = slot as usize + 1;
        if self.class_of.len() < slots {
            self.class_of.resize(slots, NOBODY);
            self.counts.resize(slots * drafts, Counts::NONE);
            self.survival.resize(slots * drafts, Row::default());
        }
        while self.classes.len() < (class as usize + 1) * drafts {
            self.classes.push(Class::new(self.alphas[self.classes.len() % drafts]));
        }
        self.class_of[slot as usize] = class;
        for draft in 0..drafts {
            self.counts[slot as usize * drafts + draft] = Counts::NONE;
            self.estimate(slot as usize, draft);
        }
    }

    /// Ends the request at `slot`; its class keeps what it learned.
    pub fn forget(&mut self, slot: u32) {
        if let Some(class) = self.class_of.get_mut(slot as usize) {
            *class = NOBODY;
        }
    }

    /// Whether a request is at `slot`.
    pub fn knows(&self, slot: u32) -> bool {
        self.class_of.get(slot as usize).is_some_and(|&class| class != NOBODY)
    }

    /// A round of the request at `slot`: of `gamma` ids of a draft the first `accepted` were.
    pub fn observe(&mut self, slot: u32, draft: u8, gamma: u8, accepted: u8) -> Result<()> {
        let drafts = self.drafts();
        if !self.knows(slot) {
            return Err(Error::argument("slot", format!("{slot} has no request; admit it first")));
        }
        if usize::from(draft) >= drafts {
            return Err(Error::argument("draft", format!("{draft} is not below {drafts}, the number of drafts")));
        }
        if gamma > self.max_gamma {
            return Err(Error::argument("gamma", format!("{gamma} is not between 0 and {}", self.max_gamma)));
        }
        if accepted > gamma {
            return Err(Error::argument("accepted", format!("{accepted} of {gamma} drafts can not be")));
        }
        if gamma == 0 {
            return Ok(());
        }
        let (slot, draft) = (slot as usize, usize::from(draft));
        let class = &mut self.classes[self.class_of[slot] as usize * drafts + draft];
        class.counts.add(gamma.into(), accepted.into(), CLASS_KEEP);
        class.stale = true;
        self.counts[slot * drafts + draft].add(gamma.into(), accepted.into(), KEEP);
        self.estimate(slot, draft);
        Ok(())
    }

    /// Asks memory for what an observation of the request at `slot` reads and writes.
    #[inline]
    pub fn expect(&self, slot: u32) {
        let (at, drafts) = (slot as usize * self.drafts(), self.drafts());
        if let (Some(counts), Some(survival)) = (self.counts.get(at..at + drafts), self.survival.get(at..at + drafts)) {
            prefetch(counts);
            prefetch(survival);
        }
    }

    /// Lets classes say what they learned since the last call.
    pub fn refresh(&mut self) {
        for (i, class) in self.classes.iter_mut().enumerate() {
            if class.stale {
                class.refresh(self.alphas[i % self.alphas.len()]);
            }
        }
    }

    /// Counts a round without drafts: what was seen of this request grows old, and what its class learned comes in.
    pub fn idle(&mut self, slot: u32) {
        if self.knows(slot) {
            let drafts = self.drafts();
            for draft in 0..drafts {
                self.counts[slot as usize * drafts + draft].age(KEEP);
                self.estimate(slot as usize, draft);
            }
        }
    }

    /// S(1), S(2), ... of a request that is known.
    #[inline(always)]
    pub fn survival(&self, slot: u32, draft: u8) -> &Row {
        &self.survival[slot as usize * self.alphas.len() + usize::from(draft)]
    }

    fn estimate(&mut self, slot: usize, draft: usize) {
        let at = slot * self.drafts() + draft;
        let class = &self.classes[self.class_of[slot] as usize * self.drafts() + draft];
        // Most drafts are short, and half the positions are half the work.
        self.survival[at] = if usize::from(self.max_gamma) <= DEPTHS / 2 {
            survival::<{ DEPTHS / 2 }>(&self.counts[at], &class.failure)
        } else {
            survival::<DEPTHS>(&self.counts[at], &class.failure)
        };
    }
}

/// What counts of a request say together with failures of its class, of the first positions.
fn survival<const N: usize>(counts: &Counts, failure: &Row) -> Row {
    let Counts { looked, accepted, unit } = counts;
    // Four sums side by side, in the order of positions.
    let (mut rejected, mut expected) = ([0.0f32; 4], [0.0f32; 4]);
    for k in 0..N {
        rejected[k % 4] += looked.0[k] - accepted.0[k];
        expected[k % 4] += looked.0[k] * failure.0[k];
    }
    let sum = |parts: [f32; 4]| (parts[0] + parts[1]) + (parts[2] + parts[3]);
    let level = (LEVEL * unit + sum(rejected)) / (LEVEL * unit + sum(expected));
    let mut out = Row::default();
    for k in 0..N {
        let expected = 1.0 - (level * failure.0[k]).min(1.0);
        out.0[k] = (SHAPE * unit * expected + accepted.0[k]) / (SHAPE * unit + looked.0[k]);
    }
    for k in 1..N {
        out.0[k] *= out.0[k - 1];
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use thrifty_base::philox::Philox;

    use super::*;

    /// Rounds whose positions are accepted with the chances `of(k)`.
    struct Rounds(Philox, u64);

    impl Rounds {
        fn new(seed: u64) -> Self {
            Self(Philox::new(seed, 0), 0)
        }

        fn next(&mut self, gamma: u8, of: impl Fn(usize) -> f64) -> u8 {
            let mut accepted = 0;
            while accepted < gamma {
                self.1 += 1;
                let u = f64::from(self.0.words_at(self.1)[0]) / 4_294_967_296.0;
                if u >= of(accepted.into()) {
                    break;
                }
                accepted += 1;
            }
            accepted
        }
    }

    fn product(of: impl Fn(usize) -> f64, k: usize) -> f32 {
        (0..k).map(of).product::<f64>() as f32
    }

    #[test]
    fn finds_chances_that_stand_still() {
        for alpha in [0.2, 0.6, 0.9] {
            // The mean over 40 requests of a class that each had 60 rounds.
            let mut all = Acceptance::new(&[0.5], 16).unwrap();
            let mut rounds = Rounds::new(1);
            let (mut mean, mut worst) = ([0.0f32; 4], 0.0f32);
            for slot in 0..40 {
                all.admit(slot, 3);
                for _ in 0..60 {
                    all.observe(slot, 0, 4, rounds.next(4, |_| alpha)).unwrap();
                    all.refresh();
                }
                for k in 0..4 {
                    let error = all.survival(slot, 0).0[k] - (alpha as f32).powi(k as i32 + 1);
                    mean[k] += error / 40.0;
                    worst = worst.max(error.abs());
                }
            }
            assert!(mean.iter().all(|e| e.abs() < 0.02), "{alpha}: {mean:?}");
            assert!(worst < 0.2, "{alpha}: {worst}");
        }
    }

    #[test]
    fn finds_chances_that_depend_on_the_position() {
        // The first position is hard, those behind it are easy; and the other way round.
        for of in [[0.5, 0.9, 0.9, 0.9], [0.95, 0.8, 0.6, 0.3]] {
            let mut all = Acceptance::new(&[0.5], 16).unwrap();
            let mut rounds = Rounds::new(2);
            let mut mean = [0.0f32; 4];
            for slot in 0..20 {
                all.admit(slot, 0);
                for _ in 0..100 {
                    all.observe(slot, 0, 4, rounds.next(4, |k| of[k])).unwrap();
                    all.refresh();
                }
                (0..4).for_each(|k| mean[k] += all.survival(slot, 0).0[k] / 20.0);
            }
            for k in 0..4 {
                let wanted = product(|j| of[j], k + 1);
                assert!((mean[k] - wanted).abs() < 0.03, "{of:?} {k}: {} {wanted}", mean[k]);
            }
        }
    }

    /// Within 80 rounds after its text changes a request is at least three quarters of the way, though its class stays.
    #[test]
    fn follows_a_change_within_a_request() {
        for (before, after) in [(0.9, 0.3), (0.3, 0.9)] {
            let mut all = Acceptance::new(&[0.6], 16).unwrap();
            let mut rounds = Rounds::new(3);
            let mut mean = 0.0;
            for slot in 0..40 {
                all.admit(slot, 0);
                for _ in 0..100 {
                    all.observe(slot, 0, 3, rounds.next(3, |_| before)).unwrap();
                }
                for _ in 0..80 {
                    all.observe(slot, 0, 3, rounds.next(3, |_| after)).unwrap();
                }
                mean += f64::from(all.survival(slot, 0).0[0]) / 40.0;
            }
            let way = (mean - before) / (after - before);
            assert!((0.75..1.05).contains(&way), "{before} to {after}: {way}");
        }
    }

    #[test]
    fn little_evidence_says_little() {
        let mut all = Acceptance::new(&[0.5], 16).unwrap();
        let mut rounds = Rounds::new(4);
        all.admit(0, 0);
        for _ in 0..3000 {
            all.observe(0, 0, 4, rounds.next(4, |_| 0.8)).unwrap();
        }
        all.refresh();
        // A new request knows what its class knows, also of positions that no round looked at.
        all.admit(1, 0);
        for k in [0, 3, 7] {
            let wanted = 0.8f32.powi(k + 1);
            assert!((all.survival(1, 0).0[k as usize] - wanted).abs() < 0.06, "{k}: {:?}", all.survival(1, 0));
        }
        // One bad round moves it a little, and thirty most of the way; deeper positions follow the first.
        let before = all.survival(1, 0).0;
        all.observe(1, 0, 1, 0).unwrap();
        let once = all.survival(1, 0).0;
        assert!(once[0] < before[0] && once[0] > 0.8 * before[0], "{once:?}");
        for _ in 0..29 {
            all.observe(1, 0, 1, 0).unwrap();
        }
        let often = all.survival(1, 0).0;
        assert!(often[0] < 0.15, "{often:?}");
        assert!(often[1] / often[0] < 0.5 * before[1] / before[0], "{often:?}");
        // Another class was not touched, nor is one by a request that leaves.
        all.admit(2, 1);
        assert_eq!(all.survival(2, 0).0[0], 0.5);
        all.forget(1);
        assert!(!all.knows(1) && all.knows(0));
    }

    #[test]
    fn what_is_not_seen_grows_old() {
        let mut all = Acceptance::new(&[0.7, 0.2], 16).unwrap();
        all.admit(5, 0);
        for _ in 0..50 {
            all.observe(5, 1, 2, 0).unwrap();
        }
        let low = all.survival(5, 1).0[0];
        assert_eq!(all.survival(5, 0).0[0], 0.7);
        // The class hears of better rounds of others; this request comes to think so too.
        all.admit(6, 0);
        (0..3000).for_each(|_| all.observe(6, 1, 2, 2).unwrap());
        all.refresh();
        (0..400).for_each(|_| all.idle(5));
        assert!(low < 0.1 && all.survival(5, 1).0[0] > 0.9, "{low} {:?}", all.survival(5, 1));
    }

    proptest! {
        /// Positions that are never drafted do not change what is known of the others.
        #[test]
        fn few_positions_are_as_many(rounds in prop::collection::vec((1u8..=8, 0u8..=8), 0..100)) {
            let mut all = [Acceptance::new(&[0.6], 16).unwrap(), Acceptance::new(&[0.6], 8).unwrap()];
            for known in &mut all {
                known.admit(0, 0);
                for &(gamma, accepted) in &rounds {
                    known.observe(0, 0, gamma, accepted.min(gamma)).unwrap();
                    known.refresh();
                }
            }
            let [long, short] = all.map(|known| known.survival(0, 0).0);
            prop_assert_eq!(&long[..8], &short[..8]);
            prop_assert_eq!(&short[8..], &[0.0; 8]);
        }

        #[test]
        fn is_always_a_survival(
            rounds in prop::collection::vec((0u8..=16, 0u8..=16), 0..1500),
            alpha in prop::sample::select(vec![0.0f32, 0.4, 1.0]),
        ) {
            let mut all = Acceptance::new(&[alpha], 16).unwrap();
            all.admit(0, 0);
            for (i, (gamma, accepted)) in rounds.into_iter().enumerate() {
                all.observe(0, 0, gamma, accepted.min(gamma)).unwrap();
                if i % 7 == 0 {
                    all.refresh();
                }
                let row = &all.survival(0, 0).0;
                prop_assert!(row.iter().all(|s| (0.0..=1.0).contains(s)), "{row:?}");
                prop_assert!(row.windows(2).all(|w| w[1] <= w[0]), "{row:?}");
            }
        }
    }

    #[test]
    fn what_can_not_be() {
        assert!(Acceptance::new(&[1.5], 16).is_err());
        assert!(Acceptance::new(&[f32::NAN], 16).is_err());
        let mut all = Acceptance::new(&[0.5], 16).unwrap();
        let named = |result: Result<()>| match result {
            Err(Error::Argument { argument, .. }) => argument,
            other => panic!("{other:?}"),
        };
        assert_eq!(named(all.observe(0, 0, 1, 1)), "slot");
        all.admit(0, 0);
        assert_eq!(named(all.observe(0, 1, 1, 1)), "draft");
        assert_eq!(named(all.observe(0, 0, 17, 1)), "gamma");
        assert!(Acceptance::new(&[0.5], 17).is_err());
        let mut few = Acceptance::new(&[0.5], 4).unwrap();
        few.admit(0, 0);
        assert_eq!(named(few.observe(0, 0, 5, 1)), "gamma");
        assert_eq!(named(all.observe(0, 0, 2, 3)), "accepted");
    }
}
