//! Plans against all plans there are, in small batches, and against every fixed gamma, in large ones.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use thrifty_base::philox::Philox;

use super::*;
use crate::latency::{Knots, LatencyCurve, Learned};
use crate::times::Depths;
use crate::worth::worth;

/// What a plan gives, counted afresh.
fn exact(times: &Times, step: &Step<'_>, survival: &[Vec<Row>], choices: &[Choice]) -> f64 {
    let mut depths = [[0u32; DEPTHS]; MOST_DRAFTS];
    let (mut gain, mut weight, mut tokens, mut kv) = (0.0, 0.0, step.prefill, 0);
    for (i, (ask, choice)) in step.asks.iter().zip(choices).enumerate() {
        assert!(choice.gamma <= ask.cap.min(step.max_gamma), "{choice:?} {ask:?}");
        tokens += 1 + u32::from(choice.gamma);
        kv += u64::from(ask.kv);
        let mut sum = 1.0;
        for k in 0..usize::from(choice.gamma) {
            assert_eq!(step.drafts >> choice.draft & 1, 1);
            sum += f64::from(survival[usize::from(choice.draft)][i].0[k]);
            depths[usize::from(choice.draft)][k] += 1;
        }
        gain += f64::from(ask.weight) * f64::ln(sum);
        weight += f64::from(ask.weight);
    }
    let drafted = tokens > step.asks.len() as u32 + step.prefill;
    assert!(tokens <= step.budget || !drafted, "{tokens} tokens, {} allowed", step.budget);
    let drafts: f64 = (0..times.drafts.len()).map(|d| times.draft_ms(d, &depths[d])).sum();
    let alone = step.asks.len() as u32;
    let prompts = times.verify.ms(alone + step.prefill, kv) - times.verify.ms(alone, kv);
    (gain / weight).exp() / (times.host_ms + drafts + times.verify.ms(tokens, kv) - prompts)
}

/// The best of all plans.
fn brute(times: &Times, step: &Step<'_>, survival: &[Vec<Row>]) -> f64 {
    let options: Vec<Vec<Choice>> = step
        .asks
        .iter()
        .map(|ask| {
            let most = ask.cap.min(step.max_gamma);
            let of = |d: u8| (1..=most).map(move |g| Choice::new(d, g));
            let offered = (0..times.drafts.len() as u8).filter(|d| step.drafts >> d & 1 == 1);
            std::iter::once(Choice::NOTHING).chain(offered.flat_map(of)).collect()
        })
        .collect();
    let mut at = vec![0; options.len()];
    let mut best = 0.0f64;
    loop {
        let plan: Vec<Choice> = at.iter().zip(&options).map(|(&i, o)| o[i]).collect();
        let drafted: u32 = plan.iter().map(|c| u32::from(c.gamma)).sum();
        if drafted == 0 || drafted + step.asks.len() as u32 + step.prefill <= step.budget {
            best = best.max(exact(times, step, survival, &plan));
        }
        let Some(next) = (0..at.len()).find(|&i| at[i] + 1 < options[i].len()) else { return best };
        at[..next].fill(0);
        at[next] += 1;
    }
}

fn solve(times: &Times, step: &Step<'_>, survival: &[Vec<Row>]) -> (Outcome, Vec<Choice>) {
    let mut out = Vec::new();
    let worth: Vec<Vec<_>> = survival.iter().map(|rows| rows.iter().map(|row| worth(&row.0)).collect()).collect();
    let outcome = Solver::new().solve(times, step, |i, d| &worth[usize::from(d)][i], &mut out);
    (outcome, out)
}

/// Chances of a request, the first ones given, the rest falling on.
fn row(chances: &[f32]) -> Row {
    let mut row = Row::default();
    let mut s = 1.0;
    for k in 0..DEPTHS {
        s *= chances[k.min(chances.len() - 1)];
        row.0[k] = s;
    }
    row
}

fn rows(n: usize) -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec(prop::collection::vec(0.0f32..1.0, 1..4).prop_map(|c| row(&c)), n)
}

fn knots(most_ms: f64) -> impl Strategy<Value = Knots> {
    let steps = prop::collection::vec((1u32..8, 0.0..most_ms), 1..5);
    (steps, 0.01..most_ms, any::<bool>()).prop_map(|(steps, first, padded)| {
        let (mut size, mut ms) = (0, first);
        let (mut sizes, mut times) = (vec![], vec![]);
        for (more, ms_more) in steps {
            size += more;
            sizes.push(size);
            times.push(ms);
            ms += ms_more;
        }
        Knots::new(&sizes, &times, padded).unwrap()
    })
}

