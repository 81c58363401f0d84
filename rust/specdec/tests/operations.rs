//! Random sequences of operations: nothing is lost, nothing changes that was committed, and the cache holds what it should.
#![allow(clippy::unwrap_used)]

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use thrifty_base::hash::mix64;
use thrifty_base::sampling::Sampling;
use thrifty_specdec::latency::LatencyCurve;
use thrifty_specdec::policy::rivals::ByBatch;
use thrifty_specdec::policy::{Planner, Settings as Planning};
use thrifty_specdec::request::{End, Handle, State, Submission};
use thrifty_specdec::scheduler::{Scheduler, Settings, Stats};
use thrifty_specdec::settle::FAILED;
use thrifty_specdec::times::Times;

const VOCAB: u64 = 5;

/// What a model without chance says after some ids.
fn follows(ids: &[u32]) -> u32 {
    let word = ids.iter().rev().take(3).fold(ids.len() as u64 / 7, |word, &id| mix64(word ^ u64::from(id)));
    (word % VOCAB) as u32
}

/// A cache: what was written to each place, the id and all ids before it as a hash.
type Cache = Vec<Option<(u32, u64)>>;

fn hash(ids: &[u32]) -> u64 {
    ids.iter().fold(1, |word, &id| mix64(word ^ u64::from(id)))
}

struct World {
    scheduler: Scheduler,
    cache: Cache,
    prompts: HashMap<Handle, (Vec<u32>, usize)>,
    seen: HashMap<Handle, Vec<u32>>,
    random: u64,
    ended: usize,
}

impl World {
    fn new(seed: u64, blocks: u32, block_size: u32, max_running: u32, gamma: u8, share_prefixes: bool) -> Self {
        let settings = Settings {
            blocks,
            block_size,
            max_running,
            max_length: 40,
            token_budget: max_running + (seed % 17) as u32,
            max_gamma: 8,
            vocab: VOCAB as u32,
            share_prefixes,
            ageing: 4,
        };
        let policy = Box::new(ByBatch::fixed(gamma).unwrap());
        Self {
            scheduler: Scheduler::new(settings, policy).unwrap(),
            cache: vec![None; (blocks * block_size) as usize],
            prompts: HashMap::new(),
            seen: HashMap::new(),
            random: seed,
            ended: 0,
        }
    }

    /// With sizes drawn from the seed.
    fn of(seed: u64) -> Self {
        let draw = |which: u64, n: u64| mix64(seed ^ mix64(which)) % n;
        let (blocks, size, running) = (2 + draw(0, 30) as u32, 1 + draw(1, 6) as u32, 1 + draw(2, 8) as u32);
        Self::new(seed, blocks, size, running, draw(3, 9) as u8, draw(4, 3) > 0)
    }

    fn random(&mut self, n: u64) -> u64 {
        self.random = mix64(self.random);
        self.random % n
    }

    fn submit(&mut self) {
        // Few beginnings, so that prefixes meet.
        let (kind, length) = (self.random(3), 1 + self.random(20));
        let prompt: Vec<u32> = (0..length).map(|i| (mix64(kind << 8 | i) % VOCAB) as u32).collect();
        let max_new = 1 + self.random(12) as usize;
        let wanted = Submission {
            prompt: &prompt,
            max_new,
            stop: &[],
            sampling: Sampling::default(),
            uid: self.prompts.len() as u64,
            priority: self.random(3) as i32,
            max_gamma: self.random(9) as u8,
            class: 0,
            salt: self.random(2),
            tbt_ms: if self.random(2) == 0 { Some(1.0 + self.random(20) as f64) } else { None },
        };
        let needed = (prompt.len() + max_new - 1).div_ceil(self.scheduler.settings().block_size as usize);
        match self.scheduler.submit(&wanted) {
            Ok(handle) => {
                assert!(needed <= self.scheduler.settings().blocks as usize);
                self.prompts.insert(handle, (prompt, max_new));
            }
            Err(_) => assert!(needed > self.scheduler.settings().blocks as usize),
        }
    }

