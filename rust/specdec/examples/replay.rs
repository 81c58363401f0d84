//! A trace of requests through the scheduler, with our policy and those of others, on a simulated device:
//! `cargo run --release -p thrifty-specdec --example replay -- TRACE.csv DEVICE.json SPEED ALPHAS POLICY...`.
//!
//! The trace has TIMESTAMP, ContextTokens, GeneratedTokens (Azure's; its lines in order). SPEED plays it so many times as
//! fast; 0 lets all requests wait from the beginning, 10,000 of them running. The device is JSON: `verify` and `draft`,
//! lists of [rows, ms], `kv_ms`, `host_ms`, `noise`, `shift` [share of ids, factor], `padded`. ALPHAS are the kinds of
//! requests, by the chance of a first draft: `0.2,0.6,0.95`. A policy is `planner`, `oracle`, `fixed 3`, `table` (the best
//! length of each batch size, for the mean of all kinds and the true times), `tiers 1,3,7` or `trim 4`. One JSON line a
//! policy.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use serde_json::{Value, json};
use thrifty_base::progress::Progress;
use thrifty_specdec::contest::run;
use thrifty_specdec::latency::Knots;
use thrifty_specdec::scheduler::Settings;
use thrifty_specdec::sim::{Arrival, Device, Kinds, World};

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
        max_gamma: 8,
        vocab: 32_000,
        share_prefixes: true,
        ageing: 1024,
    };
    let alphas = alphas.split(',').map(|alpha| alpha.parse().unwrap()).collect();
    let kinds = Kinds { alphas: vec![alphas], fall: 0.97, turn: 0.3 };
    let world = World { arrivals: &arrivals, device: &device, kinds: &kinds, seed: 1, told: true };
    for name in policies {
        let (found, cpu_s) = run(name, settings, &world, &Progress::new()).unwrap();
        let row = json!({
            "policy": name, "requests": found.requests, "emitted": found.emitted, "held": found.held,
            "ms": found.ms, "busy_ms": found.busy_ms, "prompt_ms": found.prompt_ms, "waited_ms": found.waited_ms,
            "cpu_s": cpu_s, "steps": found.steps, "rows": found.rows,
            "drafted": found.drafts.0, "accepted": found.drafts.1, "preempted": found.preempted,
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
        tbt_ms: None,
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
        drafts: vec![knots("draft", false)],
        host_ms: number("host_ms"),
        noise: number("noise"),
        shift: (json["shift"][0].as_f64().unwrap(), json["shift"][1].as_f64().unwrap()),
    }
}
