//! Policies on a simulated device that knows its true times and chances.

use proptest::prelude::*;
use thrifty_base::philox::Philox;

use super::rivals::{ByBatch, Oracle, Tiers, Trim};
use super::*;
use crate::acceptance::{DEPTHS, Row};
use crate::explain::Term;
use crate::latency::{Knots, LatencyCurve, Learned};
use crate::times::Times;

const CURVE: LatencyCurve = LatencyCurve {
    draft_layers: 5,
    draft_ms_per_layer: 0.2,
    draft_overhead_ms: 0.1,
    weights_ms: 20.0,
    compute_ms_per_token: 0.1,
    overhead_ms: 0.5,
};

fn row(alpha: f64) -> Row {
    let mut row = Row::default();
    (0..DEPTHS).for_each(|k| row.0[k] = alpha.powi(k as i32 + 1) as f32);
    row
}

/// A device and the requests on it.
struct World {
    times: Times,
    /// Chance of each draft, of each request.
    alphas: Vec<Vec<f64>>,
    kv: u32,
    cap: u8,
    /// What the first request weighs.
    first: f32,
    random: Philox,
    step: u64,
}

/// What came of some steps.
#[derive(Default)]
struct Run {
    /// Of each request.
    tokens: Vec<f64>,
    ms: f64,
    drafted: u64,
    steps: u64,
    /// Steps with drafts.
    on: u64,
    /// Changes between drafting and not.
    turns: u64,
    /// Ids of each draft.
    by_draft: [u64; 8],
}

impl Run {
    /// Ids that requests get a millisecond: their mean by factors.
    fn rate(&self) -> f64 {
        let logs: f64 = self.tokens.iter().map(|tokens| tokens.ln()).sum();
        (logs / self.tokens.len() as f64).exp() / self.ms
    }
}

impl World {
    fn new(times: Times, alphas: Vec<Vec<f64>>) -> Self {
        Self { times, alphas, kv: 0, cap: 16, first: 1.0, random: Philox::new(11, 0), step: 0 }
    }

    fn uniform(&mut self) -> f64 {
        self.step += 1;
        f64::from(self.random.words_at(self.step)[0]) / 4_294_967_296.0
    }

    fn run(&mut self, policy: &mut dyn Policy, steps: u64) -> Run {
        let asks: Vec<Ask> = (0..self.alphas[0].len() as u32)
            .map(|slot| Ask { slot, cap: self.cap, weight: if slot == 0 { self.first } else { 1.0 }, kv: self.kv })
            .collect();
        let (mut run, mut out, mut was) = (Run::default(), Vec::new(), false);
        run.tokens = vec![0.0; asks.len()];
        for _ in 0..steps {
            policy.choose(&asks, Room { tokens: 8192, prefill: 0 }, &mut out).unwrap();
            let mut depths = vec![[0u32; DEPTHS]; self.times.drafts.len()];
            let mut tokens = 0;
            for (ask, choice) in asks.iter().zip(&out) {
                tokens += 1 + u32::from(choice.gamma);
                let mut accepted = 0;
                for k in 0..usize::from(choice.gamma) {
                    depths[usize::from(choice.draft)][k] += 1;
                    run.by_draft[usize::from(choice.draft)] += 1;
                }
                while accepted < choice.gamma
                    && self.uniform() < self.alphas[usize::from(choice.draft)][ask.slot as usize]
                {
                    accepted += 1;
                }
                policy.observe(ask.slot, *choice, accepted).unwrap();
                run.tokens[ask.slot as usize] += f64::from(accepted) + 1.0;
                run.drafted += u64::from(choice.gamma);
            }
            if let Some(passes) = policy.passes() {
                depths[0][..usize::from(passes)].fill(asks.len() as u32);
            }
            let kv = u64::from(self.kv) * asks.len() as u64;
            let verify_ms = self.times.verify.ms(tokens, kv) * (0.99 + 0.02 * self.uniform());
            let mut drafts = Vec::new();
            let used: Vec<Vec<u32>> =
                depths.iter().map(|d| d.iter().copied().take_while(|&n| n > 0).collect()).collect();
            for (draft, passes) in used.iter().enumerate().filter(|(_, passes)| !passes.is_empty()) {
                let ms = self.times.draft_ms(draft, &depths[draft]);
                drafts.push(DraftTime { draft: draft as u8, passes, ms });
            }
            run.ms += self.times.host_ms + verify_ms + drafts.iter().map(|d| d.ms).sum::<f64>();
            let times = StepTimes { host_ms: self.times.host_ms, tokens, kv, verify_ms, drafts: &drafts };
            policy.timed(&times).unwrap();
            let on = !drafts.is_empty();
            run.steps += 1;
            run.on += u64::from(on);
            run.turns += u64::from(on != was);
            was = on;
        }
        run
    }
}

