//! What policies meet: requests, times and luck.

use thrifty_base::hash::mix64;
use thrifty_base::philox::Philox;

use crate::acceptance::Row;
use crate::latency::{Knots, Learned};
use crate::times::Times;
use crate::{Error, Result};

/// Stream of the random generator for acceptance.
const LUCK: u64 = 0x7364_0001;

/// A request of a trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrival {
    /// When it comes.
    pub at_ms: f64,
    /// Ids of its prompt.
    pub prompt: u32,
    /// Ids that it gets.
    pub new: u32,
    /// Its target for the time between them.
    pub tbt_ms: Option<f64>,
}

/// What a target and its drafters take.
#[derive(Clone, Debug)]
pub struct Device {
    /// A verification of so many tokens.
    pub verify: Knots,
    /// For each token in the caches that are read.
    pub kv_ms: f64,
    /// A pass of each drafter over so many sequences.
    pub drafts: Vec<Knots>,
    /// Outside the models.
    pub host_ms: f64,
    /// Standard deviation of times, relative.
    pub noise: f64,
    /// Once this share of all ids is out, all takes so many times as long.
    pub shift: (f64, f64),
}

impl Device {
    /// Its true times, all of them `factor` times as long.
    pub fn times(&self, factor: f64) -> Result<Times> {
        let verify = Learned::new(self.verify.times(factor)?, self.kv_ms * factor)?;
        let learned = |draft: &Knots| Learned::new(draft.times(factor)?, 0.0);
        Times::new(self.host_ms, verify, self.drafts.iter().map(learned).collect::<Result<_>>()?)
    }
}

/// How drafts fare.
#[derive(Clone, Debug)]
pub struct Kinds {
    /// For each drafter the chance that its first draft for a request of each kind is accepted; requests are of all kinds
    /// alike.
    pub alphas: Vec<Vec<f64>>,
    /// What a later draft's chance is multiplied by, for each place.
    pub fall: f64,
    /// Share of requests that become of another kind half way.
    pub turn: f64,
}

impl Kinds {
    /// Refuses chances that are none, and drafters without any.
    pub fn check(&self, drafts: usize) -> Result<()> {
        let count = self.count();
        if self.alphas.len() != drafts {
            let what = format!("chances of {} drafts are given for {drafts}", self.alphas.len());
            return Err(Error::argument("alphas", what));
        }
        let fine = |row: &Vec<f64>| row.len() == count && row.iter().all(|alpha| (0.0..=1.0).contains(alpha));
        if count == 0 || !self.alphas.iter().all(fine) {
            return Err(Error::argument(
                "alphas",
                "chances between 0 and 1 are needed, of each kind as many as drafts",
            ));
        }
        Ok(())
    }

    /// How many kinds there are.
    pub fn count(&self) -> usize {
        self.alphas.first().map_or(0, Vec::len)
    }

    /// Which kind a request of `new` ids is once it has `emitted` of them, and the word that its luck comes from.
    pub(super) fn of(&self, seed: u64, uid: u64, emitted: u32, new: u32) -> (usize, u64) {
        let word = mix64(mix64(seed) ^ mix64(uid));
        let turns = (word >> 40) as f64 / (1u64 << 24) as f64 <= self.turn && emitted > new / 2;
        ((word as usize % self.count() + usize::from(turns)) % self.count(), word)
    }

    /// S(1), S(2), ... of a drafter for a kind.
    pub fn survival(&self, draft: usize, kind: usize) -> Row {
        let (mut row, mut chance, mut product) = (Row::default(), self.alphas[draft][kind], 1.0);
        for s in &mut row.0 {
            product *= chance;
            chance *= self.fall;
            *s = product as f32;
        }
        row
    }

    /// How many of `gamma` drafts of a drafter are accepted for a request of `new` ids that has `emitted` of them. Luck is
    /// the same for all drafters, so that what one with lower chances gets accepted, others do.
    pub(super) fn accepted(&self, draft: usize, seed: u64, uid: u64, [emitted, new]: [u32; 2], gamma: u8) -> u8 {
        let (kind, word) = self.of(seed, uid, emitted, new);
        let random = Philox::new(word, LUCK);
        let mut chance = self.alphas[draft][kind];
        for k in 0..gamma {
            let u = random.u64_at(u64::from(emitted) + u64::from(k)) as f64 / 2f64.powi(64);
            if u >= chance {
                return k;
            }
            chance *= self.fall;
        }
        gamma
    }
}

/// What policies meet.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// Requests, in the order of their times.
    pub arrivals: &'a [Arrival],
    /// What steps take.
    pub device: &'a Device,
    /// How drafts fare.
    pub kinds: &'a Kinds,
    /// Of luck and noise.
    pub seed: u64,
    /// Whether a scheduler is told of targets; whether ids come in time is counted in any case.
    pub told: bool,
}

/// A normal number (Box and Muller).
pub(super) fn gauss(random: Philox, position: u64) -> f64 {
    let [a, b, _, _] = random.words_at(position);
    let unit = |word: u32| (f64::from(word) + 0.5) / 2f64.powi(32);
    (-2.0 * unit(a).ln()).sqrt() * (std::f64::consts::TAU * unit(b)).cos()
}
