//! Steps for the rows that have a gradient; the others stand still, and cost nothing.

use thrifty_base::math::{adam, axpy, dot};
use thrifty_base::pages::Floats;
use thrifty_base::prefetch::prefetch;
use thrifty_base::progress::Progress;
use thrifty_base::simd::{self, Path};

use crate::backward::{Batch, Room, Sorted, Terms};
use crate::field::Field;
use crate::parallel::each;
use crate::table::PairTable;
use crate::{Error, Result};

/// Rows whose gradients are summed before they are updated, while memory brings them.
const BATCH: usize = 32;
/// Rows of a task where gradients are given.
const PART: usize = 2048;

/// How a gradient changes a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// `row -= rate * gradient`.
    Sgd,
    /// The row's mean square of gradients is added to its one accumulator; `row -= rate * gradient / (sqrt(that) +
    /// epsilon)`.
    RowAdagrad {
        /// Added to the root.
        epsilon: f32,
    },
    /// Adam whose moments change with the row alone, and whose corrections count all steps: torch.optim.SparseAdam's.
    LazyAdam {
        /// Decay of the mean of gradients.
        beta1: f32,
        /// Decay of the mean of their squares.
        beta2: f32,
        /// Added to the root of the latter.
        epsilon: f32,
    },
}

/// One step of a rule.
#[derive(Clone, Copy, Debug)]
enum Step {
    Sgd { rate: f32 },
    RowAdagrad { rate: f32, epsilon: f32 },
    LazyAdam(adam::Step),
}

impl Rule {
    /// Refuses settings that can not be.
    pub fn check(self) -> Result<()> {
        let above = |name, x: f32| {
            if x >= 0.0 && x.is_finite() {
                return Ok(());
            }
            Err(Error::argument(name, format!("{x} is not a number of at least 0")))
        };
        let decay = |x: f32| {
            if (0.0..1.0).contains(&x) {
                return Ok(());
            }
            Err(Error::argument("betas", format!("{x} is not at least 0 and below 1")))
        };
        match self {
            Self::Sgd => Ok(()),
            Self::RowAdagrad { epsilon } => above("eps", epsilon),
            Self::LazyAdam { beta1, beta2, epsilon } => {
                decay(beta1).and_then(|()| decay(beta2)).and_then(|()| above("eps", epsilon))
            }
        }
    }

    /// Numbers that it remembers of a row of `length`.
    pub fn memory(self, length: usize) -> usize {
        match self {
            Self::Sgd => 0,
            Self::RowAdagrad { .. } => 1,
            Self::LazyAdam { .. } => 2 * length,
        }
    }

    /// The step with this number, from 1.
    fn step(self, rate: f32, number: u64) -> Result<Step> {
        if !(rate.is_finite() && rate >= 0.0) {
            return Err(Error::argument("lr", format!("{rate} is not a number of at least 0")));
        }
        Ok(match self {
            Self::Sgd => Step::Sgd { rate },
            Self::RowAdagrad { epsilon } => Step::RowAdagrad { rate, epsilon },
            Self::LazyAdam { beta1, beta2, epsilon } => {
                Step::LazyAdam(adam::Step::new(rate, beta1, beta2, epsilon, number))
            }
        })
    }
}

/// Some neighbouring rows that one task updates, and what is remembered of them.
struct Owned<'a> {
    numbers: &'a mut [f32],
    values: Memory<'a>,
    logits: Option<Memory<'a>>,
    /// The first of them.
    first: usize,
}

/// What is remembered of numbers of each row.
struct Memory<'a> {
    field: Field,
    numbers: &'a mut [f32],
    /// Numbers remembered of a row.
    each: usize,
}

impl<'a> Memory<'a> {
    fn split(self, rows: usize) -> (Self, Self) {
        let Self { field, numbers, each } = self;
        let (a, b) = numbers.split_at_mut(rows * each);
        (Self { field, numbers: a, each }, Self { field, numbers: b, each })
    }