fn admitted(mut policy: impl Policy + 'static, requests: u32) -> Box<dyn Policy> {
    (0..requests).for_each(|slot| policy.admit(slot, 0));
    Box::new(policy)
}

fn planner(times: &Times, alphas: &[f32]) -> Planner {
    Planner::new(Settings { max_gamma: 16, probe: true }, times.clone(), alphas).unwrap()
}

/// In each phase of a load sweep, with the acceptance unknown at first, at most 2 % less than the best fixed length.
#[test]
fn little_is_lost_against_the_best_fixed_gamma() {
    let times = Times::of_curve(&CURVE, &[], 0.0).unwrap();
    for batch in [1u32, 8, 64, 256] {
        for alpha in [0.2, 0.6, 0.9] {
            let world = || World::new(times.clone(), vec![vec![alpha; batch as usize]]);
            let steps = (40_000 / u64::from(batch)).clamp(400, 3000);
            let best = (0..=16)
                .map(|g| world().run(&mut *admitted(ByBatch::fixed(g).unwrap(), batch), steps / 2).rate())
                .fold(0.0, f64::max);
            let mut ours = admitted(planner(&times, &[0.5]), batch);
            let mut world = world();
            world.run(&mut *ours, 150);
            let found = world.run(&mut *ours, steps).rate();
            assert!(found >= 0.98 * best, "batch {batch}, acceptance {alpha}: {found:.4} of {best:.4}");
        }
    }
}

/// Requests of three kinds: a length for each beats every length for all, and what the rivals do.
#[test]
fn mixed_requests_gain_more_than_by_any_one_length() {
    let times = Times::of_curve(&CURVE, &[], 0.0).unwrap();
    for batch in [60u32, 150] {
        let alphas: Vec<f64> = (0..batch).map(|i| [0.15, 0.6, 0.95][i as usize % 3]).collect();
        let rate = |policy: Box<dyn Policy>| {
            let mut policy = policy;
            let mut world = World::new(times.clone(), vec![alphas.clone()]);
            world.run(&mut *policy, 150);
            world.run(&mut *policy, 500).rate()
        };
        let ours = rate(admitted(planner(&times, &[0.5]), batch));
        let fixed = (0..=16).map(|g| rate(admitted(ByBatch::fixed(g).unwrap(), batch))).fold(0.0, f64::max);
        let tiers = rate(admitted(Tiers::new(&[1, 3, 7]).unwrap(), batch));
        let trim = (1..=8)
            .map(|length| rate(admitted(Trim::new(length, times.clone(), 0.5).unwrap(), batch)))
            .fold(0.0, f64::max);
        let mut oracle = Oracle::new(16, times.clone()).unwrap();
        for (slot, &alpha) in alphas.iter().enumerate() {
            oracle.set_survival(slot as u32, 0, row(alpha)).unwrap();
        }
        let oracle = rate(Box::new(oracle));
        assert!(ours > 1.05 * fixed, "{batch}: {ours:.4} {fixed:.4}");
        assert!(ours > 1.05 * tiers, "{batch}: {ours:.4} {tiers:.4}");
        assert!(ours > 0.995 * trim, "{batch}: {ours:.4} {trim:.4}");
        assert!(ours > 0.97 * oracle, "{batch}: {ours:.4} {oracle:.4}");
    }
}

#[test]
fn where_no_draft_pays_next_to_nothing_is_lost() {
    let times = Times::of_curve(&CURVE, &[], 0.0).unwrap();
    // Arithmetic binds, and drafts are bad: the guess is too good, and has to be unlearned first.
    let mut world = World::new(times.clone(), vec![vec![0.3; 256]]);
    let plain = World::new(times.clone(), vec![vec![0.3; 256]])
        .run(&mut *admitted(ByBatch::fixed(0).unwrap(), 256), 300)
        .rate();
    let mut ours = admitted(planner(&times, &[0.7]), 256);
    world.run(&mut *ours, 30);
    let run = world.run(&mut *ours, 2000);
    assert!(run.rate() > 0.99 * plain, "{} {plain}", run.rate());
    assert!(run.on > 5 && run.on < 40, "{} probes", run.on);
    // Without probes nothing is drafted at all once it is known.
    let quiet = Settings { max_gamma: 16, probe: false };
    let mut ours = admitted(Planner::new(quiet, times.clone(), &[0.1]).unwrap(), 256);
    assert_eq!(world.run(&mut *ours, 300).drafted, 0);
}

