//! A trace of requests through the scheduler, with our policy and those of others, on a simulated device:
//! `cargo run --release -p thrifty-specdec --example replay -- TRACE.csv DEVICE.json SPEED ALPHAS POLICY...`.
//!
//! The trace has TIMESTAMP, ContextTokens, GeneratedTokens (Azure's; its lines in order). SPEED plays it so many times as
//! fast; 0 lets all requests wait from the beginning, 10,000 of them running. The device is JSON: `verify` and `draft`,
//! lists of [rows, ms], `kv_ms`, `host_ms`, `noise`, `shift` [share of ids, factor], `padded`. ALPHAS are the kinds of
//! requests, by the chance of a first draft: `0.2,0.6,0.95`. A policy is `ours`, `oracle`, `fixed 3`, `table` (the best
//! length of each batch size, for the mean of all kinds and the true times), `tiers 1,3,7` or `trim 4`. One JSON line a
//! policy.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use serde_json::{Value, json};
use thrifty_specdec::latency::{Knots, LatencyCurve};
use thrifty_specdec::policy::rivals::{ByBatch, Oracle, Tiers, Trim};
use thrifty_specdec::policy::{Planner, Policy, Settings as Planning};
use thrifty_specdec::scheduler::Settings;
use thrifty_specdec::sim::{Arrival, Device, Kinds, simulate};
use thrifty_specdec::times::Times;

const MAX_GAMMA: u8 = 8;
/// Tokens of a cache that a request has on the way, as the table's author thinks.
const CONTEXT: u64 = 1200;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, trace, device, speed, alphas, policies @ ..] = &arguments[..] else {
        panic!("TRACE.csv DEVICE.json SPEED ALPHAS POLICY...")
    };
    let speed: f64 = speed.parse().unwrap();
    let arrivals = arrivals(&std::fs::read_to_string(trace).unwrap(), speed);
    let json: Value = serde_json::from_str(&std::fs::read_to_string(device).unwrap()).unwrap();
    let device = device_of(&json);
    let settings = Settings {
        blocks: if speed == 0.0 { 1_000_000 } else { 60_000 },
        block_size: 16,
        max_running: if speed == 0.0 { 10_000 } else { 512 },
        max_length: 16_384,
        token_budget: if speed == 0.0 { 20_000 } else { 8192 },
        max_gamma: MAX_GAMMA,
        vocab: 32_000,
        share_prefixes: true,
        ageing: 1024,
    };
    let alphas = alphas.split(',').map(|alpha| alpha.parse().unwrap()).collect();
    let kinds = Kinds { alphas, fall: 0.97, turn: 0.3 };
    for name in policies {
        let policy = policy(name, &device, &kinds);
        let (begun, cpu) = (std::time::Instant::now(), cpu_ns());
        let found = simulate(settings, policy, &arrivals, &device, &kinds, 1).unwrap();
        // Others may have used this processor meanwhile.
        let wall = begun.elapsed().as_nanos() as f64;
        let share = cpu_ns().zip(cpu).map_or(1.0, |(end, begin)| ((end - begin) as f64 / wall).min(1.0));
        let row = json!({
            "policy": name, "requests": found.requests, "emitted": found.emitted, "held": found.held,
            "ms": found.ms, "busy_ms": found.busy_ms, "prompt_ms": found.prompt_ms, "waited_ms": found.waited_ms,
            "cpu_s": 1e-9 * found.host_ns as f64 * share, "steps": found.steps, "rows": found.rows,
            "drafted": found.drafts.0, "accepted": found.drafts.1, "preempted": found.preempted,
        });
        println!("{row}");
    }
}

/// Nanoseconds that this thread had a processor, where the system says.
fn cpu_ns() -> Option<u64> {
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
}

