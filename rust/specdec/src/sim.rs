//! Hours of requests in seconds: the very same scheduler and policy against a device that is simulated.
//!
//! The device is not what the policy assumes: its times are those of a staircase, noisy, and shift once; acceptance comes
//! from a kind that each request has and nobody is told, falls with the position of a draft, and changes once inside some
//! requests. Luck is a function of (request, position), so that all policies meet the same.

mod world;

use std::time::Instant;

use thrifty_base::hash::mix64;
use thrifty_base::philox::Philox;
use thrifty_base::progress::Progress;
use thrifty_base::sampling::Sampling;

use crate::pace::Beat;
use crate::policy::Policy;
use crate::request::{Handle, Submission};
use crate::scheduler::{Scheduler, Settings};
use crate::{Error, Result};
use world::gauss;
pub use world::{Arrival, Device, Kinds, World};

/// Stream of the random generator for times.
const NOISE: u64 = 0x7364_0002;

/// What one drafter did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Used {
    /// Requests that it drafted for, in all steps together.
    pub rows: u64,
    /// Drafts that were verified, and those that were accepted.
    pub drafts: (u64, u64),
    /// Milliseconds of its passes.
    pub ms: f64,
}

/// What became of it all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Requests that ended with all of their ids.
    pub requests: u64,
    /// Ids that they got.
    pub emitted: u64,
    /// Steps.
    pub steps: u64,
    /// Rows of steps.
    pub rows: u64,
    /// Drafts that were verified, and those that were accepted.
    pub drafts: (u64, u64),
    /// What each drafter did.
    pub used: Vec<Used>,
    /// Requests that got ids without drafts, in all steps together.
    pub alone: u64,
    /// Ids of requests with targets, behind the first ones, and those that came in time.
    pub paced: (u64, u64),
    /// Requests that lost their blocks.
    pub preempted: u64,
    /// Simulated milliseconds until the last one ended.
    pub ms: f64,
    /// Those in which there was something to do, before the shift and after it.
    pub busy_ms: [f64; 2],
    /// Of them, what prompts added to verifications.
    pub prompt_ms: [f64; 2],
    /// Simulated milliseconds from arrival to end, of the first half of all requests together, and of the others.
    pub waited_ms: [f64; 2],
    /// Of each request, those from its arrival to its first id, and to its end.
    pub latency_ms: [Vec<f64>; 2],
    /// Blocks that somebody still holds: none.
    pub held: usize,
    /// Real nanoseconds of planning and committing, policy and prefixes among them.
    pub host_ns: u64,
}