    /// Updates `rows`, whose gradients lie close; `starts` and `places` are room.
    fn update(
        &mut self,
        path: Path,
        step: Step,
        numbers: &mut [f32],
        rows: &[usize],
        gradients: &[f32],
        starts: &mut Vec<usize>,
        places: &mut Vec<usize>,
    ) {
        let Self { field, each, .. } = *self;
        let Field { length, .. } = field;
        starts.clear();
        starts.extend(rows.iter().map(|&row| field.start(row)));
        let pairs = starts.iter().zip(gradients.chunks_exact(length));
        match step {
            Step::Sgd { rate } => pairs.for_each(|(&at, g)| axpy(path, -rate, g, &mut numbers[at..at + length])),
            Step::RowAdagrad { rate, epsilon } => {
                for ((&at, g), &row) in pairs.zip(rows) {
                    let sum = &mut self.numbers[row];
                    *sum += dot(path, g, g) / length as f32;
                    axpy(path, -rate / (sum.sqrt() + epsilon), g, &mut numbers[at..at + length]);
                }
            }
            Step::LazyAdam(step) => {
                places.clear();
                places.extend(rows.iter().map(|&row| row * each));
                let updated = adam::Updated { weights: numbers, moments: self.numbers, places, length };
                adam::update(path, step, updated, starts, gradients, length);
            }
        }
    }
}

/// Room of a task.
#[derive(Default)]
struct Local {
    terms: Terms,
    rows: Vec<usize>,
    values: Vec<f32>,
    logits: Vec<f32>,
    starts: Vec<usize>,
    places: Vec<usize>,
}

impl<'a> Owned<'a> {
    /// The rows up to `end`, and the rest.
    fn split(self, end: usize) -> (Self, Self) {
        let Self { numbers, values, logits, first } = self;
        let rows = end - first;
        let (a, b) = numbers.split_at_mut(rows * values.field.stride);
        let (c, d) = values.split(rows);
        let (e, f) = logits.map(|logits| logits.split(rows)).unzip();
        let begin = Self { numbers: a, values: c, logits: e, first };
        (begin, Self { numbers: b, values: d, logits: f, first: end })
    }

    /// Asks memory for a row, counted as this counts them.
    fn prefetch(&self, row: usize) {
        let Memory { field, numbers, each } = &self.values;
        let (at, place) = (field.start(row), row * each);
        prefetch(&self.numbers[at..at + field.length]);
        prefetch(&numbers[place..place + each]);
    }

    /// Updates `rows`, counted as this counts them, by gradients that lie close.
    fn update(&mut self, path: Path, step: Step, values: &[f32], logits: &[f32], rows: &[usize], room: Places<'_>) {
        let Places { starts, places } = room;
        self.values.update(path, step, self.numbers, rows, values, starts, places);
        if let Some(memory) = &mut self.logits {
            memory.update(path, step, self.numbers, rows, logits, starts, places);
        }
    }
}

impl Owned<'_> {
    /// Updates `rows`, counted over all rows, by gradients that were computed before.
    fn apply(&mut self, path: Path, step: Step, rows: &[u64], values: &[f32], logits: &[f32], local: &mut Local) {
        let Local { rows: here, starts, places, .. } = local;
        here.clear();
        here.extend(rows.iter().map(|&row| row as usize - self.first));
        let length = self.values.field.length;
        let mut logits = logits.chunks(BATCH);
        for (i, values) in values.chunks(BATCH * length).enumerate() {
            let now = &here[i * BATCH..][..values.len() / length];
            // Memory brings the next rows while these are updated.
            here[i * BATCH + now.len()..].iter().take(BATCH).for_each(|&row| self.prefetch(row));
            let logits = logits.next().unwrap_or_default();
            self.update(path, step, values, logits, now, Places { starts, places });
        }
    }
}

/// Room for where things begin.
struct Places<'a> {
    starts: &'a mut Vec<usize>,
    places: &'a mut Vec<usize>,
}

/// A rule, and what it remembers of the rows of a table.
#[derive(Debug)]
pub struct Optimizer {
    rule: Rule,
    values: Floats,
    logits: Floats,
    steps: u64,
    room: Room,
}