    /// A plan, what a model would do with it, and its end.
    fn step(&mut self, end: u64) {
        let preempted = self.scheduler.stats().preempted;
        let before = self.scheduler.available();
        let step = self.scheduler.plan(true).unwrap().clone();
        assert!(self.scheduler.plan(true).is_err());
        let preempted = self.scheduler.stats().preempted > preempted;
        let settings = *self.scheduler.settings();
        assert!(step.tokens.len() <= settings.token_budget as usize);
        // Nobody who runs is left out.
        for handle in self.prompts.keys() {
            let runs = self.scheduler.state(*handle).unwrap() == State::Running;
            assert_eq!(runs, step.handles.contains(&handle.0));
        }
        let (stride, mut written) = (self.scheduler.stride(), HashSet::new());
        let (mut accepted, mut tokens) = (Vec::new(), Vec::new());
        let mut drafts = vec![-1i64; step.giving * 8];
        for row in 0..step.rows() {
            let ids = self.scheduler.ids(step.handle(row)).unwrap().to_vec();
            let (begin, fresh, gamma) = (step.begin[row] as usize, step.fresh[row] as usize, step.gamma[row] as usize);
            assert!(fresh >= 1 && begin + fresh <= ids.len());
            assert_eq!(row < step.giving, begin + fresh == ids.len());
            let table = self.scheduler.table()[step.table_row[row] as usize * stride..][..stride].to_vec();
            let size = settings.block_size as usize;
            let place = |at: usize| {
                assert!(table[at / size] >= 0);
                table[at / size] as usize * size + at % size
            };
            // What was computed before is there.
            for at in 0..begin {
                assert_eq!(self.cache[place(at)], Some((ids[at], hash(&ids[..at]))));
            }
            let mut all = ids.clone();
            let right = if row < step.giving { self.random(gamma as u64 + 1) as usize } else { 0 };
            for i in 0..gamma {
                let next = follows(&all);
                let id = if i < right { next } else { (next + 1) % VOCAB as u32 };
                drafts[row * 8 + i] = i64::from(id);
                all.push(id);
            }
            let first = step.first[row] as usize;
            for (i, at) in (begin..begin + fresh + gamma).enumerate() {
                assert_eq!((step.positions[first + i], step.places[first + i] as usize), (at as i32, place(at)));
                assert!(written.insert(place(at)), "two rows write to one place");
            }
            assert_eq!(step.first[row + 1] as usize, first + fresh + gamma);
            // A model that failed half way may have written as well.
            for at in begin..begin + fresh + gamma {
                let at_place = place(at);
                self.cache[at_place] = Some((all[at], hash(&all[..at])));
            }
            if row < step.giving {
                accepted.push(right as i64);
                let mut found: Vec<i64> = all[ids.len()..ids.len() + right].iter().map(|&id| i64::from(id)).collect();
                found.push(i64::from(follows(&all[..ids.len() + right])));
                found.resize(9, -1);
                tokens.extend(found);
            }
        }
        self.scheduler.fill(step.number, &drafts, None, 8).unwrap();
        for row in 0..step.giving {
            let (first, gamma) = (step.first[row + 1] as usize, step.gamma[row] as usize);
            let filled: Vec<i64> =
                self.scheduler.step().tokens[first - gamma..first].iter().map(|&id| i64::from(id)).collect();
            assert_eq!(filled, drafts[row * 8..row * 8 + gamma]);
        }
        let cancelled: Vec<Handle> =
            (0..step.rows()).filter(|_| self.random(12) == 0).map(|row| step.handle(row)).collect();
        for &handle in &cancelled {
            self.scheduler.cancel(handle).unwrap();
        }
        match end {
            0 => {
                self.scheduler.abort(step.number).unwrap();
                if !preempted && cancelled.is_empty() {
                    assert_eq!(self.scheduler.available(), before);
                    let again = self.scheduler.plan(true).unwrap().clone();
                    assert_eq!((&again.handles, &again.begin, &again.fresh), (&step.handles, &step.begin, &step.fresh));
                    assert_eq!(again.gamma, step.gamma);
                    self.scheduler.abort(again.number).unwrap();
                }
            }
            1 if step.giving > 0 => {
                accepted[0] = FAILED;
                self.scheduler.commit(step.number, None, &accepted, &tokens, 9).unwrap();
                assert_eq!(self.scheduler.state(step.handle(0)).unwrap(), State::Finished(End::Failed));
            }
            _ => {
                // What is wrong changes nothing.
                assert!(self.scheduler.commit(step.number + 1, None, &accepted, &tokens, 9).is_err());
                if step.giving > 0 {
                    let mut wrong = accepted.clone();
                    wrong[0] = i64::from(step.gamma[0]) + 1;
                    assert!(self.scheduler.commit(step.number, None, &wrong, &tokens, 9).is_err());
                }
                self.scheduler.commit(step.number, None, &accepted, &tokens, 9).unwrap();
            }
        }
        assert!(self.scheduler.commit(step.number, None, &accepted, &tokens, 9).is_err());
        assert!(self.scheduler.abort(step.number).is_err());
        self.look();
    }