#[test]
fn a_draft_that_becomes_good_is_found_again() {
    let times = Times::of_curve(&CURVE, &[], 0.0).unwrap();
    let mut world = World::new(times.clone(), vec![vec![0.02; 32]]);
    let mut ours = admitted(planner(&times, &[0.5]), 32);
    world.run(&mut *ours, 400);
    assert!(world.run(&mut *ours, 200).on < 10);
    world.alphas = vec![vec![0.8; 32]];
    world.run(&mut *ours, 600);
    assert_eq!(world.run(&mut *ours, 100).on, 100);
}

/// While others draft, one that did not accept anything is tried now and then.
#[test]
fn a_request_that_becomes_good_is_found_among_others() {
    let times = Times::of_curve(&CURVE, &[], 0.0).unwrap();
    let mut alphas = vec![0.8; 150];
    alphas[5] = 0.01;
    let mut world = World::new(times.clone(), vec![alphas.clone()]);
    let mut ours = admitted(planner(&times, &[0.7]), 150);
    world.run(&mut *ours, 400);
    let gamma = |policy: &dyn Policy| policy.explain(5).unwrap().choice.gamma;
    assert_eq!(gamma(&*ours), 0);
    alphas[5] = 0.95;
    world.alphas = vec![alphas];
    world.run(&mut *ours, 1500);
    assert!(gamma(&*ours) > 0, "{}", ours.explain(5).unwrap());
}

#[test]
fn of_three_drafts_the_one_that_pays_is_taken() {
    let line = |ms| Learned::new(Knots::new(&[1], &[ms], false).unwrap(), 0.0).unwrap();
    let verify = Learned::new(Knots::of_verify(&CURVE, &[]).unwrap(), 0.0).unwrap();
    // The deep one is accepted most and too slow; the first one is cheap and bad. All are guessed alike.
    let times = Times::new(0.1, verify, vec![line(0.05), line(1.0), line(6.0)]).unwrap();
    let mut world = World::new(times.clone(), vec![vec![0.05; 16], vec![0.8; 16], vec![0.85; 16]]);
    let mut ours = admitted(planner(&times, &[0.5, 0.5, 0.5]), 16);
    world.run(&mut *ours, 1500);
    let run = world.run(&mut *ours, 500);
    let share = run.by_draft[1] as f64 / run.drafted as f64;
    assert!(share > 0.9, "{:?}", run.by_draft);
}

#[test]
fn near_the_break_even_it_does_not_flap() {
    // Of 150 requests with this acceptance it makes next to no difference whether they draft.
    let curve = LatencyCurve { compute_ms_per_token: 0.2, ..CURVE };
    let times = Times::of_curve(&curve, &[], 0.0).unwrap();
    for alpha in [0.9, 0.95, 0.99] {
        let mut world = World::new(times.clone(), vec![vec![alpha; 150]]);
        let mut ours = admitted(planner(&times, &[alpha as f32]), 150);
        world.run(&mut *ours, 100);
        let run = world.run(&mut *ours, 1000);
        assert!(run.turns < 60, "{alpha}: {} turns, {} of 1000 on", run.turns, run.on);
    }
}

#[test]
fn reasons_are_named() {
    let kv = 2e-5;
    let term = |batch: u32, context: u32, alpha: f64, cap: u8, curve: LatencyCurve| {
        let times = Times::of_curve(&curve, &[], kv).unwrap();
        let mut world = World::new(times.clone(), vec![vec![alpha; batch as usize]]);
        (world.kv, world.cap) = (context, cap);
        let settings = Settings { max_gamma: 16, probe: false };
        let mut ours = admitted(Planner::new(settings, times, &[alpha as f32]).unwrap(), batch);
        world.run(&mut *ours, 200);
        let why = ours.explain(0).unwrap();
        let text = why.to_string();
        assert!(text.contains(why.term.name()), "{text}");
        (why.term, why.choice.gamma, text)
    };
    let slow = LatencyCurve { draft_layers: 20, ..CURVE };
    let (why, gamma, text) = term(1, 100, 0.8, 16, slow);
    assert!(why == Term::DraftLatency && gamma > 0, "{text}");
    let (why, gamma, text) = term(256, 100, 0.6, 16, CURVE);
    assert!(why == Term::VerifyCompute && gamma == 0, "{text}");
    assert!(
        text.starts_with("gamma 0: acceptance 0.6") && text.contains("at batch 256 no acceptance would do"),
        "{text}"
    );
    let (why, gamma, text) =
        term(185, 100, 0.3, 16, LatencyCurve { compute_ms_per_token: 0.05, draft_layers: 40, ..CURVE });
    assert!(why == Term::DraftLatency && gamma == 0, "{text}");
    assert!(text.contains(" needed at batch 185"), "{text}");
    let (why, gamma, text) = term(256, 30_000, 0.6, 16, CURVE);
    assert!(why == Term::KvBytes && gamma > 0, "{text}");
    assert_eq!(term(1, 100, 0.8, 2, CURVE).0, Term::Blocks);
    assert_eq!(term(256, 100, 0.05, 16, CURVE).0, Term::Acceptance);
    assert_eq!(
        term(1, 100, 0.999, 16, LatencyCurve { draft_layers: 0, draft_overhead_ms: 0.0, ..CURVE }).0,
        Term::MaxGamma
    );
}