/// Lets the requests of a trace through a scheduler; counts ids that are out, and ends early when asked to.
pub fn simulate(settings: Settings, policy: Box<dyn Policy>, world: &World<'_>, progress: &Progress) -> Result<Report> {
    let World { arrivals, device, kinds, seed, told } = *world;
    if arrivals.windows(2).any(|pair| pair[1].at_ms < pair[0].at_ms) {
        return Err(Error::argument("arrivals", "they are not in the order of their times"));
    }
    kinds.check(device.drafts.len())?;
    let passes = policy.passes();
    let all: u64 = arrivals.iter().map(|arrival| u64::from(arrival.new)).sum();
    let mut scheduler = Scheduler::new(settings, policy)?;
    progress.start("replay", all)?;
    let noise = Philox::new(seed, NOISE);
    let (mut report, mut clock, mut next) = (Report::default(), 0.0f64, 0usize);
    report.latency_ms = [vec![0.0; arrivals.len()], vec![0.0; arrivals.len()]];
    report.used = vec![Used::default(); device.drafts.len()];
    // Whether their ids come in time, of which the scheduler may know nothing.
    let mut beats: Vec<Option<Beat>> = arrivals.iter().map(|arrival| arrival.tbt_ms.map(Beat::new)).collect();
    let mut gave: Vec<(usize, u32)> = Vec::new();
    let mut came: Vec<(Handle, usize)> = Vec::new();
    // Requests whose first id comes of a step.
    let mut begun_now: Vec<usize> = Vec::new();
    let (mut prompt, mut accepted, mut tokens) = (Vec::new(), Vec::new(), Vec::new());
    // Requests that were half way after a step.
    let mut turned: Vec<(u32, u64, u32)> = Vec::new();
    // Sequences in each pass of each drafter, and what its passes take.
    let (mut depths, mut drafting) = (vec![[0u32; 256]; device.drafts.len()], Vec::new());
    loop {
        while let Some(arrival) = arrivals.get(next).filter(|arrival| arrival.at_ms <= clock) {
            progress.check()?;
            prompt.clear();
            // Unlike any other: what is shared is another question.
            prompt.extend((0..arrival.prompt).map(|i| (mix64((next as u64) << 32 | u64::from(i)) >> 40) as u32));
            prompt.iter_mut().for_each(|id| *id %= settings.vocab);
            let begun = Instant::now();
            let handle = scheduler.submit(&Submission {
                prompt: &prompt,
                max_new: arrival.new as usize,
                stop: &[],
                sampling: Sampling::default(),
                uid: next as u64,
                priority: 0,
                max_gamma: u8::MAX,
                class: 0,
                salt: 0,
                tbt_ms: arrival.tbt_ms.filter(|_| told),
            })?;
            report.host_ns += begun.elapsed().as_nanos() as u64;
            if let Some(oracle) = scheduler.chooser().policy().oracle() {
                let (kind, _) = kinds.of(seed, next as u64, 0, arrival.new);
                for draft in 0..device.drafts.len() {
                    oracle.set_survival(handle.slot() as u32, draft as u8, kinds.survival(draft, kind))?;
                }
            }
            came.resize(came.len().max(handle.slot() + 1), (handle, 0));
            came[handle.slot()] = (handle, next);
            next += 1;
        }
        let shifted = scheduler.stats().emitted as f64 >= device.shift.0 * all as f64;
        let slow = if shifted { device.shift.1 } else { 1.0 };
        if let Some(oracle) = scheduler.chooser().policy().oracle() {
            oracle.set_times(device.times(slow)?);
        }
        let begun = Instant::now();
        let step = scheduler.plan(true)?;
        report.host_ns += begun.elapsed().as_nanos() as u64;
        let number = step.number;
        if step.rows() == 0 {
            scheduler.abort(number)?;
            let Some(arrival) = arrivals.get(next) else { break };
            clock = arrival.at_ms;
            continue;
        }
        accepted.clear();
        tokens.clear();
        let (mut kv, mut prompts) = (0u64, 0u32);
        depths.iter_mut().for_each(|depths| *depths = [0; 256]);
        let width = step.gamma[..step.giving].iter().copied().max().unwrap_or(0) as usize + 1;
        for row in 0..step.rows() {
            let (gamma, draft) = (step.gamma[row], usize::from(step.draft[row]));
            depths[draft][..usize::from(gamma)].iter_mut().for_each(|n| *n += 1);
            kv += step.next(row);
            // All but the last known token of a request are of its prompt.
            prompts += step.fresh[row] as u32 - u32::from(row < step.giving);
            if row < step.giving {
                let arrival = arrivals[step.uids[row] as usize];
                let emitted = step.next(row) as u32 - arrival.prompt;
                let fine = kinds.accepted(draft, seed, step.uids[row], [emitted, arrival.new], gamma);
                accepted.push(i64::from(fine));
                gave.push((step.uids[row] as usize, (u32::from(fine) + 1).min(arrival.new - emitted)));
                if gamma > 0 {
                    let used = &mut report.used[draft];
                    used.rows += 1;
                    used.drafts.0 += u64::from(gamma);
                    used.drafts.1 += u64::from(fine);
                } else {
                    report.alone += 1;
                }
                if emitted == 0 {
                    begun_now.push(step.uids[row] as usize);
                }
                if emitted <= arrival.new / 2 && emitted + u32::from(fine) + 1 > arrival.new / 2 {
                    turned.push((step.handle(row).slot() as u32, step.uids[row], emitted + u32::from(fine) + 1));
                }
                tokens
                    .extend((0..width).map(|k| (mix64(step.next(row) + k as u64) % u64::from(settings.vocab)) as i64));
            }
        }
        if let Some(passes) = passes {
            // Its drafter runs for all, whatever was chosen.
            depths[0][..usize::from(passes)].fill(step.giving as u32);
        }
        let z = gauss(noise, number);
        let factor = (1.0 + device.noise * z).max(0.5) * slow;
        drafting.clear();
        for ((draft, depths), used) in device.drafts.iter().zip(&depths).zip(&mut report.used) {
            let ms = depths.iter().take_while(|n| **n > 0).map(|&n| draft.at(n)).sum::<f64>() * factor;
            used.ms += ms;
            drafting.push(ms);
        }
        let verified = step.tokens.len() as u32;
        let verifying = (device.verify.at(verified) + device.kv_ms * kv as f64) * factor;
        let took = device.host_ms + drafting.iter().sum::<f64>() + verifying;
        clock += took;
        for (which, tokens) in gave.drain(..) {
            if let Some(beat) = &mut beats[which] {
                let (paced, in_time) = beat.took(tokens, clock);
                report.paced.0 += u64::from(paced);
                report.paced.1 += u64::from(in_time);
            }
        }
        for which in begun_now.drain(..) {
            report.latency_ms[0][which] = clock - arrivals[which].at_ms;
        }
        report.busy_ms[usize::from(shifted)] += took;
        report.prompt_ms[usize::from(shifted)] +=
            (device.verify.at(verified) - device.verify.at(verified - prompts)) * factor;
        let begun = Instant::now();
        scheduler.timed(device.host_ms, verifying, &drafting)?;
        let out = scheduler.stats().emitted;
        scheduler.commit(number, None, &accepted, &tokens, width)?;
        scheduler.take_all(|handle, outcome| {
            let which = came[handle.slot()].1;
            report.waited_ms[2 * which / arrivals.len()] += clock - arrivals[which].at_ms;
            report.latency_ms[1][which] = clock - arrivals[which].at_ms;
            report.requests += u64::from(outcome.end == crate::request::End::Length);
        });
        report.host_ns += begun.elapsed().as_nanos() as u64;
        progress.advance(scheduler.stats().emitted - out)?;
        for (slot, uid, emitted) in turned.drain(..) {
            if let Some(oracle) = scheduler.chooser().policy().oracle() {
                let (kind, _) = kinds.of(seed, uid, emitted, arrivals[uid as usize].new);
                for draft in 0..device.drafts.len() {
                    oracle.set_survival(slot, draft as u8, kinds.survival(draft, kind))?;
                }
            }
        }
    }
    let stats = scheduler.stats();
    report.emitted = stats.emitted;
    (report.steps, report.rows, report.preempted) = (stats.steps, stats.rows, stats.preempted);
    report.drafts = (stats.drafted, stats.accepted);
    (report.ms, report.held) = (clock, settings.blocks as usize - scheduler.available());
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::{Knots, LatencyCurve};
    use crate::policy::rivals::ByBatch;
    use crate::policy::{Planner, Settings as Planning};
    use crate::times::Times;

    fn settings() -> Settings {
        Settings {
            blocks: 2000,
            block_size: 16,
            max_running: 64,
            max_length: 600,
            token_budget: 1024,
            max_gamma: 8,
            vocab: 1000,
            share_prefixes: true,
            ageing: 1024,
        }
    }

    fn device() -> Device {
        let verify = Knots::new(&[1, 64, 256, 1024], &[10.0, 11.0, 16.0, 40.0], false).unwrap();
        let draft = Knots::new(&[1, 64], &[0.8, 1.0], false).unwrap();
        Device { verify, kv_ms: 1e-4, drafts: vec![draft], host_ms: 0.2, noise: 0.03, shift: (0.5, 1.2) }
    }

    fn arrivals(n: u64, gap: f64) -> Vec<Arrival> {
        let one = |i: u64| Arrival {
            at_ms: i as f64 * gap,
            prompt: 20 + (mix64(i) % 300) as u32,
            new: 1 + (mix64(i ^ 99) % 200) as u32,
            tbt_ms: None,
        };
        (0..n).map(one).collect()
    }

    fn replayed(
        policy: Box<dyn Policy>,
        arrivals: &[Arrival],
        device: &Device,
        alphas: &[f64],
        seed: u64,
    ) -> Result<Report> {
        let world = World { arrivals, device, kinds: &kinds(alphas), seed, told: true };
        simulate(settings(), policy, &world, &Progress::new())
    }

    fn kinds(alphas: &[f64]) -> Kinds {
        Kinds { alphas: vec![alphas.to_vec()], fall: 0.97, turn: 0.3 }
    }

    fn planner() -> Box<dyn Policy> {
        let curve = LatencyCurve {
            draft_layers: 1,
            draft_ms_per_layer: 1.5,
            draft_overhead_ms: 0.0,
            weights_ms: 8.0,
            compute_ms_per_token: 0.03,
            overhead_ms: 0.0,
        };
        let times = Times::of_curve(&curve, &[], 0.0).unwrap();
        Box::new(Planner::new(Planning { max_gamma: 8, probe: true }, times, &[0.6]).unwrap())
    }

    #[test]
    fn all_requests_get_all_of_their_ids() {
        for gap in [0.0, 20.0, 200.0] {
            let arrivals = arrivals(300, gap);
            let wanted: u64 = arrivals.iter().map(|a| u64::from(a.new)).sum();
            for policy in [planner(), Box::new(ByBatch::fixed(4).unwrap()) as Box<dyn Policy>] {
                let found = replayed(policy, &arrivals, &device(), &[0.5, 0.9], 1).unwrap();
                assert_eq!((found.requests, found.emitted, found.held), (300, wanted, 0));
                assert!(
                    found.ms >= found.busy_ms.iter().sum::<f64>() - 1e-6
                        && found.prompt_ms[0] > 0.0
                        && found.drafts.0 > found.drafts.1
                        && found.drafts.1 > 0
                );
                let [first, end] = &found.latency_ms;
                assert!(first.iter().zip(end).all(|(first, end)| *first > 0.0 && first <= end));
                assert!((end.iter().sum::<f64>() / found.waited_ms.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            }
        }
    }

    /// It begins with times and acceptance that are wrong, learns both, and has to keep up with who needs to learn nothing.
    #[test]
    fn the_planner_is_near_the_best_fixed_length_whatever_it_is() {
        let arrivals = arrivals(400, 0.0);
        for alphas in [&[0.3][..], &[0.6], &[0.9], &[0.3, 0.6, 0.9]] {
            let run = |policy| replayed(policy, &arrivals, &device(), alphas, 2).unwrap().ms;
            let fixed = [0, 1, 2, 4, 8].map(|gamma| run(Box::new(ByBatch::fixed(gamma).unwrap()) as Box<dyn Policy>));
            let (best, worst) = fixed.iter().fold((f64::MAX, 0.0f64), |(b, w), &ms| (b.min(ms), w.max(ms)));
            let ours = run(planner());
            assert!(ours <= 1.04 * best && ours < 0.8 * worst, "alphas {alphas:?}: {ours} ms, fixed {fixed:?}");
        }
    }

    #[test]
    fn targets_are_met_more_often() {
        let mut arrivals = arrivals(400, 20.0);
        (0u64..).zip(&mut arrivals).for_each(|(i, one)| one.tbt_ms = mix64(i).is_multiple_of(4).then_some(20.0));
        let wanted: u64 = arrivals.iter().map(|a| u64::from(a.new)).sum();
        let steep = Knots::new(&[1, 64, 256, 1024], &[10.0, 16.0, 64.0, 240.0], false).unwrap();
        // One of four wants an id each 20 ms. On the second device most of them can't have that: drafts cost others dear.
        for (device, least, gained) in [(device(), 0.94, 0.06), (Device { verify: steep, ..device() }, 0.09, 0.06)] {
            let run = |told, policy| {
                let kinds = kinds(&[0.3, 0.6, 0.9]);
                let world = World { arrivals: &arrivals, device: &device, kinds: &kinds, seed: 2, told };
                let found = simulate(settings(), policy, &world, &Progress::new()).unwrap();
                assert_eq!((found.requests, found.emitted, found.held), (400, wanted, 0));
                (found.paced.1 as f64 / found.paced.0 as f64, found.busy_ms.iter().sum::<f64>())
            };
            let ((ours, ms), (deaf, deaf_ms)) = (run(true, planner()), run(false, planner()));
            assert!(ours > least && ours > deaf + gained, "{ours:.3} in time, {deaf:.3} without weights");
            assert!(ms < 1.1 * deaf_ms, "{ms:.0} ms, {deaf_ms:.0} without weights");
        }
    }

    /// Of two drafters each is good for one kind of requests: both are used, and both together are better than either.
    #[test]
    fn several_drafters_share_the_requests() {
        let arrivals = arrivals(300, 0.0);
        let cheap = device().drafts[0].clone();
        let run = |alphas: &[[f64; 2]]| {
            let device = Device { drafts: vec![cheap.clone(); alphas.len()], ..device() };
            let alphas = alphas.iter().map(|row| row.to_vec()).collect();
            let kinds = Kinds { alphas, fall: 1.0, turn: 0.0 };
            let policy = crate::contest::policy("planner", 8, &device, &kinds).unwrap();
            let world = World { arrivals: &arrivals, device: &device, kinds: &kinds, seed: 2, told: true };
            simulate(settings(), policy, &world, &Progress::new()).unwrap()
        };
        let (one, other) = ([0.9, 0.1], [0.1, 0.9]);
        let both = run(&[one, other]);
        let rows: u64 = both.used.iter().map(|used| used.rows).sum::<u64>() + both.alone;
        assert!(both.used.iter().all(|used| used.rows > rows / 5 && used.ms > 0.0), "{:?} of {rows}", both.used);
        assert_eq!(both.used.iter().map(|used| used.drafts.1).sum::<u64>(), both.drafts.1);
        for alone in [run(&[one]), run(&[other])] {
            assert!(both.ms < 0.95 * alone.ms, "{} ms, and {} with one", both.ms, alone.ms);
        }
        // One that is never right is not used but to look at it.
        let useless = run(&[one, [0.0, 0.0]]);
        assert!(useless.used[1].rows < rows / 50, "{:?}", useless.used);
    }

    #[test]
    fn luck_does_not_depend_on_the_policy() {
        let kinds = kinds(&[0.5]);
        for uid in 0..50 {
            for emitted in 0..40 {
                let long = kinds.accepted(0, 3, uid, [emitted, 100], 8);
                assert_eq!(kinds.accepted(0, 3, uid, [emitted, 100], 3), long.min(3));
            }
        }
        let share = (0..20_000).filter(|&uid| kinds.accepted(0, 3, uid, [7, 100], 1) == 1).count() as f64 / 20_000.0;
        assert!((share - 0.5).abs() < 0.015, "{share}");
    }

    #[test]
    fn wrong_traces() {
        let mut late = arrivals(3, 10.0);
        late.swap(0, 2);
        assert!(replayed(planner(), &late, &device(), &[0.5], 1).is_err());
        assert!(replayed(planner(), &arrivals(3, 1.0), &device(), &[1.5], 1).is_err());
    }
}
