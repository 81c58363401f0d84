//! One request of a batch: its drafts, their laws, and the random numbers that decide on them.

use thrifty_base::lent::Lent;
use thrifty_base::noise::{Noise, Purpose};
use thrifty_base::sampling::race;
use thrifty_base::simd::Path;

use super::batch::{Batch, Drafted};
use super::kernels::Of;
use super::left::{Less, race_left};
use super::params::Setting;
use super::rows::{Law, Numbers, subtract, surplus};
use super::seen::Seen;
use crate::{Error, Result};

/// How far chances may be from summing to 1: bf16 rounds each by up to 1 in 512.
const ROUNDING: f64 = 0.01;
/// Lists of ids that are longer are taken from a copy of p: each group of ids that race looks through a list.
const LIST: usize = 1024;

/// One request.
pub(super) struct Chain<'a> {
    batch: &'a Batch<'a>,
    pub(super) path: Path,
    request: usize,
    /// Ids proposed, without the padding.
    pub(super) draft: &'a [i64],
    noise: Noise,
    begin: u64,
    setting: Setting<'a>,
}

/// Memory that requests use one after the other.
#[derive(Default)]
pub(super) struct Room {
    pub(super) p: Side,
    pub(super) q: Side,
    /// Chances that are drawn from.
    pub(super) out: Lent,
    /// Weights of the block rule.
    pub(super) weights: Vec<f64>,
    /// Drafts that were accepted in a tree.
    pub(super) way: Vec<i64>,
}

/// What is remembered of the rows of p, or of q.
#[derive(Default)]
pub(super) struct Side {
    row: Lent,
    order: Vec<u32>,
    seen: Seen,
    /// Of rows that are read where they lie: how.
    known: Vec<Option<Of>>,
}

impl Side {
    fn begin(&mut self, setting: &Setting<'_>, rows: usize) {
        self.known.clear();
        self.known.resize(rows, None);
        if setting.penalises() {
            self.seen.begin(setting.prefix);
        }
    }
}

/// What reading a row gives.
type Read<T> = std::result::Result<T, Wrong>;

/// Where a law stands.
#[derive(Clone, Copy)]
pub(super) struct Place<'p> {
    /// Which row of the request.
    pub(super) row: usize,
    /// Drafts on the way, of which `position` stand before it.
    pub(super) drafts: &'p [i64],
    /// How many drafts stand before it.
    pub(super) position: usize,
}

/// The sum of a row's exponentials.
#[derive(Clone, Copy, PartialEq)]
enum Sum {
    Needed,
    /// Its ln.
    Told(f32),
    /// The law may be a multiple of what it is.
    Unneeded,
}

/// What can be wrong with a row.
enum Wrong {
    NotFinite,
    Masked,
    Mass(f64),
    Negative(f32),
}

/// What the largest of numbers that have no law says about them.
fn wrong(largest: f32) -> Wrong {
    if largest == f32::NEG_INFINITY { Wrong::Masked } else { Wrong::NotFinite }
}

impl<'a> Chain<'a> {
    /// Request `request` of a batch; what was remembered of another is forgotten.
    pub(super) fn new(batch: &'a Batch<'a>, path: Path, seed: u64, request: usize, room: &mut Room) -> Self {
        let draft = &batch.draft[request * batch.width..(request + 1) * batch.width];
        let draft = &draft[..draft.iter().position(|&id| id < 0).unwrap_or(draft.len())];
        let setting = batch.scores.map_or_else(Setting::default, |params| params.of(request));
        room.p.begin(&setting, draft.len() + 1);
        room.q.begin(&setting, draft.len() + 1);
        if room.out.len() != batch.vocab {
            room.out = Lent::zeros(batch.vocab);
        }
        let (noise, begin) = (Noise::new(seed, batch.uid[request]), batch.position[request] as u64);
        Self { batch, path, request, draft, noise, begin, setting }
    }

    /// Uniform in (0, 1], 24 bits: whether a draft at position `i` is accepted, the one of so many siblings before it.
    pub(super) fn uniform(&self, i: usize, siblings: usize) -> f64 {
        let random = self.noise.of(Purpose::Accept, self.begin);
        let [word, ..] = random.words_at((self.begin + i as u64) << 24 | siblings as u64);
        f64::from((word >> 8) + 1) * 2f64.powi(-24)
    }