    /// What must always hold.
    fn look(&mut self) {
        let mut held: HashMap<i32, u32> = HashMap::new();
        for &block in self.scheduler.table().iter().filter(|b| **b >= 0) {
            *held.entry(block).or_default() += 1;
        }
        let settings = *self.scheduler.settings();
        assert_eq!(self.scheduler.available(), settings.blocks as usize - held.len());
        if !settings.share_prefixes {
            assert!(held.values().all(|&count| count == 1));
        }
        let handles: Vec<Handle> = self.prompts.keys().copied().collect();
        for handle in handles {
            let ids = self.scheduler.ids(handle).unwrap().to_vec();
            let (prompt, max_new) = &self.prompts[&handle];
            // Committed ids stay, and are those of plain decoding.
            let seen = self.seen.entry(handle).or_default();
            assert!(ids.starts_with(seen) && ids.starts_with(prompt));
            assert!((prompt.len()..ids.len()).all(|at| ids[at] == follows(&ids[..at])));
            seen.clone_from(&ids);
            if let State::Finished(end) = self.scheduler.state(handle).unwrap() {
                if end == End::Length {
                    assert_eq!(ids.len(), prompt.len() + max_new);
                }
                let outcome = self.scheduler.take(handle).unwrap();
                assert_eq!((outcome.end, outcome.tokens), (end, ids[prompt.len()..].to_vec()));
                assert!(self.scheduler.take(handle).is_err() && self.scheduler.cancel(handle).is_err());
                self.prompts.remove(&handle);
                self.seen.remove(&handle);
                self.ended += 1;
            }
        }
    }
}

fn run(seed: u64, steps: usize) -> Stats {
    let mut world = World::of(seed);
    for _ in 0..steps {
        match world.random(8) {
            0..=2 => world.submit(),
            3 => {
                let mut handles: Vec<Handle> = world.prompts.keys().copied().collect();
                handles.sort();
                if !handles.is_empty() {
                    let which = world.random(3 * handles.len() as u64) as usize;
                    if let Some(&handle) = handles.get(which) {
                        world.scheduler.cancel(handle).unwrap();
                        world.look();
                    }
                }
            }
            _ => {
                let end = world.random(10);
                world.step(end);
            }
        }
    }
    // Everybody comes to an end.
    let mut left = 0;
    while !world.prompts.is_empty() {
        world.step(9);
        left += 1;
        assert!(left < 5000, "{} requests never end", world.prompts.len());
    }
    let stats = world.scheduler.stats();
    assert_eq!(stats.ended.iter().sum::<u64>(), stats.submitted);
    assert_eq!(world.ended as u64, stats.submitted);
    assert_eq!(world.scheduler.available(), world.scheduler.settings().blocks as usize);
    stats
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost(seed in any::<u64>()) {
        run(seed, 80);
    }
}

/// The sequences get everywhere: to preemptions, shared prefixes, drafts that fail, every kind of end.
#[test]
fn everything_happens() {
    let all: Vec<Stats> = (0..300).map(|seed| run(seed, 60)).collect();
    let sum = |of: fn(&Stats) -> u64| all.iter().map(of).sum::<u64>();
    let (drafted, accepted) = (sum(|s| s.drafted), sum(|s| s.accepted));
    assert!(accepted > 1000 && drafted > accepted + 1000);
    assert!(sum(|s| s.preempted) > 100 && sum(|s| s.shared_tokens) > 1000 && sum(|s| s.aborted) > 1000);
    assert!((0..4).filter(|&end| end != End::Stop as usize).all(|end| all.iter().any(|s| s.ended[end] > 0)));
}

/// More of them: `cargo test -- --ignored`.
#[test]
#[ignore = "a minute or more: make test-slow runs it, and the sequences above take the same way"]
fn a_hundred_thousand() {
    for seed in 0..100_000 {
        run(seed, 60);
    }
}

