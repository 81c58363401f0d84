//! What planning and committing a step cost, a request: `cargo run --release -p thrifty-specdec --example scheduler_cost`.
//!
//! Requests with prompts of 100 tokens, 0 to 8 drafts each step, of which some are accepted; who ends is replaced. One JSON
//! line a size: requests, nanoseconds a request and step (median of steps), and the 99th of 100 steps in milliseconds.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::time::Instant;

use thrifty_base::hash::mix64;
use thrifty_base::sampling::Sampling;
use thrifty_specdec::policy::rivals::ByBatch;
use thrifty_specdec::request::Submission;
use thrifty_specdec::scheduler::{Scheduler, Settings};

fn main() {
    for requests in [64u32, 256, 1024, 10_000] {
        let settings = Settings {
            blocks: requests * 24,
            block_size: 16,
            max_running: requests,
            max_length: 400,
            token_budget: requests * 9 + 8192,
            max_gamma: 8,
            vocab: 32_000,
            share_prefixes: true,
            ageing: 1024,
        };
        let mut scheduler = Scheduler::new(settings, Box::new(ByBatch::fixed(8).unwrap())).unwrap();
        let mut random = 1u64;
        let mut draw = |n: u64| {
            random = mix64(random);
            random % n
        };
        let (mut accepted, mut tokens) = (Vec::new(), Vec::new());
        let (mut times, mut rows) = (Vec::new(), Vec::new());
        let (mut live, mut uid) = (0u32, 0u64);
        for step in 0..600 {
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
                    class: 0,
                    salt: 0,
                };
                scheduler.submit(&wanted).unwrap();
                (live, uid) = (live + 1, uid + 1);
            }
            let begun = Instant::now();
            let plan = scheduler.plan(true).unwrap();
            let planned = begun.elapsed();
            let (number, giving) = (plan.number, plan.giving);
            accepted.clear();
            tokens.clear();
            for row in 0..giving {
                accepted.push(draw(u64::from(plan.gamma[row]) + 1) as i64);
                tokens.extend((0..9).map(|_| draw(32_000) as i64));
            }
            let begun = Instant::now();
            scheduler.commit(number, None, &accepted, &tokens, 9).unwrap();
            let all = planned + begun.elapsed();
            scheduler.take_all(|_, _| live -= 1);
            if step >= 50 && giving > 0 {
                times.push(all.as_secs_f64() * 1e3);
                rows.push(all.as_secs_f64() * 1e9 / giving as f64);
            }
        }
        times.sort_by(f64::total_cmp);
        rows.sort_by(f64::total_cmp);
        let stats = scheduler.stats();
        println!(
            "{{\"requests\": {requests}, \"ns\": {:.1}, \"p99_ms\": {:.3}, \"steps\": {}, \"rows\": {}, \"emitted\": {}}}",
            rows[rows.len() / 2],
            times[times.len() * 99 / 100],
            stats.steps,
            stats.rows,
            stats.emitted
        );
    }
}