    /// Where position `i` of the chain stands.
    pub(super) fn place(&self, i: usize) -> Place<'a> {
        Place { row: i, drafts: self.draft, position: i }
    }

    /// The law of the target at position `i`.
    pub(super) fn p<'r>(&self, i: usize, side: &'r mut Side) -> Result<Law<'r>>
    where
        'a: 'r,
    {
        self.p_at(self.place(i), side)
    }

    /// The law of the target at a place.
    pub(super) fn p_at<'r>(&self, place: Place<'_>, side: &'r mut Side) -> Result<Law<'r>>
    where
        'a: 'r,
    {
        let row = self.target(place);
        self.law(row, Sum::Needed, place, side).map_err(|wrong| self.error("p", place.position, &wrong))
    }

    /// The id that wins the race of the target's law at a place: it does not depend on what chances sum to, so nobody
    /// sums them.
    pub(super) fn drawn_at(&self, purpose: Purpose, place: Place<'_>, room: &mut Room) -> Result<usize> {
        let row = self.target(place);
        let law = self.law(row, Sum::Unneeded, place, &mut room.p);
        let law = law.map_err(|wrong| self.error("p", place.position, &wrong))?;
        self.draw(purpose, place.position, &law, &mut room.out)
    }

    /// Whether the chance of draft `i` in p is at least so much for certain, by a bound that costs a fraction of the
    /// law.
    ///
    /// Where it says no the law decides; where it says yes the law would as well, since what rounding does to either is
    /// below a tenth of the margin.
    pub(super) fn reaches(&self, i: usize, chance: f64) -> bool {
        let Some(scale) = self.setting.scale().filter(|_| self.batch.scores.is_some()) else { return false };
        if self.setting.penalises() || self.setting.limits(self.batch.vocab) {
            return false;
        }
        let row = self.target(self.place(i));
        let (most, sum) = row.ceiling(self.path, scale);
        let own = Law::Dense(row, Of::Scores { shift: most, scale, times: 1.0 });
        most.is_finite() && 1.001 * chance * sum <= f64::from(own.chance(self.path, self.draft[i] as usize))
    }

    fn target(&self, place: Place<'_>) -> Numbers<'a> {
        self.batch.p.row(self.request * (self.batch.width + 1) + place.row, self.batch.vocab)
    }

    /// The law that draft `i` was drawn from.
    pub(super) fn q<'r>(&self, i: usize, side: &'r mut Side) -> Result<Law<'r>>
    where
        'a: 'r,
    {
        let place = self.place(i);
        self.q_at(self.request * self.batch.width + i, place, self.draft[i], side)
    }

    /// The law that `id` was drawn from at a place; row `at` of the batch's.
    pub(super) fn q_at<'r>(&self, at: usize, place: Place<'_>, id: i64, side: &'r mut Side) -> Result<Law<'r>>
    where
        'a: 'r,
    {
        let i = place.position;
        match self.batch.q {
            Drafted::Certain => Ok(Law::One(id as usize)),
            Drafted::Sparse { indptr, ids, chances } => {
                let here = indptr[at] as usize..indptr[at + 1] as usize;
                let (ids, chances) = (&ids[here.clone()], &chances[here]);
                check(self.path, Numbers::F32(chances)).map_err(|wrong| self.error("q", i, &wrong))?;
                Ok(Law::Sparse(ids, chances))
            }
            Drafted::Laws(laws) => {
                let row = Numbers::F32(laws).row(at, self.batch.vocab);
                if side.known[place.row].is_none() {
                    check(self.path, row).map_err(|wrong| self.error("q", i, &wrong))?;
                    side.known[place.row] = Some(Of::Chances);
                }
                Ok(Law::Dense(row, Of::Chances))
            }
            Drafted::Dense(numbers) => {
                let told = self.batch.q_lse.map(|lse| lse[at]);
                if told.is_some_and(|lse| !lse.is_finite()) {
                    return Err(self.argument("q_lse", i, "it is NaN or infinite"));
                }
                let row = numbers.row(at, self.batch.vocab);
                self.law(row, told.map_or(Sum::Needed, Sum::Told), place, side)
                    .map_err(|wrong| self.error("q", i, &wrong))
            }
        }
    }

    /// The chance with which draft `i` was drawn; its row is read only where nothing else tells.
    pub(super) fn q_chance(&self, i: usize, side: &mut Side) -> Result<f32> {
        let (at, id) = (self.request * self.batch.width + i, self.draft[i] as usize);
        if let Some(told) = self.batch.q_token {
            let chance = told[at];
            if !(chance > 0.0 && chance <= 1.0) {
                return Err(self.argument("q_token", i, &format!("{chance} is not above 0 and at most 1")));
            }
            return Ok(chance);
        }
        let chance = match self.batch.q {
            Drafted::Certain => 1.0,
            Drafted::Dense(numbers) if self.batch.scores.is_none() => {
                Law::Dense(numbers.row(at, self.batch.vocab), Of::Chances).chance(self.path, id)
            }
            Drafted::Laws(laws) => laws[at * self.batch.vocab + id],
            _ => self.q(i, side)?.chance(self.path, id),
        };
        self.check_chance(i, id, chance)?;
        Ok(chance)
    }

    /// Fails unless the chance with which an id was drawn is one.
    pub(super) fn check_chance(&self, i: usize, id: usize, chance: f32) -> Result<()> {
        if chance.is_nan() || chance == f32::INFINITY {
            return Err(self.error("q", i, &Wrong::NotFinite));
        }
        if chance <= 0.0 || f64::from(chance) > 1.0 + ROUNDING {
            let what = format!("id {id} has the chance {chance} in it: that is not the law which it was drawn from");
            return Err(self.argument("q", i, &what));
        }
        Ok(())
    }

    /// The law of a row, or a multiple of it where its sum is not needed.
    fn law<'r>(&self, row: Numbers<'a>, sum: Sum, place: Place<'_>, side: &'r mut Side) -> Read<Law<'r>>
    where
        'a: 'r,
    {
        if let Some(of) = side.known[place.row] {
            return Ok(Law::Dense(row, of));
        }
        if self.batch.scores.is_none() {
            check(self.path, row)?;
            side.known[place.row] = Some(Of::Chances);
            return Ok(Law::Dense(row, Of::Chances));
        }
        let Setting { sampling, .. } = self.setting;
        let limits = self.setting.limits(self.batch.vocab);
        let copied = self.setting.penalises() || limits && self.setting.scale().is_some();
        let numbers = if copied { self.penalised(row, place, side) } else { row };
        let Some(scale) = self.setting.scale() else {
            return match numbers.best(self.path) {
                Some((most, id)) if most.is_finite() => Ok(Law::One(id)),
                _ => Err(wrong(numbers.exponentials(self.path, 1.0).0)),
            };
        };
        if limits {
            let most = numbers.exponentials(self.path, scale).0;
            if !most.is_finite() {
                return Err(wrong(most));
            }
            sampling.law(self.path, &mut side.row, &mut side.order);
            return Ok(Law::Dense(Numbers::F32(&side.row), Of::Chances));
        }
        let of = match sum {
            Sum::Told(lse) => Of::Told { shift: lse * sampling.temperature, scale },
            Sum::Unneeded => match numbers.best(self.path) {
                Some((most, _)) if most.is_finite() => Of::Scores { shift: most, scale, times: 1.0 },
                _ => return Err(wrong(numbers.exponentials(self.path, 1.0).0)),
            },
            Sum::Needed => {
                let (most, sum) = numbers.exponentials(self.path, scale);
                if !most.is_finite() {
                    return Err(wrong(most));
                }
                Of::Scores { shift: most, scale, times: (1.0 / sum) as f32 }
            }
        };
        if copied {
            return Ok(Law::Dense(Numbers::F32(&side.row), of));
        }
        if sum != Sum::Unneeded {
            side.known[place.row] = Some(of);
        }
        Ok(Law::Dense(row, of))
    }

    /// A row in f32, with the penalties of its place.
    fn penalised<'r>(&self, row: Numbers<'_>, place: Place<'_>, side: &'r mut Side) -> Numbers<'r> {
        if side.row.len() != self.batch.vocab {
            side.row = Lent::zeros(self.batch.vocab);
        }
        row.widen(self.path, &mut side.row);
        if self.setting.penalises() {
            side.seen.penalise(&self.setting, place.drafts, place.position, &mut side.row);
        }
        Numbers::F32(&side.row)
    }

    /// The best id of the target at a place, of equal ones the first.
    pub(super) fn best_at(&self, place: Place<'_>, side: &mut Side) -> Result<usize> {
        let (row, i) = (self.target(place), place.position);
        let numbers = if self.setting.penalises() { self.penalised(row, place, side) } else { row };
        match numbers.best(self.path) {
            Some((most, id)) if most.is_finite() && (self.batch.scores.is_some() || most > 0.0) => Ok(id),
            Some((0.0, _)) => Err(self.error("p", i, &Wrong::Masked)),
            Some((most, _)) if most < 0.0 => Err(self.error("p", i, &Wrong::Negative(most))),
            _ => Err(self.error("p", i, &wrong(numbers.exponentials(self.path, 1.0).0))),
        }
    }

    /// Draws from a law at position `i`.
    pub(super) fn draw(&self, purpose: Purpose, i: usize, law: &Law<'_>, out: &mut [f32]) -> Result<usize> {
        let drawn = match *law {
            Law::One(id) => Some(id),
            _ => self.race_left(purpose, i, (law, 1.0), None, out)?,
        };
        drawn.ok_or_else(|| self.error("p", i, &Wrong::NotFinite))
    }

    /// The sum of what p has more than q at position `i`; p counts `times`.
    pub(super) fn surplus(&self, i: usize, times: f32, p: &Law<'_>, q: &Law<'_>, out: &mut [f32]) -> Result<f64> {
        let sum = surplus(self.path, p, times, q, out);
        // Rows that were told about are not looked through before.
        if sum.is_nan() { Err(self.not_finite("q", i)) } else { Ok(sum) }
    }

    /// Draws in the place of draft `i` of what p, which counts `times`, has more than q.
    ///
    /// A draft is rejected for having less chance in p than in q, so others have more. Where they differ by less than
    /// f32 can tell, nothing may be left; then p is drawn from, which is as near to the law as p itself.
    pub(super) fn replace(&self, i: usize, times: f32, p: &Law<'_>, q: &Law<'_>, out: &mut [f32]) -> Result<usize> {
        match self.race_left(Purpose::Resample, i, (p, times), Some(q), out)? {
            Some(id) => Ok(id),
            None => self.draw(Purpose::Resample, i, p, out),
        }
    }

    /// [`Self::replace`] of what `out` says.
    pub(super) fn replace_by(&self, i: usize, p: &Law<'_>, out: &mut [f32]) -> Result<usize> {
        match self.race(Purpose::Resample, i, out) {
            Some(id) => Ok(id),
            None => self.draw(Purpose::Resample, i, p, out),
        }
    }

    /// The id that wins the race of what p, which counts so much, has more than q; `out` is room.
    fn race_left(
        &self,
        purpose: Purpose,
        i: usize,
        (p, times): (&Law<'_>, f32),
        q: Option<&Law<'_>>,
        out: &mut [f32],
    ) -> Result<Option<usize>> {
        let less = match q {
            None => Some(Less::Nothing),
            Some(&Law::Dense(row, of)) => Some(Less::Row(row, of)),
            Some(&Law::Sparse(ids, chances)) => (ids.len() <= LIST).then_some(Less::List(ids, chances)),
            Some(&Law::One(id)) => Some(Less::One(id)),
        };
        if let (&Law::Dense(row, of), Some(less)) = (p, less) {
            let (path, stream) = (self.path, self.noise.of(purpose, self.begin));
            let (id, wrong) = race_left(path, (row, of), times, less, self.next(), (stream, self.begin + i as u64));
            return if wrong { Err(self.not_finite("q", i)) } else { Ok(id) };
        }
        p.write(self.path, times, out);
        if let Some(q) = q {
            subtract(self.path, q, out);
        }
        Ok(self.race(purpose, i, out))
    }

    /// What is read for certain after this request: the first row of the next.
    fn next(&self) -> Option<Numbers<'a>> {
        let Batch { p, vocab, width, uid, .. } = *self.batch;
        (self.request + 1 < uid.len()).then(|| p.row((self.request + 1) * (width + 1), vocab))
    }

    fn race(&self, purpose: Purpose, i: usize, chances: &[f32]) -> Option<usize> {
        race(self.path, chances, self.noise.of(purpose, self.begin), self.begin + i as u64)
    }

    /// An error about an argument, here.
    pub(super) fn argument(&self, argument: &'static str, i: usize, what: &str) -> Error {
        Error::argument(argument, format!("request {}, position {i}: {what}", self.request))
    }

    /// An error about a row that holds what is no number.
    pub(super) fn not_finite(&self, name: &'static str, i: usize) -> Error {
        self.error(name, i, &Wrong::NotFinite)
    }

    fn error(&self, name: &'static str, i: usize, wrong: &Wrong) -> Error {
        let (request, position) = (self.request, i);
        let what = match (wrong, name) {
            (Wrong::NotFinite, "p") => "a number of p is NaN or infinite; look at the target's output there",
            (Wrong::NotFinite, _) => "a number of q is NaN or infinite; look at the drafter's output there",
            (Wrong::Masked, "p") => "all ids of p are masked; leave at least one",
            (Wrong::Masked, _) => "all ids of q are masked; leave at least one",
            (Wrong::Mass(sum), _) => {
                let what = format!("chances come to {sum}, not to 1; scores need from_logits=True");
                return self.argument(name, i, &what);
            }
            (Wrong::Negative(least), _) => {
                let what = format!("{least} is no chance; scores need from_logits=True");
                return self.argument(name, i, &what);
            }
        };
        Error::NotFinite { request, position, what }
    }
}

/// Fails unless chances are a law.
fn check(path: Path, chances: Numbers<'_>) -> Read<()> {
    let (sum, least) = chances.mass(path);
    match sum {
        _ if least < 0.0 => Err(Wrong::Negative(least)),
        sum if !sum.is_finite() => Err(Wrong::NotFinite),
        0.0 => Err(Wrong::Masked),
        sum if (sum - 1.0).abs() > ROUNDING => Err(Wrong::Mass(sum)),
        _ => Ok(()),
    }
}
