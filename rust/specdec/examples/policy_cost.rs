//! What choosing costs: nanoseconds a request and step to plan, and to take in what was accepted.
//!
//! `cargo run -p thrifty-specdec --profile dev-opt --example policy_cost`
#![allow(clippy::print_stdout)]

use std::time::Instant;

use thrifty_base::philox::Philox;
use thrifty_specdec::choose::{Ask, Choice};
use thrifty_specdec::latency::{Knots, LatencyCurve, Learned};
use thrifty_specdec::policy::{Planner, Policy, Room, Settings};
use thrifty_specdec::times::Times;

fn main() -> thrifty_specdec::Result<()> {
    let curve = LatencyCurve {
        draft_layers: 5,
        draft_ms_per_layer: 0.2,
        draft_overhead_ms: 0.1,
        weights_ms: 20.0,
        compute_ms_per_token: 0.01,
        overhead_ms: 0.5,
    };
    for drafts in [1usize, 3] {
        for padded in [&[][..], &(1..=128).map(|i| 128 * i).collect::<Vec<_>>()] {
            for n in sizes() {
                let verify = Learned::new(Knots::of_verify(&curve, padded)?, 1e-6)?;
                let draft = |d: usize| -> thrifty_specdec::Result<Learned> {
                    let ms = curve.draft_ms() * (1.0 + d as f64);
                    Learned::new(Knots::new(&[1, 1024], &[ms, 2.0 * ms], false)?, 0.0)
                };
                let times = Times::new(0.1, verify, (0..drafts).map(draft).collect::<Result<_, _>>()?)?;
                let mut planner = Planner::new(Settings { max_gamma: 8, probe: true }, times, &vec![0.6; drafts])?;
                measure(&mut planner, n, drafts, !padded.is_empty())?;
            }
        }
    }
    Ok(())
}

fn measure(planner: &mut Planner, n: u32, drafts: usize, padded: bool) -> thrifty_specdec::Result<()> {
    let random = Philox::new(1, 0);
    let asks: Vec<Ask> = (0..n).map(|slot| Ask { slot, cap: 16, weight: 1.0, kv: 1000 }).collect();
    (0..n).for_each(|slot| planner.admit(slot, slot % 4));
    let room = Room { tokens: 100_000, prefill: 0 };
    let mut out: Vec<Choice> = Vec::new();
    let steps = (2_000_000 / u64::from(n)).clamp(100, 5000);
    let (mut plan, mut take, mut drafted) = (Vec::new(), Vec::new(), 0u64);
    for step in 0..steps {
        let begin = Instant::now();
        planner.choose(&asks, room, &mut out)?;
        plan.push(begin.elapsed().as_secs_f64());
        // Requests of four kinds, from one that accepts little to one that accepts nearly all.
        let accepted: Vec<u8> = asks
            .iter()
            .zip(&out)
            .map(|(ask, choice)| {
                let word = random.u64_at(step * 16_384 + u64::from(ask.slot));
                let alpha = [40u64, 120, 180, 240][ask.slot as usize % 4];
                (0..choice.gamma).take_while(|k| (word >> (8 * k) & 255) < alpha).count() as u8
            })
            .collect();
        let begin = Instant::now();
        for ((ask, choice), accepted) in asks.iter().zip(&out).zip(accepted) {
            planner.observe(ask.slot, *choice, accepted)?;
        }
        take.push(begin.elapsed().as_secs_f64());
        drafted += out.iter().map(|choice| u64::from(choice.gamma)).sum::<u64>();
    }
    // Medians, since other programs interrupt.
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        1e9 * times[times.len() / 2] / f64::from(n)
    };
    let (plan, take) = (median(&mut plan), median(&mut take));
    let gamma = drafted as f64 / (steps * u64::from(n)) as f64;
    println!(
        "{n:6} requests, {drafts} drafts{}: {plan:8.1} ns to choose, {take:5.1} to observe; mean gamma {gamma:.2}",
        if padded { ", padded" } else { "" }
    );
    Ok(())
}

/// Requests of a step: those that the command line names, or a range.
fn sizes() -> Vec<u32> {
    let named: Vec<u32> = std::env::args().skip(1).filter_map(|n| n.parse().ok()).collect();
    if named.is_empty() { vec![1, 8, 16, 64, 256, 1024, 10_000] } else { named }
}