impl Optimizer {
    /// For the rows of a table, none of which had a gradient yet. Memory is taken where it is written to.
    pub fn new(rule: Rule, table: &PairTable) -> Result<Self> {
        rule.check()?;
        let (_, values, logits) = table.fields()?;
        let rows = table.spec().rows * table.spec().heads;
        let zeros = |length: usize| Floats::zeros(rows * rule.memory(length));
        let logits = logits.map_or(Ok(Floats::zeros(0)?), |field| zeros(field.length))?;
        Ok(Self { rule, values: zeros(values.length)?, logits, steps: 0, room: Room::default() })
    }

    /// The rule.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// How many steps there were, and what is remembered of values and logits, row by row.
    pub fn state(&self) -> (u64, &[f32], &[f32]) {
        (self.steps, &self.values, &self.logits)
    }

    /// Goes on from a state.
    pub fn load(&mut self, steps: u64, values: &[f32], logits: &[f32]) -> Result<()> {
        for (name, there, here) in [("values", values, &self.values), ("logits", logits, &self.logits)] {
            if there.len() != here.len() {
                let what = format!("the state has {} numbers of {name}, this table needs {}", there.len(), here.len());
                return Err(Error::argument("state", what));
            }
        }
        self.values.copy_from_slice(values);
        self.logits.copy_from_slice(logits);
        self.steps = steps;
        Ok(())
    }

    /// Gradients of a batch, and the step of its rows, in one pass over them. Returns the gradient of its weights.
    ///
    /// What is wrong is found before a row changes; a step that is stopped has changed some.
    pub fn step(
        &mut self,
        table: &mut PairTable,
        batch: Batch<'_>,
        rate: f32,
        threads: usize,
        progress: &Progress,
    ) -> Result<Option<Vec<f32>>> {
        self.fits(table)?;
        let (step, path) = (self.rule.step(rate, self.steps + 1)?, simd::path()?);
        let (spec, hash) = (*table.spec(), table.hash().clone());
        let (sorted, of_weights) = {
            let rows = table.rows_f32()?;
            Sorted::of(&spec, &hash, rows, batch, threads, progress, &mut self.room)?
        };
        self.steps += 1;
        let mut rest = owned(self.rule, table, &mut self.values, &mut self.logits)?;
        let mut tasks = Vec::new();
        for part in sorted.parts() {
            let (begin, end) = rest.split(part.end(&spec));
            tasks.push((part, begin));
            rest = end;
        }
        each(threads, tasks, |local: &mut Local, (part, mut owned)| {
            let Local { terms, rows, values, logits, starts, places } = local;
            values.resize(BATCH * spec.head_dim, 0.0);
            logits.resize(BATCH, 0.0);
            let mut runs = sorted.runs(part);
            loop {
                rows.clear();
                for (i, (row, run)) in runs.by_ref().take(BATCH).enumerate() {
                    rows.push(row - owned.first);
                    owned.prefetch(rows[i]);
                    logits[i] = sorted.sum(run, terms, &mut values[i * spec.head_dim..(i + 1) * spec.head_dim]);
                }
                if rows.is_empty() {
                    break;
                }
                owned.update(path, step, values, logits, rows, Places { starts, places });
            }
            Ok(progress.advance(part.pairs())?)
        })?;
        Ok(of_weights)
    }

    /// A step by gradients of rows, ascending and none twice: those of [`backward`](crate::backward::backward).
    pub fn apply(
        &mut self,
        table: &mut PairTable,
        rows: &[u64],
        values: &[f32],
        logits: &[f32],
        rate: f32,
        threads: usize,
        progress: &Progress,
    ) -> Result<()> {
        self.fits(table)?;
        let (step, path) = (self.rule.step(rate, self.steps + 1)?, simd::path()?);
        let (spec, dim) = (*table.spec(), table.spec().head_dim);
        check_rows(rows, spec.rows * spec.heads)?;
        let has_logits = !self.logits.is_empty() || table.fields()?.2.is_some();
        for (name, length, needed) in [
            ("grads", values.len(), rows.len() * dim),
            ("logit_grads", logits.len(), if has_logits { rows.len() } else { 0 }),
        ] {
            if length != needed {
                return Err(Error::argument(name, format!("{length} numbers; {needed} are needed")));
            }
        }
        self.steps += 1;
        let mut rest = owned(self.rule, table, &mut self.values, &mut self.logits)?;
        let mut tasks = Vec::new();
        for (i, rows) in rows.chunks(PART).enumerate() {
            let (begin, end) = rest.split(rows[rows.len() - 1] as usize + 1);
            tasks.push((i * PART, rows, begin));
            rest = end;
        }
        progress.start("update", rows.len() as u64)?;
        each(threads, tasks, |local: &mut Local, (first, rows, mut owned)| {
            let logits = if has_logits { &logits[first..first + rows.len()] } else { &[] };
            owned.apply(path, step, rows, &values[first * dim..(first + rows.len()) * dim], logits, local);
            Ok(progress.advance(rows.len() as u64)?)
        })
    }