/// Two requests that can't both have blocks: who loses them, if the first has this priority and the other may have a target
/// that it just keeps.
fn loses_blocks(priority: i32, tbt_ms: Option<f64>) -> usize {
    let settings = Settings {
        blocks: 4,
        block_size: 16,
        max_running: 2,
        max_length: 64,
        token_budget: 16,
        max_gamma: 0,
        vocab: VOCAB as u32,
        share_prefixes: false,
        ageing: 1000,
    };
    let mut scheduler = Scheduler::new(settings, Box::new(ByBatch::fixed(0).unwrap())).unwrap();
    let mut submit = |priority, tbt_ms| {
        let (prompt, sampling) = (&[1, 2][..], Sampling::default());
        let wanted = Submission {
            prompt,
            max_new: 60,
            stop: &[],
            sampling,
            uid: 0,
            priority,
            max_gamma: 0,
            class: 0,
            salt: 0,
            tbt_ms,
        };
        scheduler.submit(&wanted).unwrap()
    };
    let handles = [submit(priority, None), submit(0, tbt_ms)];
    loop {
        let step = scheduler.plan(true).unwrap();
        let (number, giving) = (step.number, step.giving);
        if let Some(lost) = handles.iter().position(|&handle| scheduler.state(handle).unwrap() == State::Waiting) {
            return lost;
        }
        scheduler.timed(1.0, 9.0, &[]).unwrap();
        scheduler.commit(number, None, &vec![0; giving], &vec![0; giving], 1).unwrap();
    }
}

#[test]
fn who_weighs_least_loses_blocks_first() {
    // First come, first kept; a weight of 32 is worth five priorities.
    assert_eq!([0, 5].map(|priority| loses_blocks(priority, None)), [1, 1]);
    assert_eq!([0, 4, 6].map(|priority| loses_blocks(priority, Some(10.0))), [0, 0, 1]);
    // At ease, or hopelessly late, it weighs no more than others.
    assert_eq!([100.0, 1.0].map(|tbt_ms| loses_blocks(0, Some(tbt_ms))), [1, 1]);
}

/// Tokens of a step in which so many prompts of 1,000 wait, beside a request that just keeps its target, if it has one.
fn tokens_beside(tbt_ms: Option<f64>, waiting: usize) -> usize {
    let settings = Settings {
        blocks: 10_000,
        block_size: 16,
        max_running: 64,
        max_length: 1100,
        token_budget: 4096,
        max_gamma: 0,
        vocab: VOCAB as u32,
        share_prefixes: false,
        ageing: 1000,
    };
    let curve = LatencyCurve {
        draft_layers: 1,
        draft_ms_per_layer: 1.0,
        draft_overhead_ms: 0.0,
        weights_ms: 10.0,
        compute_ms_per_token: 0.05,
        overhead_ms: 0.0,
    };
    let planner = Planner::new(Planning::default(), Times::of_curve(&curve, &[], 0.0).unwrap(), &[0.5]).unwrap();
    let mut scheduler = Scheduler::new(settings, Box::new(planner)).unwrap();
    let submit = |scheduler: &mut Scheduler, prompt: &[u32], tbt_ms| {
        let sampling = Sampling::default();
        let (max_new, stop, uid, priority, max_gamma, class, salt) = (50, &[][..], 0, 0, 0, 0, 0);
        scheduler
            .submit(&Submission { prompt, max_new, stop, sampling, uid, priority, max_gamma, class, salt, tbt_ms })
            .unwrap()
    };
    submit(&mut scheduler, &[1, 2], tbt_ms);
    for _ in 0..12 {
        let step = scheduler.plan(true).unwrap();
        let (number, giving) = (step.number, step.giving);
        scheduler.timed(0.0, 10.0, &[]).unwrap();
        scheduler.commit(number, None, &vec![0; giving], &vec![0; giving], 1).unwrap();
    }
    for _ in 0..waiting {
        submit(&mut scheduler, &[1; 1000], None);
    }
    scheduler.plan(true).unwrap().tokens.len()
}

#[test]
fn prompts_come_in_parts_beside_targets() {
    // By the curve 299 tokens take half as long again as one; a power of 2 of them is taken.
    assert_eq!([1, 3].map(|waiting| tokens_beside(Some(10.0), waiting)), [257, 257]);
    // Of many, one of 32.
    assert_eq!(tokens_beside(Some(10.0), 40), 1 + 40_000 / 32);
    // Without a target, at ease, or hopelessly late, as much as fits.
    for tbt_ms in [None, Some(0.01), Some(1000.0)] {
        assert_eq!([1, 3, 40].map(|waiting| tokens_beside(tbt_ms, waiting)), [1001, 3001, 4096], "{tbt_ms:?}");
    }
}
