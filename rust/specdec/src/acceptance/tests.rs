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
        // The first ones teach the class.
        for slot in 0..60 {
            all.admit(slot, 0);
            for _ in 0..100 {
                all.observe(slot, 0, 4, rounds.next(4, |k| of[k])).unwrap();
                all.refresh();
            }
            if slot >= 40 {
                (0..4).for_each(|k| mean[k] += all.survival(slot, 0).0[k] / 20.0);
            }
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
    assert!((all.survival(2, 0).0[0] - 0.5).abs() < 1e-6);
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
    assert!((all.survival(5, 0).0[0] - 0.7).abs() < 1e-6);
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

    /// Many rounds at once are as many one by one, on every path to the last bit; and what is worth how much follows from the
    /// chances that are told.
    #[test]
    fn rounds_can_be_counted_together(
        steps in prop::collection::vec(prop::collection::vec((0u32..40, 0u8..2, 0u8..=8, 0u8..=8), 0..60), 1..6),
        max_gamma in prop::sample::select(vec![8u8, 16]),
    ) {
        let new = |path| {
            let mut all = Acceptance::new(&[0.6, 0.3], max_gamma).unwrap();
            (0..40).for_each(|slot| all.admit(slot, slot % 3));
            all.path = path;
            all
        };
        let mut each = new(Path::Scalar);
        let mut paths: Vec<_> = Path::usable().into_iter().map(new).collect();
        for step in steps {
            let rounds: Vec<Round> = step
                .into_iter()
                .map(|(slot, draft, gamma, accepted)| Round { slot, choice: Choice { draft, gamma }, accepted: accepted.min(gamma) })
                .collect();
            for Round { slot, choice, accepted } in &rounds {
                each.observe(*slot, choice.draft, choice.gamma, *accepted).unwrap();
            }
            each.refresh();
            for all in &mut paths {
                all.observe_all(&rounds).unwrap();
                all.refresh();
                prop_assert_eq!(&all.known, &each.known);
                prop_assert_eq!(&all.worth, &each.worth);
            }
        }
        let mut wrong = [Round { slot: 50, choice: Choice::new(0, 1), accepted: 0 }; 3];
        wrong[1].slot = 5;
        each.observe(5, 0, 1, 0).unwrap();
        for all in &mut paths {
            let refused = matches!(all.observe_all(&wrong), Err(Error::Argument { argument: "slot", .. }));
            prop_assert!(refused);
            prop_assert_eq!(&all.worth, &each.worth);
        }
        let chances = each.survival(5, 0).0;
        let wanted: [f32; DEPTHS] = worth(&chances);
        for (k, wanted) in wanted.into_iter().enumerate().take(max_gamma.into()) {
            prop_assert!((each.worth(5, 0)[k] - wanted).abs() < 1e-6);
        }
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
