//! A trace of requests through the scheduler, with our policy and those of others, on a simulated device:
//! `cargo run --release -p thrifty-specdec --example replay -- TRACE.csv DEVICE.json [SPEED]`.
//!
//! The trace has TIMESTAMP, ContextTokens, GeneratedTokens (Azure's; its lines in order). SPEED plays it so many times as
//! fast; 0 lets all requests wait from the beginning. The device is JSON: `verify` and `draft`, lists of [rows, ms],
//! `kv_ms`, `host_ms`, `noise`, `shift` [ms, factor], `padded`. One JSON line a policy.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use serde_json::{Value, json};
use thrifty_specdec::latency::{Knots, LatencyCurve};
use thrifty_specdec::policy::rivals::{ByBatch, Tiers, Trim};
use thrifty_specdec::policy::{Planner, Policy, Settings as Planning};
use thrifty_specdec::scheduler::Settings;
use thrifty_specdec::sim::{Arrival, Device, Kinds, simulate};
use thrifty_specdec::times::Times;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, trace, device, speed @ ..] = &arguments[..] else { panic!("TRACE.csv DEVICE.json [SPEED]") };
    let speed: f64 = speed.first().map_or(1.0, |speed| speed.parse().unwrap());
    let arrivals = arrivals(&std::fs::read_to_string(trace).unwrap(), speed);
    let json: Value = serde_json::from_str(&std::fs::read_to_string(device).unwrap()).unwrap();
    let device = device_of(&json);
    let settings = Settings {
        blocks: 60_000,
        block_size: 16,
        max_running: if speed == 0.0 { 10_000 } else { 512 },
        max_length: 16_384,
        token_budget: if speed == 0.0 { 20_000 } else { 4096 },
        max_gamma: 8,
        vocab: 32_000,
        share_prefixes: true,
        ageing: 1024,
    };
    let kinds = Kinds { alphas: vec![0.45, 0.65, 0.85], fall: 0.97, turn: 0.3 };
    // What a user would have measured once, with two numbers for each model.
    let curve = LatencyCurve {
        draft_layers: 1,
        draft_ms_per_layer: device.draft.at(1),
        draft_overhead_ms: 0.0,
        weights_ms: device.verify.at(1),
        compute_ms_per_token: (device.verify.at(4096) - device.verify.at(1)) / 4095.0,
        overhead_ms: 0.0,
    };
    let times = || Times::of_curve(&curve, &[], device.kv_ms).unwrap();
    let planner = Planner::new(Planning { max_gamma: 8, probe: true }, times(), &[0.6]).unwrap();
    let mut policies: Vec<(String, Box<dyn Policy>)> = vec![
        ("ours".into(), Box::new(planner)),
        ("by batch".into(), Box::new(ByBatch::new(&[(4, 5), (16, 3), (64, 2), (128, 1)]).unwrap())),
        ("tiers".into(), Box::new(Tiers::new(&[1, 3, 7]).unwrap())),
        ("trim".into(), Box::new(Trim::new(4, times(), 0.6).unwrap())),
    ];
    for gamma in [0, 1, 2, 3, 4, 6, 8] {
        policies.push((format!("fixed {gamma}"), Box::new(ByBatch::fixed(gamma).unwrap())));
    }
    for (name, policy) in policies {
        let found = simulate(settings, policy, &arrivals, &device, &kinds, 1).unwrap();
        let row = json!({
            "policy": name, "requests": found.requests, "emitted": found.emitted, "held": found.held,
            "ms": found.ms, "busy_ms": found.busy_ms, "waited_ms": found.waited_ms, "host_ns": found.host_ns,
            "steps": found.steps, "rows": found.rows, "drafted": found.drafts.0, "accepted": found.drafts.1,
            "preempted": found.preempted,
        });
        println!("{row}");
    }
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
