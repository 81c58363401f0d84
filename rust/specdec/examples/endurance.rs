//! Whether a scheduler lasts: `cargo run --release -p thrifty-specdec --example endurance -- STEPS [leak]`.
//!
//! Requests of all lengths over a pool that is too small for them, so that they share prefixes and lose blocks; some are
//! cancelled, steps fail or are taken back. One JSON line: what happened, and the memory of the process after a tenth of the
//! steps and at the end. With `leak` what became of requests is kept, which must show.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use thrifty_base::hash::mix64;
use thrifty_base::sampling::Sampling;
use thrifty_specdec::latency::{Knots, Learned};
use thrifty_specdec::policy::{Planner, Settings as Planning};
use thrifty_specdec::request::{Handle, Submission};
use thrifty_specdec::scheduler::{Scheduler, Settings};
use thrifty_specdec::settle::FAILED;
use thrifty_specdec::times::Times;

const RUNNING: u32 = 48;

fn main() {
    let steps: u64 = std::env::args().nth(1).map_or(1_000_000, |n| n.parse().unwrap());
    let leak = std::env::args().nth(2).is_some_and(|word| word == "leak");
    let verify = Learned::new(Knots::new(&[1, 64, 4096], &[5.0, 6.0, 90.0], false).unwrap(), 1e-5).unwrap();
    let draft = Learned::new(Knots::new(&[1, 64], &[0.3, 0.4], false).unwrap(), 0.0).unwrap();
    let planner =
        Planner::new(Planning { max_gamma: 8, probe: true }, Times::new(0.1, verify, vec![draft]).unwrap(), &[0.7]);
    let settings = Settings {
        blocks: 300,
        block_size: 8,
        max_running: RUNNING,
        max_length: 200,
        token_budget: 512,
        max_gamma: 8,
        vocab: 1000,
        share_prefixes: true,
        ageing: 64,
    };
    let mut scheduler = Scheduler::new(settings, Box::new(planner.unwrap())).unwrap();
    let mut random = 1u64;
    let mut draw = |n: u64| {
        random = mix64(random);
        random % n
    };
    let (mut kept, mut left, mut first) = (Vec::new(), 0u64, 0u64);
    let (mut accepted, mut tokens, mut prompt) = (Vec::new(), Vec::new(), Vec::new());
    for step in 0..steps {
        while left < u64::from(RUNNING) + 16 {
            let kind = draw(20);
            prompt.clear();
            prompt.extend((0..1 + draw(100)).map(|i| (mix64(kind << 8 | i) % 1000) as u32));
            let wanted = Submission {
                prompt: &prompt,
                max_new: 1 + draw(90) as usize,
                stop: &[999],
                sampling: Sampling::default(),
                uid: step,
                priority: draw(3) as i32,
                max_gamma: draw(9) as u8,
                class: draw(5) as u32,
                salt: draw(2),
                tbt_ms: None,
            };
            scheduler.submit(&wanted).unwrap();
            left += 1;
        }
        let plan = scheduler.plan(draw(50) > 0).unwrap();
        let (number, giving) = (plan.number, plan.giving);
        accepted.clear();
        tokens.clear();
        for row in 0..giving {
            accepted.push(if draw(5000) == 0 { FAILED } else { draw(u64::from(plan.gamma[row]) + 1) as i64 });
            tokens.extend((0..9).map(|_| draw(1000) as i64));
        }
        let gone = (giving > 0 && draw(20) == 0).then(|| Handle(plan.handles[draw(giving as u64) as usize]));
        if let Some(handle) = gone {
            scheduler.cancel(handle).unwrap();
        }
        match draw(50) {
            0 => scheduler.abort(number).unwrap(),
            _ => {
                scheduler.timed(0.1, 6.0, &[1.0]).unwrap();
                scheduler.commit(number, None, &accepted, &tokens, 9).unwrap();
            }
        }
        scheduler.take_all(|_, outcome| {
            left -= 1;
            if leak {
                kept.push(outcome);
            }
        });
        if step == steps / 10 {
            first = resident();
        }
    }
    let stats = scheduler.stats();
    let ended = stats.ended.iter().sum::<u64>();
    let (running, waiting) = scheduler.load();
    println!(
        "{{\"steps\": {steps}, \"first\": {first}, \"last\": {}, \"ended\": {ended}, \"lost\": {}, \"emitted\": {}, \
         \"preempted\": {}, \"shared\": {}, \"aborted\": {}, \"accepted\": {}, \"kept\": {}}}",
        resident(),
        stats.submitted - ended - (running + waiting) as u64,
        stats.emitted,
        stats.preempted,
        stats.shared_tokens,
        stats.aborted,
        stats.accepted,
        kept.len()
    );
}

/// Bytes of memory that the process holds.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kb| kb << 10)
}