/// One that accepts little and is near its target wants short steps; the others would draft more but for that.
#[test]
fn a_target_of_another_is_named() {
    let times = Times::of_curve(&CURVE, &[], 2e-5).unwrap();
    let of = |weight: f32| {
        let mut alphas = vec![0.6; 256];
        alphas[0] = 0.05;
        let mut world = World::new(times.clone(), vec![alphas]);
        (world.kv, world.first) = (10_000, weight);
        let settings = Settings { max_gamma: 16, probe: true };
        let mut ours = admitted(Planner::new(settings, times.clone(), &[0.6]).unwrap(), 256);
        world.run(&mut *ours, 300);
        (ours.explain(0).unwrap(), ours.explain(1).unwrap())
    };
    let ((_, free), (own, held)) = (of(1.0), of(256.0));
    assert!(free.choice.gamma > held.choice.gamma && free.term != Term::Slo, "{free}\n{held}");
    assert!(held.term == Term::Slo && held.to_string().contains("bound by SLO"), "{held}");
    assert!(held.needed.is_some_and(|needed| needed > f64::from(held.acceptance)), "{held}");
    assert!(own.to_string().contains("its target makes it weigh 256"), "{own}");
}

#[test]
fn what_is_needed_is_what_turns_it_on() {
    // Acceptance just above what an explanation says is drafted, and just below is not.
    let times = Times::of_curve(&CURVE, &[], 0.0).unwrap();
    let asks: Vec<Ask> = (0..170).map(|slot| Ask { slot, cap: 16, weight: 1.0, kv: 0 }).collect();
    let room = Room { tokens: 100_000, prefill: 40 };
    let settings = Settings { max_gamma: 16, probe: false };
    let on = |alpha: f32| {
        let mut ours = Planner::new(settings, times.clone(), &[alpha]).unwrap();
        asks.iter().for_each(|ask| ours.admit(ask.slot, 0));
        let mut out = Vec::new();
        for _ in 0..400 {
            ours.choose(&asks, room, &mut out).unwrap();
        }
        (out.iter().any(|c| c.gamma > 0), ours.explain(0).unwrap())
    };
    let (drafts, why) = on(0.2);
    let needed = why.needed.unwrap() as f32;
    assert!(!drafts && needed > 0.3, "{why}");
    assert!(!on(needed - 0.01).0 && on(needed + 0.02).0, "{why}");
}

#[test]
fn rivals_do_what_they_say() {
    let asks: Vec<Ask> = (0..40).map(|slot| Ask { slot, cap: 5, weight: 1.0, kv: 0 }).collect();
    let room = Room { tokens: 8192, prefill: 0 };
    let mut out = Vec::new();
    let mut table = ByBatch::new(&[(8, 6), (32, 3)]).unwrap();
    for (n, wanted) in [(8, 5), (9, 3), (32, 3), (33, 0)] {
        table.choose(&asks[..n], room, &mut out).unwrap();
        assert!(out.iter().all(|c| c.gamma == wanted) && out.len() == n, "{out:?}");
    }
    ByBatch::fixed(4).unwrap().choose(&asks, Room { tokens: 47, prefill: 2 }, &mut out).unwrap();
    assert_eq!(out.iter().map(|c| u32::from(c.gamma)).sum::<u32>(), 5);
    let mut tiers = Tiers::new(&[1, 3, 7]).unwrap();
    let mut gammas = Vec::new();
    for accepted in [3, 7, 0] {
        for _ in 0..200 {
            tiers.choose(&asks[..1], room, &mut out).unwrap();
            let full = Choice::new(0, tiers.length());
            tiers.observe(0, full, accepted.min(full.gamma)).unwrap();
        }
        gammas.push(tiers.length());
    }
    assert_eq!(gammas, [7, 7, 1]);
    assert!(ByBatch::new(&[(8, 1), (8, 2)]).is_err() && ByBatch::fixed(17).is_err());
    assert!(Tiers::new(&[]).is_err() && Tiers::new(&[3, 1]).is_err());
    let times = Times::of_curve(&CURVE, &[], 0.0).unwrap();
    assert!(Trim::new(17, times.clone(), 0.5).is_err() && Oracle::new(17, times.clone()).is_err());
    let mut oracle = Oracle::new(8, times).unwrap();
    assert!(oracle.set_survival(0, 1, row(0.5)).is_err() && oracle.set_survival(0, 0, row(1.5)).is_err());
}

