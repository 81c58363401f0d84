//! The state of an unfinished build, in one file `INDEX.build` that is replaced whole.
//!
//! Filters only ever gain bits, and every bit they gain belongs to the finished index, so documents that were inserted
//! after the last checkpoint are simply inserted again.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use thrifty_base::container::{Container, Kind, Spec, Target, Writer};
use thrifty_base::files::with_suffix;
use thrifty_base::memory::Mode;
use thrifty_base::progress::Progress;

use super::{Counted, Options, Shape};
use crate::filters::{Filters, LockedFilters};
use crate::input::{By, Input};
use crate::items::Items;
use crate::plan::Plan;
use crate::{Error, Result};

const KIND: Kind = Kind { name: "rambobld", version: 1 };
/// Between two checkpoints, work takes so many times as long as saving.
const COST: u32 = 20;

/// What a build was started with. A build goes on only with the same.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Command {
    items: Items,
    by: By,
    fpr: Option<f64>,
    max_bytes: Option<u64>,
    seed: u64,
    nodes: u32,
    node: Option<u32>,
    plan: Option<Plan>,
    /// Path, name, bytes and time of last change of each input.
    inputs: Vec<(PathBuf, String, u64, u128)>,
}

impl Command {
    fn new(inputs: &[Input], options: &Options) -> Self {
        let (fpr, max_bytes, seed, nodes, plan) = match &options.shape {
            Shape::Counted(w) => (Some(w.fpr), w.max_bytes, w.seed, w.nodes, None),
            Shape::Planned(p) => (None, None, p.seed, p.nodes, Some(p.clone())),
        };
        let describe = |i: &Input| {
            let meta = std::fs::metadata(&i.path).ok();
            let changed = meta.as_ref().and_then(|m| m.modified().ok());
            let since = changed.and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok()).unwrap_or_default();
            (i.path.clone(), i.name.clone(), i.length(), since.as_nanos())
        };
        Self {
            items: options.reading.items,
            by: options.reading.by,
            fpr,
            max_bytes,
            seed,
            nodes,
            node: options.node,
            plan,
            inputs: inputs.iter().map(describe).collect(),
        }
    }

    /// The first thing that differs, in words.
    fn difference(&self, now: &Self) -> Option<String> {
        let differs = |what: &str, a: &dyn std::fmt::Debug, b: &dyn std::fmt::Debug| {
            let (a, b) = (format!("{a:?}"), format!("{b:?}"));
            (a != b).then(|| format!("an unfinished build with another {what} is there (then {a}, now {b})"))
        };
        differs("kind of items", &self.items, &now.items)
            .or_else(|| differs("meaning of a document (--by)", &self.by, &now.by))
            .or_else(|| differs("rate (--fpr)", &self.fpr, &now.fpr))
            .or_else(|| differs("size limit (--max-bytes)", &self.max_bytes, &now.max_bytes))
            .or_else(|| differs("seed", &self.seed, &now.seed))
            .or_else(|| differs("shard", &(self.node, self.nodes), &(now.node, now.nodes)))
            .or_else(|| (self.plan != now.plan).then(|| "an unfinished build with another plan is there".to_owned()))
            .or_else(|| differs("number of inputs", &self.inputs.len(), &now.inputs.len()))
            .or_else(|| {
                let (a, b) = self.inputs.iter().zip(&now.inputs).find(|(a, b)| a != b)?;
                let what = if a.0 == b.0 { "changed since" } else { "stands in the place of another" };
                Some(format!("an unfinished build is there and the input {} {what}", b.0.display()))
            })
    }
}

#[derive(Serialize, Deserialize)]
struct State {
    command: Command,
    complete: bool,
    inserted: u64,
    skipped_windows: u64,
    sample_shift: u32,
}

/// Saves and restores the state of a build.
pub(super) struct Checkpoint {
    path: PathBuf,
    command: Command,
    every: Duration,
    last: Instant,
    cost: Duration,
    found: Option<(State, Container)>,
}

impl Checkpoint {
    /// Looks for the state that an earlier run of the same command left.
    pub(super) fn open(index: &Path, inputs: &[Input], options: &Options) -> Result<Self> {
        let path = with_suffix(index, ".build");
        let command = Command::new(inputs, options);
        let found = match path.try_exists() {
            Ok(true) => Some(read(&path, &command)?),
            _ => None,
        };
        Ok(Self {
            path,
            command,
            every: Duration::try_from_secs_f64(options.checkpoint_seconds).map_err(|e| {
                Error::argument("checkpoint", format!("{} seconds are not possible: {e}", options.checkpoint_seconds))
            })?,
            last: Instant::now(),
            cost: Duration::ZERO,
            found,
        })
    }

    /// What was counted before.
    pub(super) fn take_counted(&self) -> Counted {
        let Some((state, container)) = &self.found else { return Counted::default() };
        counted(state, container).unwrap_or_default()
    }

    /// How many documents were inserted before.
    pub(super) fn inserted(&self) -> u64 {
        self.found.as_ref().map_or(0, |f| f.0.inserted)
    }