fn times(drafts: usize) -> impl Strategy<Value = Times> {
    (knots(5.0), prop::collection::vec(knots(1.0), drafts), 0.0f64..1.0, 0.0f64..0.01).prop_map(
        |(verify, drafts, host_ms, kv)| {
            let drafts = drafts.into_iter().map(|knots| Learned::new(knots, 0.0).unwrap()).collect();
            Times::new(host_ms, Learned::new(verify, kv).unwrap(), drafts).unwrap()
        },
    )
}

fn asks(n: usize) -> impl Strategy<Value = Vec<Ask>> {
    let ask = (0u8..5, prop_oneof![Just(1.0f32), 0.1f32..10.0, (0u32..9).prop_map(|k| (1u32 << k) as f32)], 0u32..1000)
        .prop_map(|(cap, weight, kv)| Ask { slot: 0, cap, weight, kv });
    prop::collection::vec(ask, n)
}

/// Times as machines have them: reading weights binds first, then arithmetic; a draft waits more than it computes.
fn machine(drafts: usize) -> impl Strategy<Value = Times> {
    let verify = (5.0f64..40.0, 0.01f64..8.0, 0.0f64..1.0);
    let draft = (0.05f64..6.0, 0.0f64..0.2);
    let padded = prop_oneof![Just(vec![]), prop::collection::vec(1u32..5, 12)];
    (verify, prop::collection::vec(draft, drafts), padded, 0.0f64..0.5, 0.0f64..0.01).prop_map(
        |((weights_ms, compute_ms_per_token, overhead_ms), drafts, steps, host_ms, kv)| {
            let curve = LatencyCurve {
                draft_layers: 1,
                draft_ms_per_layer: 1.0,
                draft_overhead_ms: 0.0,
                weights_ms,
                compute_ms_per_token,
                overhead_ms,
            };
            let padded: Vec<u32> = steps
                .iter()
                .scan(0, |size, step| {
                    *size += step;
                    Some(*size)
                })
                .collect();
            let verify = Learned::new(Knots::of_verify(&curve, &padded).unwrap(), kv).unwrap();
            let of = |(ms, slope): (f64, f64)| Knots::new(&[1, 64], &[ms, ms + 63.0 * slope * ms], false).unwrap();
            let drafts = drafts.into_iter().map(|d| Learned::new(of(d), 0.0).unwrap()).collect();
            Times::new(host_ms, verify, drafts).unwrap()
        },
    )
}

/// A plan's share of what the best of all plans gives.
fn share(times: &Times, step: &Step<'_>, survival: &[Vec<Row>]) -> Result<f64, TestCaseError> {
    let (outcome, choices) = solve(times, step, survival);
    let found = exact(times, step, survival, &choices);
    prop_assert!((outcome.score - found.ln()).abs() < 1e-5, "{} is said, {} comes", outcome.score, found.ln());
    Ok(found / brute(times, step, survival))
}

/// Steps whose plans can all be tried.
fn steps(
    drafts: usize,
    n: usize,
    times: impl Strategy<Value = Times>,
) -> impl Strategy<Value = (Times, Vec<Ask>, Vec<Vec<Row>>, u32, u32)> {
    (times, asks(n), prop::collection::vec(rows(n), drafts), 0u32..4, 3u32..30)
}

fn share_of(case: &(Times, Vec<Ask>, Vec<Vec<Row>>, u32, u32)) -> Result<f64, TestCaseError> {
    let (times, asks, survival, prefill, budget) = case;
    let drafts = (1 << survival.len()) - 1;
    share(times, &Step { asks, prefill: *prefill, budget: *budget, drafts, max_gamma: 4 }, survival)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn one_draft_against_all_plans(case in steps(1, 4, machine(1))) {
        let share = share_of(&case)?;
        prop_assert!(share >= 0.99, "{}", share);
    }

    #[test]
    fn two_drafts_against_all_plans(case in steps(2, 3, machine(2))) {
        let share = share_of(&case)?;
        prop_assert!(share >= 0.9, "{}", share);
    }
}

/// How often a plan falls short of the best one by more than half a percent, and by how much at most.
fn count(cases: u32, strategy: impl Strategy<Value = (Times, Vec<Ask>, Vec<Vec<Row>>, u32, u32)>) -> (u32, f64) {
    let mut runner = TestRunner::deterministic();
    let shares = (0..cases).map(|_| share_of(&strategy.new_tree(&mut runner).unwrap().current()).unwrap());
    shares.fold((0, 1.0), |(short, worst), share| (short + u32::from(share < 0.995), worst.min(share)))
}