    fn fits(&self, table: &PairTable) -> Result<()> {
        let (_, values, logits) = table.fields()?;
        let rows = table.spec().rows * table.spec().heads;
        let needed = |length| rows * self.rule.memory(length);
        if needed(values.length) == self.values.len() && logits.map_or(0, |f| needed(f.length)) == self.logits.len() {
            return Ok(());
        }
        Err(Error::argument("table", "it is of another size than the one that this optimiser was made for"))
    }
}

/// All rows of a table.
fn owned<'a>(rule: Rule, table: &'a mut PairTable, values: &'a mut [f32], logits: &'a mut [f32]) -> Result<Owned<'a>> {
    let (_, field, of_logits) = table.fields()?;
    let numbers = table.numbers_mut()?;
    let logits = of_logits.map(|field| Memory { field, numbers: logits, each: rule.memory(field.length) });
    let values = Memory { field, numbers: values, each: rule.memory(field.length) };
    Ok(Owned { numbers, values, logits, first: 0 })
}

/// Refuses rows that are not there, or not in order.
fn check_rows(rows: &[u64], total: usize) -> Result<()> {
    if let Some(at) = (1..rows.len()).find(|&i| rows[i - 1] >= rows[i]) {
        let what = format!("{} at {at} after {}; rows ascend, none twice", rows[at], rows[at - 1]);
        return Err(Error::argument("rows", what));
    }
    match rows.last() {
        Some(&last) if last >= total as u64 => {
            Err(Error::argument("rows", format!("{last} is not below the table's {total} rows")))
        }
        _ => Ok(()),
    }
}

/// A step of rows of `length` numbers that lie close, wherever their owner has them; `memory` has what the rule
/// remembers of each.
pub fn update(
    rule: Rule,
    rate: f32,
    number: u64,
    numbers: &mut [f32],
    length: usize,
    memory: &mut [f32],
    rows: &[u64],
    gradients: &[f32],
    threads: usize,
    progress: &Progress,
) -> Result<()> {
    rule.check()?;
    let (step, path, each_row) = (rule.step(rate, number)?, simd::path()?, rule.memory(length));
    let total = numbers.len().checked_div(length).unwrap_or(0);
    check_rows(rows, total)?;
    if memory.len() != total * each_row || gradients.len() != rows.len() * length || numbers.len() != total * length {
        let what = format!(
            "{} numbers, {} of state and {} of gradients are not those of {total} rows of {length}, {} of which change",
            numbers.len(),
            memory.len(),
            gradients.len(),
            rows.len()
        );
        return Err(Error::argument("grads", what));
    }
    let memory = Memory { field: Field::close(length), numbers: memory, each: each_row };
    let mut rest = Owned { numbers, values: memory, logits: None, first: 0 };
    let mut tasks = Vec::new();
    for (rows, gradients) in rows.chunks(PART).zip(gradients.chunks(PART * length)) {
        let (begin, end) = rest.split(rows[rows.len() - 1] as usize + 1);
        tasks.push((rows, gradients, begin));
        rest = end;
    }
    progress.start("update", rows.len() as u64)?;
    each(threads, tasks, |local: &mut Local, (rows, gradients, mut owned)| {
        owned.apply(path, step, rows, gradients, &[], local);
        Ok(progress.advance(rows.len() as u64)?)
    })
}