    /// Puts back the filters as they were saved.
    pub(super) fn restore(&mut self, filters: &mut Filters) -> Result<()> {
        let Some((state, container)) = self.found.take() else { return Ok(()) };
        if state.inserted == 0 {
            return Ok(());
        }
        for (i, bytes) in filters.bytes_mut().enumerate() {
            let saved = container.section(&format!("filters.{i}"))?;
            if saved.len() != bytes.len() {
                return Err(container.bad(&format!("filters.{i}"), "does not fit the plan").into());
            }
            bytes.copy_from_slice(saved);
        }
        Ok(())
    }

    /// Saves the state when enough time has passed since the last time.
    pub(super) fn save(&mut self, counted: &Counted, inserted: u64, filters: Option<&LockedFilters<'_>>) -> Result<()> {
        // Zero asks for every chance, whatever it costs.
        if !self.every.is_zero() && self.last.elapsed() < self.every.max(COST * self.cost) {
            return Ok(());
        }
        let started = Instant::now();
        let state = State {
            command: Command { inputs: self.command.inputs.clone(), plan: self.command.plan.clone(), ..self.command },
            complete: counted.complete,
            inserted,
            skipped_windows: counted.skipped_windows,
            sample_shift: counted.samples.shift(),
        };
        let state = serde_json::to_vec(&state).expect("state has only plain fields");
        let names = serde_json::to_vec(&counted.listed()).expect("names are strings");
        let samples: Vec<&[u64]> = (0..counted.names.len()).map(|d| counted.samples.document(d)).collect();
        let ends: Vec<u64> = samples
            .iter()
            .scan(0, |end, s| {
                *end += s.len() as u64;
                Some(*end)
            })
            .collect();
        let lengths = filters.map(LockedFilters::lengths).unwrap_or_default();
        let mut specs = vec![
            Spec::small("state", state.len()),
            Spec::small("names", names.len()),
            Spec::small("counts", 8 * counted.counts.len()),
            Spec::small("sample.ends", 8 * ends.len()),
            Spec::small("sample", 8 * ends.last().map_or(0, |&e| e as usize)),
        ];
        specs.extend(lengths.iter().enumerate().map(|(i, &l)| Spec::bulk(format!("filters.{i}"), l)));
        let mut writer = Writer::create(&Target::File(self.path.clone()), KIND, &specs)?;
        writer.write(&state)?;
        writer.write(&names)?;
        writer.write(bytemuck::cast_slice(&counted.counts))?;
        writer.write(bytemuck::cast_slice(&ends))?;
        for sample in samples {
            writer.write(bytemuck::cast_slice(sample))?;
        }
        if let Some(filters) = filters {
            filters.for_each_bucket(|bytes| Ok(writer.write(bytes)?))?;
        }
        writer.finish(Mode::Map)?;
        self.last = Instant::now();
        self.cost = started.elapsed();
        Ok(())
    }

    /// The build is complete: takes away the state, and what a kill left of one that was being written.
    pub(super) fn remove(self) -> Result<()> {
        drop(self.found);
        for path in [with_suffix(&self.path, ".partial"), self.path] {
            match std::fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(thrifty_base::Error::io(&path, "removing")(e).into());
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn read(path: &Path, command: &Command) -> Result<(State, Container)> {
    let unusable = |what: String| Error::Resume { file: path.to_owned(), what };
    let container = Container::open(path, KIND, Mode::Map).map_err(|e| unusable(e.to_string()))?;
    let damage = container.verify(&Progress::new())?;
    if let Some(d) = damage.first() {
        return Err(unusable(format!("the unfinished build is damaged (section {}, offset {})", d.section, d.offset)));
    }
    let state: State = serde_json::from_slice(container.section("state")?)
        .map_err(|e| unusable(format!("not the state of a build: {e}")))?;
    if let Some(what) = state.command.difference(command) {
        return Err(unusable(what));
    }
    if counted(&state, &container).is_none() {
        return Err(unusable("the unfinished build is damaged".into()));
    }
    Ok((state, container))
}

fn counted(state: &State, container: &Container) -> Option<Counted> {
    let listed: Vec<(String, String)> = serde_json::from_slice(container.section("names").ok()?).ok()?;
    let counts = container.numbers::<u64>("counts", listed.len()).ok()?;
    let ends = container.numbers::<u64>("sample.ends", listed.len()).ok()?;
    let sample = container.section("sample").ok()?;
    let sample = container.numbers::<u64>("sample", sample.len() / 8).ok()?;
    let mut out = Counted::default();
    out.samples.start_at(state.sample_shift);
    let mut from = 0;
    for (((name, origin), &items), &end) in listed.into_iter().zip(counts).zip(ends) {
        let own = sample.get(from..end as usize)?.to_vec();
        from = end as usize;
        out.push(name, origin, items, own, 0);
    }
    out.skipped_windows = state.skipped_windows;
    out.complete = state.complete;
    Some(out)
}