#[test]
fn plans_fall_short_hardly_ever() {
    let (short, worst) = count(3000, steps(1, 4, machine(1)));
    assert!(short == 0, "{short} {worst}");
    let (short, worst) = count(2000, steps(2, 3, machine(2)));
    assert!(short <= 2 && worst >= 0.98, "{short} {worst}");
    // Times that no machine has, with steps wherever they hurt.
    let (short, worst) = count(2000, steps(1, 4, times(1)));
    assert!(short <= 2 && worst >= 0.98, "{short} {worst}");
    let (short, worst) = count(2000, steps(2, 3, times(2)));
    assert!(short <= 4 && worst >= 0.97, "{short} {worst}");
}

/// Requests whose chances are drawn, of some kinds.
fn crowd(n: usize, seed: u64, alphas: &[f32]) -> Vec<Row> {
    let random = Philox::new(seed, 0);
    (0..n)
        .map(|i| {
            let [kind, u, ..] = random.words_at(i as u64);
            let alpha = alphas[kind as usize % alphas.len()] + 0.1 * (u as f32 / 4_294_967_296.0 - 0.5);
            row(&[alpha.clamp(0.0, 1.0)])
        })
        .collect()
}

/// The best plan among those where each request drafts down to one value and one depth, by trying all of both.
fn fine(times: &Times, step: &Step<'_>, survival: &[Vec<Row>]) -> f64 {
    let mut all: Vec<f32> = survival[0].iter().flat_map(|row| row.0).collect();
    all.push(0.0);
    all.sort_by(f32::total_cmp);
    all.dedup();
    let mut best = 0.0f64;
    for limit in all.iter().step_by((all.len() / 400).max(1)) {
        for depth in 0..=usize::from(step.max_gamma) {
            let of = |row: &Row| row.0[..depth].iter().filter(|v| *v > limit).count() as u8;
            let plan: Vec<Choice> = survival[0].iter().map(|row| Choice::new(0, of(row))).collect();
            let drafted: u32 = plan.iter().map(|c| u32::from(c.gamma)).sum();
            if drafted + step.asks.len() as u32 + step.prefill <= step.budget || drafted == 0 {
                best = best.max(exact(times, step, survival, &plan));
            }
        }
    }
    best
}

#[test]
fn large_batches_against_many_plans() {
    let curve = LatencyCurve {
        draft_layers: 5,
        draft_ms_per_layer: 0.2,
        draft_overhead_ms: 0.1,
        weights_ms: 20.0,
        compute_ms_per_token: 0.1,
        overhead_ms: 0.5,
    };
    let padded: Vec<u32> = (1..=64).map(|i| 16 * i).collect();
    for (seed, n) in [(1, 24), (2, 64), (3, 150), (4, 600)] {
        for alphas in [&[0.3, 0.9][..], &[0.6], &[0.1], &[0.95, 0.5, 0.2]] {
            for (padded, budget, kv) in
                [(&[][..], 8192, 0), (&padded, 8192, 0), (&padded, n as u32 * 3 / 2, 0), (&[], 8192, 4000)]
            {
                let times = Times::of_curve(&curve, padded, 2e-5).unwrap();
                let survival = [crowd(n, seed, alphas)];
                let asks = vec![Ask { slot: 0, cap: 16, weight: 1.0, kv }; n];
                let step = Step { asks: &asks, prefill: 7, budget, drafts: 1, max_gamma: 16 };
                let (outcome, choices) = solve(&times, &step, &survival);
                let found = exact(&times, &step, &survival, &choices);
                let best = fine(&times, &step, &survival);
                assert!(found >= 0.995 * best, "{n} {alphas:?} {budget} {kv}: {found} of {best}");
                assert!((outcome.score - found.ln()).abs() < 0.01, "{} {found}", outcome.score);
            }
        }
    }
}

fn flat(verify_ms: &[f64], draft_ms: f64) -> Times {
    let sizes: Vec<u32> = (0..verify_ms.len() as u32).map(|i| 1 << (4 * i)).collect();
    let verify = Learned::new(Knots::new(&sizes, verify_ms, false).unwrap(), 0.0).unwrap();
    let draft = Learned::new(Knots::new(&[1], &[draft_ms], false).unwrap(), 0.0).unwrap();
    Times::new(0.1, verify, vec![draft]).unwrap()
}