#[test]
fn what_can_not_be() {
    let times = Times::of_curve(&CURVE, &[], 0.0).unwrap();
    let named = |result: Result<()>| match result {
        Err(Error::Argument { argument, .. }) => argument,
        other => panic!("{other:?}"),
    };
    let settings = Settings { max_gamma: 17, probe: true };
    assert!(Planner::new(settings, times.clone(), &[0.5]).is_err());
    assert!(Planner::new(Settings::default(), times.clone(), &[0.5, 0.5]).is_err());
    let mut ours = planner(&times, &[0.5]);
    let (room, mut out) = (Room { tokens: 10, prefill: 0 }, Vec::new());
    let ask = Ask { slot: 3, cap: 2, weight: 1.0, kv: 0 };
    assert_eq!(named(ours.choose(&[ask], room, &mut out)), "slot");
    ours.admit(3, 0);
    assert_eq!(named(ours.choose(&[Ask { weight: f32::NAN, ..ask }], room, &mut out)), "weight");
    assert_eq!(named(ours.choose(&[Ask { weight: -1.0, ..ask }], room, &mut out)), "weight");
    assert_eq!(named(ours.observe(3, Choice::new(0, 2), 3)), "accepted");
    let step = StepTimes { host_ms: 0.1, tokens: 4, kv: 0, verify_ms: 20.0, drafts: &[] };
    assert_eq!(named(ours.timed(&StepTimes { host_ms: f64::NAN, ..step })), "host_ms");
    assert_eq!(named(ours.timed(&StepTimes { verify_ms: -1.0, ..step })), "ms");
    let stray = [DraftTime { draft: 1, passes: &[1], ms: 1.0 }];
    assert_eq!(named(ours.timed(&StepTimes { drafts: &stray, ..step })), "draft");
    assert!(ours.explain(3).is_none());
    ours.choose(&[ask], room, &mut out).unwrap();
    assert!(ours.explain(3).is_some() && ours.explain(4).is_none());
    ours.forget(3);
    assert!(ours.explain(3).is_none());
}

proptest! {
    /// Whatever comes: no more than caps, the budget and the longest draft allow, and only drafts that there are.
    #[test]
    fn limits_are_kept(
        steps in prop::collection::vec(
            (prop::collection::vec((0u8..20, 0.0f32..3.0, 0u32..9000, any::<bool>()), 0..30), 0u32..60, 0u32..20),
            1..100,
        ),
        max_gamma in 0u8..=16,
    ) {
        let times = Times::of_curve(&CURVE, &[4, 8, 16, 32, 64], 2e-5).unwrap();
        let settings = Settings { max_gamma, probe: true };
        let mut ours = Planner::new(settings, times, &[0.7]).unwrap();
        (0..30).for_each(|slot| ours.admit(slot, slot % 3));
        let mut out = Vec::new();
        for (requests, tokens, prefill) in steps {
            let asks: Vec<Ask> = (0..).zip(&requests).map(|(slot, &(cap, weight, kv, _))| Ask { slot, cap, weight, kv }).collect();
            ours.choose(&asks, Room { tokens, prefill }, &mut out).unwrap();
            prop_assert_eq!(out.len(), asks.len());
            let drafted: u32 = out.iter().map(|c| u32::from(c.gamma)).sum();
            prop_assert!(drafted == 0 || drafted + asks.len() as u32 + prefill <= tokens);
            for ((ask, choice), &(.., all)) in asks.iter().zip(&out).zip(&requests) {
                prop_assert!(choice.gamma <= ask.cap.min(max_gamma));
                let is_one = if choice.gamma > 0 { choice.draft == 0 } else { *choice == Choice::NOTHING };
                prop_assert!(is_one);
                ours.observe(ask.slot, *choice, if all { choice.gamma } else { 0 }).unwrap();
                let why = ours.explain(ask.slot).unwrap();
                prop_assert!(!why.to_string().contains("NaN"));
            }
        }
    }
}
