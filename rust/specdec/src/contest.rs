//! Policies by name, on one trace and a simulated device.

use std::time::Instant;

use thrifty_base::progress::Progress;

use crate::latency::{Knots, LatencyCurve};
use crate::policy::rivals::{ByBatch, Oracle, Tiers, Trim};
use crate::policy::{Planner, Policy, Settings as Planning};
use crate::scheduler::Settings;
use crate::sim::{Device, Kinds, Report, World, simulate};
use crate::times::Times;
use crate::{Error, Result};

/// Tokens of a cache that a request has on the way, as the author of a table thinks.
const CONTEXT: u64 = 1200;
/// What policies that learn acceptance begin with.
const GUESS: f32 = 0.6;

/// A replay, and the seconds of a processor that planning and committing took.
pub fn run(name: &str, settings: Settings, world: &World<'_>, progress: &Progress) -> Result<(Report, f64)> {
    let policy = policy(name, settings.max_gamma, world.device, world.kinds)?;
    // Engines of others know nothing of targets.
    let world = World { told: world.told && matches!(name, "planner" | "oracle"), ..*world };
    let (begun, cpu) = (Instant::now(), cpu_ns());
    let found = simulate(settings, policy, &world, progress)?;
    // Others may have used this processor meanwhile.
    let wall = begun.elapsed().as_nanos() as f64;
    let share = cpu_ns().zip(cpu).map_or(1.0, |(end, begin)| ((end - begin) as f64 / wall).min(1.0));
    let seconds = 1e-9 * found.host_ns as f64 * share;
    Ok((found, seconds))
}

/// The policy of a name: `planner`, `planner deaf` (the same, told nothing of targets), `oracle`, `fixed 3`, `table` (the best length of each batch size, for the mean of
/// all kinds and the true times), `table 8:4,64:2` (written by hand), `tiers 1,3,7` or `trim 4`. Those of others draft with
/// the first of several drafters.
pub fn policy(name: &str, max_gamma: u8, device: &Device, kinds: &Kinds) -> Result<Box<dyn Policy>> {
    let (rule, of) = name.split_once(' ').unwrap_or((name, ""));
    let wrong = || {
        let what = format!(
            "'{name}' is no policy; planner, planner deaf, oracle, fixed N, table, table BATCH:N,..., tiers N,N,... and trim N are, \
             each N up to max_gamma = {max_gamma}"
        );
        Error::argument("policy", what)
    };
    let length = |text: &str| text.parse::<u8>().ok().filter(|&n| n <= max_gamma).ok_or_else(wrong);
    Ok(match (rule, of) {
        ("planner", "" | "deaf") => {
            let guess = vec![GUESS; device.drafts.len()];
            Box::new(Planner::new(Planning { max_gamma, probe: true }, guessed(device)?, &guess)?)
        }
        ("oracle", "") => Box::new(Oracle::new(max_gamma, device.times(1.0)?)?),
        ("fixed", n) => Box::new(ByBatch::fixed(length(n)?)?),
        ("table", "") => Box::new(ByBatch::new(&table(max_gamma, device, kinds)?)?),
        ("table", rows) => {
            let row = |text: &str| {
                let (batch, n) = text.split_once(':').ok_or_else(wrong)?;
                Ok((batch.parse().map_err(|_| wrong())?, length(n)?))
            };
            Box::new(ByBatch::new(&rows.split(',').map(row).collect::<Result<Vec<_>>>()?)?)
        }
        ("tiers", list) => Box::new(Tiers::new(&list.split(',').map(length).collect::<Result<Vec<_>>>()?)?),
        ("trim", n) => Box::new(Trim::new(length(n)?, device.times(1.0)?, GUESS)?),
        _ => return Err(wrong()),
    })
}

/// What a user would have measured once, with two numbers for each model.
fn guessed(device: &Device) -> Result<Times> {
    let curve = |draft: &Knots| LatencyCurve {
        draft_layers: 1,
        draft_ms_per_layer: draft.at(1),
        draft_overhead_ms: 0.0,
        weights_ms: device.verify.at(1),
        compute_ms_per_token: (device.verify.at(4096) - device.verify.at(1)) / 4095.0,
        overhead_ms: 0.0,
    };
    let each = device.drafts.iter().map(|draft| Times::of_curve(&curve(draft), &[], device.kv_ms));
    let mut each = each.collect::<Result<Vec<_>>>()?;
    let drafts = each.iter_mut().flat_map(|times| times.drafts.drain(..)).collect();
    let verify = each.swap_remove(0).verify;
    Times::new(0.0, verify, drafts)
}

/// The best length of each batch size.
fn table(max_gamma: u8, device: &Device, kinds: &Kinds) -> Result<Vec<(u32, u8)>> {
    let times = device.times(1.0)?;
    let mean = |k: usize| {
        let of = |kind| f64::from(kinds.survival(0, kind).0[k]);
        (0..kinds.count()).map(of).sum::<f64>() / kinds.count() as f64
    };
    let rate = |batch: u32, gamma: u8| {
        let tau = 1.0 + (0..usize::from(gamma)).map(mean).sum::<f64>();
        let drafts = f64::from(gamma) * times.drafts[0].ms(batch, 0);
        let tokens = batch * (u32::from(gamma) + 1);
        tau / (times.host_ms + drafts + times.verify.ms(tokens, u64::from(batch) * CONTEXT))
    };
    let best = |batch: u32| (0..=max_gamma).max_by(|&a, &b| rate(batch, a).total_cmp(&rate(batch, b))).unwrap_or(0);
    Ok((0..=14).map(|bit| 1u32 << bit).map(|batch| (batch, best(batch))).collect())
}

/// Nanoseconds that this thread had a processor, where the system says.
fn cpu_ns() -> Option<u64> {
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let knots = |ms: &[f64]| Knots::new(&[1, 256], ms, false).unwrap();
        let device = Device {
            verify: knots(&[10.0, 30.0]),
            kv_ms: 0.0,
            drafts: vec![knots(&[1.0, 2.0])],
            host_ms: 0.1,
            noise: 0.0,
            shift: (1.0, 1.0),
        };
        let kinds = Kinds { alphas: vec![vec![0.6]], fall: 1.0, turn: 0.0 };
        for name in [
            "planner",
            "planner deaf",
            "oracle",
            "fixed 0",
            "fixed 8",
            "table",
            "table 8:4,64:0",
            "tiers 1,3,7",
            "trim 4",
        ] {
            policy(name, 8, &device, &kinds).unwrap();
        }
        for name in ["", "ours", "planner 3", "fixed", "fixed 9", "fixed -1", "table 4", "table 8:9", "tiers", "trim x"]
        {
            let found = policy(name, 8, &device, &kinds);
            assert!(matches!(found, Err(Error::Argument { argument: "policy", .. })), "{name}");
        }
        assert!(
            policy("table 8:1,4:2", 8, &device, &kinds).is_err() && policy("tiers 3,1", 8, &device, &kinds).is_err()
        );
    }
}