#[test]
fn what_is_free_is_taken_and_what_is_useless_is_not() {
    for n in [1, 5, 100] {
        let asks: Vec<Ask> = (0..n).map(|i| Ask { slot: 0, cap: 16 - (i % 3) as u8, weight: 1.0, kv: 0 }).collect();
        let step = Step { asks: &asks, prefill: 0, budget: 10_000, drafts: 1, max_gamma: 16 };
        // Drafts that take no time, places that take none: as many as may be, though few of them are accepted.
        let (_, choices) = solve(&flat(&[10.0], 0.0), &step, &[vec![row(&[0.4]); n]]);
        assert!(choices.iter().zip(&asks).all(|(c, ask)| c.gamma == ask.cap), "{choices:?}");
        // Drafts that are never accepted: none, though they take no time; nor any that take longer than all else.
        let useless = solve(&flat(&[10.0], 0.0), &step, &[vec![row(&[0.0]); n]]).1;
        let slow = solve(&flat(&[10.0], 1000.0), &step, &[vec![row(&[0.9]); n]]).1;
        let (outcome, bound) = solve(&flat(&[10.0, 160.0, 2560.0], 0.01), &step, &[vec![row(&[0.2]); n]]);
        for choices in [useless, slow, bound] {
            assert!(choices.iter().all(|&c| c == Choice::NOTHING), "{n}: {choices:?}");
        }
        assert_eq!(outcome.drafts, 0);
    }
}

#[test]
fn what_is_worth_more_drafts_more() {
    let times = flat(&[10.0, 11.0, 40.0], 0.2);
    // Only 130 places: those go to requests that accept more, or weigh more.
    let survival: Vec<Row> = (0..100).map(|i| row(&[if i % 2 == 0 { 0.9 } else { 0.5 }])).collect();
    let even = vec![Ask { slot: 0, cap: 16, weight: 1.0, kv: 0 }; 100];
    let step = Step { asks: &even, prefill: 0, budget: 130, drafts: 1, max_gamma: 16 };
    let (_, choices) = solve(&times, &step, std::slice::from_ref(&survival));
    assert_eq!(choices.iter().map(|c| u32::from(c.gamma)).sum::<u32>(), 30);
    assert!(choices.iter().skip(1).step_by(2).all(|c| c.gamma == 0));
    let weighed: Vec<Ask> = (0..100).map(|i| Ask { weight: if i % 2 == 0 { 1.0 } else { 5.0 }, ..even[0] }).collect();
    let (_, choices) = solve(&times, &Step { asks: &weighed, ..step }, &[survival]);
    assert!(choices.iter().step_by(2).all(|c| c.gamma == 0), "{choices:?}");
}

#[test]
fn nothing_to_do_and_no_room() {
    let times = flat(&[10.0], 0.0);
    let step = Step { asks: &[], prefill: 100, budget: 50, drafts: 1, max_gamma: 16 };
    assert_eq!(solve(&times, &step, &[vec![]]).1, []);
    let asks = [Ask { slot: 0, cap: 4, weight: 1.0, kv: 0 }; 20];
    let full = Step { asks: &asks, prefill: 40, budget: 50, ..step };
    assert!(solve(&times, &full, &[vec![row(&[0.9]); 20]]).1.iter().all(|c| c.gamma == 0));
    let weightless = [Ask { weight: 0.0, ..asks[0] }; 20];
    let step = Step { asks: &weightless, prefill: 0, budget: 500, ..step };
    assert!(solve(&times, &step, &[vec![row(&[0.9]); 20]]).1.iter().all(|c| c.gamma == 0));
}

