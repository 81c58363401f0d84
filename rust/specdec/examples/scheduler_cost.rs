//! What planning and committing a step cost: `cargo run --release -p thrifty-specdec --example scheduler_cost [-- FAULT]`.
//!
//! Requests with prompts of 100 tokens, 0 to 8 drafts each step, of which some are accepted; who ends is replaced. Prefixes
//! are hashed and statistics kept. One JSON line for each size and policy: the planner, on a device where drafts pay, and
//! one that always drafts 8, which is the cost of all but the policy. Times are those of the thread on a processor:
//! nanoseconds a request and step (mean and median of steps; medians of plan and commit apart), and the 99th of 100 steps
//! in milliseconds.
//! `FAULT` is a number of bytes that each row reads over again, to see that the figures notice.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use rustix::time::{ClockId, clock_gettime};
use thrifty_base::hash::{mix64, xxh3_64_with_seed};
use thrifty_base::sampling::Sampling;
use thrifty_specdec::latency::{Knots, Learned};
use thrifty_specdec::policy::rivals::ByBatch;
use thrifty_specdec::policy::{Planner, Policy, Settings as Planning};
use thrifty_specdec::request::Submission;
use thrifty_specdec::scheduler::{Scheduler, Settings};
use thrifty_specdec::times::Times;

const GAMMA: u8 = 8;
const STEPS: usize = 600;
const WARM: usize = 50;

fn main() {
    let fault: usize = std::env::args().nth(1).map_or(0, |bytes| bytes.parse().unwrap());
    for requests in [64u32, 256, 1024, 10_000] {
        for (name, policy) in [("planner", planner()), ("fixed", Box::new(ByBatch::fixed(GAMMA).unwrap()) as _)] {
            run(requests, name, policy, &vec![1u8; fault]);
        }
    }
}

/// Times of a target that many tokens cost little more than a few, so that there is something to plan at every size.
fn planner() -> Box<dyn Policy> {
    let verify = Learned::new(Knots::new(&[1, 1024, 100_000], &[20.0, 24.0, 400.0], false).unwrap(), 1e-6).unwrap();
    let draft = Learned::new(Knots::new(&[1, 1024, 10_000], &[0.3, 0.5, 2.0], false).unwrap(), 0.0).unwrap();
    let times = Times::new(0.1, verify, vec![draft]).unwrap();
    Box::new(Planner::new(Planning { max_gamma: GAMMA, probe: true }, times, &[0.6]).unwrap())
}

/// Nanoseconds that this thread was on a processor.
fn now() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// The middle, or another part, of what is sorted here.
fn part(times: &mut [f64], share: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    times[(times.len() as f64 * share) as usize]
}

fn run(requests: u32, name: &str, policy: Box<dyn Policy>, fault: &[u8]) {
    let settings = Settings {
        blocks: requests * 24,
        block_size: 16,
        max_running: requests,
        max_length: 400,
        token_budget: requests * 9 + 8192,
        max_gamma: GAMMA,
        vocab: 32_000,
        share_prefixes: true,
        ageing: 1024,
    };
    let mut scheduler = Scheduler::new(settings, policy).unwrap();
    let mut random = 1u64;
    let mut draw = |n: u64| {
        random = mix64(random);
        random % n
    };
    // Looking at the clock takes time as well, which is no part of a step.
    let look = part(&mut (0..1000).map(|_| -(now() - now())).collect::<Vec<_>>(), 0.5);
    let (mut accepted, mut tokens) = (Vec::new(), Vec::new());
    let (mut all, mut plans, mut commits, mut seen) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let (mut live, mut uid) = (0u32, 0u64);
    for step in 0..STEPS {
        while live < requests {
            let prompt: Vec<u32> = (0..100).map(|_| draw(32_000) as u32).collect();
            let wanted = Submission {
                prompt: &prompt,
                max_new: 50 + draw(200) as usize,
                stop: &[],
                sampling: Sampling::default(),
                uid,
                priority: 0,
                max_gamma: (uid % 9) as u8,
                class: (uid % 4) as u32,
                salt: 0,
                tbt_ms: None,
            };
            scheduler.submit(&wanted).unwrap();
            (live, uid) = (live + 1, uid + 1);
        }
        let begun = now();
        let plan = scheduler.plan(true).unwrap();
        for row in 0..plan.rows().min(fault.len()) {
            seen ^= xxh3_64_with_seed(fault, row as u64);
        }
        let planned = now() - begun - look;
        let (number, giving) = (plan.number, plan.giving);
        accepted.clear();
        tokens.clear();
        for row in 0..giving {
            // Of two kinds, one that mostly fails.
            let (gamma, kind) = (u64::from(plan.gamma[row]), plan.uids[row] % 2);
            accepted.push(draw(gamma + 1).min(if kind == 0 { draw(gamma + 1) } else { gamma }) as i64);
            tokens.extend((0..=GAMMA).map(|_| draw(32_000) as i64));
        }
        let begun = now();
        scheduler.commit(number, None, &accepted, &tokens, usize::from(GAMMA) + 1).unwrap();
        let committed = now() - begun - look;
        scheduler.take_all(|_, _| live -= 1);
        if step >= WARM && giving > 0 {
            all.push(planned + committed);
            plans.push(planned / giving as f64);
            commits.push(committed / giving as f64);
        }
    }
    let mut rows: Vec<f64> = plans.iter().zip(&commits).map(|(plan, commit)| plan + commit).collect();
    let stats = scheduler.stats();
    println!(
        "{{\"requests\": {requests}, \"policy\": \"{name}\", \"ns\": {:.1}, \"median_ns\": {:.1}, \"plan_ns\": {:.1}, \"commit_ns\": {:.1}, \
         \"p99_ms\": {:.4}, \"steps\": {}, \"rows\": {}, \"drafted\": {}, \"emitted\": {}, \"seen\": {seen}}}",
        rows.iter().sum::<f64>() / rows.len() as f64,
        part(&mut rows, 0.5),
        part(&mut plans, 0.5),
        part(&mut commits, 0.5),
        part(&mut all, 0.99) / 1e6,
        stats.steps,
        stats.rows,
        stats.drafted,
        stats.emitted
    );
}