fn policy(name: &str, device: &Device, kinds: &Kinds) -> Box<dyn Policy> {
    let (rule, of) = name.split_once(' ').unwrap_or((name, ""));
    let number = || of.parse::<u8>().unwrap();
    let tiers = || of.split(',').map(|tier| tier.parse().unwrap()).collect::<Vec<u8>>();
    match rule {
        "ours" => {
            let settings = Planning { max_gamma: MAX_GAMMA, probe: true };
            Box::new(Planner::new(settings, guessed(device), &[0.6]).unwrap())
        }
        "oracle" => Box::new(Oracle::new(MAX_GAMMA, device.times(1.0).unwrap()).unwrap()),
        "fixed" => Box::new(ByBatch::fixed(number()).unwrap()),
        "table" => Box::new(ByBatch::new(&table(device, kinds)).unwrap()),
        "tiers" => Box::new(Tiers::new(&tiers()).unwrap()),
        "trim" => Box::new(Trim::new(number(), device.times(1.0).unwrap(), 0.6).unwrap()),
        _ => panic!("{name} is no policy"),
    }
}

/// What a user would have measured once, with two numbers for each model.
fn guessed(device: &Device) -> Times {
    let curve = LatencyCurve {
        draft_layers: 1,
        draft_ms_per_layer: device.draft.at(1),
        draft_overhead_ms: 0.0,
        weights_ms: device.verify.at(1),
        compute_ms_per_token: (device.verify.at(4096) - device.verify.at(1)) / 4095.0,
        overhead_ms: 0.0,
    };
    Times::of_curve(&curve, &[], device.kv_ms).unwrap()
}

/// The best length of each batch size.
fn table(device: &Device, kinds: &Kinds) -> Vec<(u32, u8)> {
    let times = device.times(1.0).unwrap();
    let mean = |k: usize| {
        let of = |kind| f64::from(kinds.survival(kind).0[k]);
        (0..kinds.alphas.len()).map(of).sum::<f64>() / kinds.alphas.len() as f64
    };
    let rate = |batch: u32, gamma: u8| {
        let tau = 1.0 + (0..usize::from(gamma)).map(mean).sum::<f64>();
        let drafts = f64::from(gamma) * times.drafts[0].ms(batch, 0);
        let tokens = batch * (u32::from(gamma) + 1);
        tau / (times.host_ms + drafts + times.verify.ms(tokens, u64::from(batch) * CONTEXT))
    };
    let best = |batch: u32| (0..=MAX_GAMMA).max_by(|&a, &b| rate(batch, a).total_cmp(&rate(batch, b))).unwrap();
    (0..=14).map(|bit| 1u32 << bit).map(|batch| (batch, best(batch))).collect()
}

/// Lines in order; times count from the first.
fn arrivals(text: &str, speed: f64) -> Vec<Arrival> {
    let ms = |stamp: &str| {
        let (day, clock) = stamp.split_once(' ').unwrap();
        let day: f64 = day.rsplit('-').next().unwrap().parse().unwrap();
        let mut parts = clock.split(':').map(|part| part.parse::<f64>().unwrap());
        let (h, m, s) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        1e3 * (((day * 24.0 + h) * 60.0 + m) * 60.0 + s)
    };
    let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.trim().split(',').collect()).collect();
    let first = ms(rows[0][0]);
    let arrival = |row: &Vec<&str>| Arrival {
        at_ms: if speed > 0.0 { (ms(row[0]) - first) / speed } else { 0.0 },
        prompt: row[1].parse::<u32>().unwrap().max(1),
        new: row[2].parse().unwrap(),
    };
    rows.iter().map(arrival).collect()
}

fn device_of(json: &Value) -> Device {
    let knots = |name: &str, padded: bool| {
        let pairs = json[name].as_array().unwrap();
        let sizes: Vec<u32> = pairs.iter().map(|pair| pair[0].as_u64().unwrap() as u32).collect();
        let ms: Vec<f64> = pairs.iter().map(|pair| pair[1].as_f64().unwrap()).collect();
        Knots::new(&sizes, &ms, padded).unwrap()
    };
    let number = |name: &str| json[name].as_f64().unwrap();
    Device {
        verify: knots("verify", json["padded"].as_bool().unwrap()),
        kv_ms: number("kv_ms"),
        draft: knots("draft", false),
        host_ms: number("host_ms"),
        noise: number("noise"),
        shift: (json["shift"][0].as_f64().unwrap(), json["shift"][1].as_f64().unwrap()),
    }
}