/// A solver that remembers the last plan loses next to nothing against one that begins anew, while chances drift,
/// requests come and go, and room comes and goes.
#[test]
fn remembering_loses_next_to_nothing() {
    let curve = LatencyCurve {
        draft_layers: 5,
        draft_ms_per_layer: 0.2,
        draft_overhead_ms: 0.1,
        weights_ms: 20.0,
        compute_ms_per_token: 0.1,
        overhead_ms: 0.5,
    };
    for padded in [vec![], (1..=64).map(|i| 16 * i).collect::<Vec<u32>>()] {
        let times = Times::of_curve(&curve, &padded, 2e-5).unwrap();
        let (mut solver, mut out) = (Solver::new(), Vec::new());
        let (mut mean, mut worst) = (0.0, 1.0f64);
        for t in 0..300usize {
            let n = 100 + (t / 3) % 60;
            let drift = 0.5 + 0.4 * (t as f32 / 25.0).sin();
            let survival = [crowd(n, t as u64 / 8, &[drift, 0.9 - 0.5 * drift])];
            let asks = vec![Ask { slot: 0, cap: 16, weight: 1.0, kv: 1000 }; n];
            let budget = if t % 50 < 10 { n as u32 + 50 } else { 4096 };
            let step = Step { asks: &asks, prefill: 0, budget, drafts: 1, max_gamma: 16 };
            let worth: Vec<_> = survival[0].iter().map(|row| worth(&row.0)).collect();
            solver.solve(&times, &step, |i, _| &worth[i], &mut out);
            let warm = exact(&times, &step, &survival, &out);
            let (_, choices) = solve(&times, &step, &survival);
            let share = warm / exact(&times, &step, &survival, &choices);
            mean += share / 300.0;
            worst = worst.min(share);
        }
        assert!(mean > 0.999 && worst > 0.98, "{mean} {worst}");
    }
}

/// What a plan went by is as good as a new plan for the next three steps, while chances drift, requests come and go, and
/// room and prompts do. It is followed on straight lines, and hardly ever where times bend or go by steps.
#[test]
fn following_loses_next_to_nothing() {
    let line = |sizes: &[u32], ms: &[f64], padded| Learned::new(Knots::new(sizes, ms, padded).unwrap(), 2e-5).unwrap();
    let steps: Vec<u32> = (1..=64).map(|i| 16 * i).collect();
    let by_steps: Vec<f64> = steps.iter().map(|&n| 20.0f64.max(0.1 * f64::from(n))).collect();
    let cases = [
        (line(&[1, 2048], &[20.0, 40.0], false), 200..300),
        (line(&[1, 200, 400], &[20.0, 20.0, 40.0], false), 0..30),
        (line(&steps, &by_steps, true), 0..30),
    ];
    for (verify, wanted) in cases {
        let draft = line(&[1, 1024], &[0.5, 1.0], false);
        let times = Times::new(0.1, verify, vec![draft]).unwrap();
        let (mut had, mut out): (Option<Outcome>, _) = (None, Vec::new());
        let (mut mean, mut worst, mut followed) = (0.0, 1.0f64, 0);
        for t in 0..400usize {
            let n = 100 + (t / 3) % 60;
            let drift = 0.5 + 0.4 * (t as f32 / 25.0).sin();
            let survival = [crowd(n, t as u64 / 8, &[drift, 0.9 - 0.5 * drift])];
            let ask = |slot| Ask { slot, cap: 16 - (slot % 12) as u8, weight: [1.0, 1.5][slot as usize % 2], kv: 1000 };
            let asks: Vec<Ask> = (0..n as u32).map(ask).collect();
            let budget = if t % 50 < 10 { n as u32 + 50 } else { 4096 };
            let step = Step { asks: &asks, prefill: if t % 9 == 0 { 40 } else { 0 }, budget, drafts: 1, max_gamma: 16 };
            let worth: Vec<_> = survival[0].iter().map(|row| worth(&row.0)).collect();
            let kept = had.filter(|_| t % 4 > 0);
            let again = kept.and_then(|had| had.follow(&times, &step, |ask| &worth[ask.slot as usize], &mut out));
            if again.is_none() {
                had = Some(Solver::new().solve(&times, &step, |i, _| &worth[i], &mut out));
            }
            followed += usize::from(again.is_some());
            let drafted: u32 = out.iter().map(|choice| u32::from(choice.gamma)).sum();
            let depths: Depths =
                std::array::from_fn(|k| out.iter().filter(|c| usize::from(c.gamma) > k).count() as u32);
            let tokens = n as u32 + step.prefill + drafted;
            let ms = times.host_ms + times.draft_ms(0, &depths) + times.verify.ms(tokens, 1000 * n as u64);
            let said = again.or(had).map_or(0.0, |outcome| outcome.ms);
            assert!((said / ms - 1.0).abs() < 0.02, "{t}: {said} {ms}");
            let found = exact(&times, &step, &survival, &out);
            let share = found / exact(&times, &step, &survival, &solve(&times, &step, &survival).1);
            mean += share / 400.0;
            worst = worst.min(share);
        }
        assert!(mean > 0.999 && worst > 0.98, "{mean} {worst}");
        assert!(wanted.contains(&followed), "{followed}");
    }
}
