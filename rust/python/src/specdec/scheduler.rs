//! `SpecScheduler`.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use thrifty_base::draft::Hopes;
use thrifty_base::noise::Purpose;
use thrifty_base::progress::Progress;
use thrifty_base::sampling::Sampling;
use thrifty_specdec::request::{Handle, State, Submission};
use thrifty_specdec::scheduler::{Scheduler, Settings};
use thrifty_specdec::sequences::Sequences;
use thrifty_specdec::verify::Rule;

use crate::array::{Floats, filled_flat, matrix, vector, window};
use crate::error::IntoPyErr;
use crate::interrupt::long_call;
use crate::pairconnect::{Ids, PairDraft, PairLm};
use crate::specdec::drafts::SpecDraft;
use crate::specdec::draw::{Drawn, draw_rows};
use crate::specdec::feed::{Fed, Rows, SpecFeed};
use crate::specdec::held::{Held, as_arrays};
use crate::specdec::latency::{Curve, policy};
use crate::specdec::proposals::{Proposed, ProposedTrees, chains, children_of, observe, proposed, trees};
use crate::specdec::requests::{Each, submit_all};
use crate::specdec::settle::{Room, looks_at_laws, settle};
use crate::specdec::sizes::{Sizes, settings};
use crate::specdec::verify::rule as rule_of;
use crate::specdec::whole::{Part, draft_by, whole_step};

/// Up to so many positions, tens of milliseconds, scores are no long call.
const SHORT: usize = 1 << 10;

/// Requests, blocks and plans; use `thrifty.specdec.Engine`.
#[pyclass(module = "thrifty._core")]
pub(crate) struct SpecScheduler {
    pub(super) inner: Scheduler,
    /// One for each drafter.
    sequences: Vec<Sequences>,
    /// Drafters that know what they have before they are asked, by their numbers.
    ready: Vec<(u8, Py<SpecDraft>)>,
    pub(super) room: Room,
    pub(super) held: Held,
    pub(super) rule: Rule,
    pub(super) seed: u64,
    /// What can be asked without Python between.
    pub(super) target: Option<Fed>,
    pub(super) drafters: Vec<Part>,
}

/// Number, rows, those that give ids, tokens, the largest gamma, and the one drafter that is asked, or -1.
pub(super) type Plan = (u64, usize, usize, usize, u8, i32);

impl SpecScheduler {
    /// The random numbers that drafts are drawn by.
    pub(super) fn random(&self) -> (u64, Purpose) {
        (self.seed, if self.rule == Rule::SeedExact { Purpose::Shared } else { Purpose::Draft })
    }
}

#[pymethods]
impl SpecScheduler {
    #[new]
    #[pyo3(signature = (sizes, vocab, share_prefixes, gamma, curves, alphas, drafters, rule, seed))]
    fn new(
        py: Python<'_>,
        sizes: Sizes,
        vocab: u32,
        share_prefixes: bool,
        gamma: u8,
        curves: Vec<Curve>,
        alphas: Vec<f32>,
        drafters: usize,
        rule: &str,
        seed: u64,
    ) -> PyResult<Self> {
        let settings = settings(sizes, vocab, share_prefixes);
        let policy = policy(gamma, curves, &alphas, settings.max_gamma).map_err(|e| e.into_py_err(py))?;
        let inner = Scheduler::new(settings, policy).map_err(|e| e.into_py_err(py))?;
        Ok(Self {
            inner,
            sequences: vec![Sequences::default(); drafters],
            ready: Vec::new(),
            room: Room::default(),
            held: Held::default(),
            rule: rule_of(rule)?,
            seed,
            target: None,
            drafters: Vec::new(),
        })
    }

    /// The arrays that plans are written to, by name; and the block table.
    fn arrays<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyDict>> {
        let py = slf.py();
        let found = PyDict::new(py);
        let owner = slf.clone().into_any();
        let this = slf.borrow();
        let Settings { max_running, token_budget, .. } = *this.inner.settings();
        let (rows, tokens) = (max_running as usize, token_budget as usize);
        let step = this.inner.step();
        found.set_item("handles", window(&owner, &step.handles, &[rows])?)?;
        found.set_item("uids", window(&owner, &step.uids, &[rows])?)?;
        found.set_item("begin", window(&owner, &step.begin, &[rows])?)?;
        found.set_item("fresh", window(&owner, &step.fresh, &[rows])?)?;
        found.set_item("gamma", window(&owner, &step.gamma, &[rows])?)?;
        found.set_item("draft", window(&owner, &step.draft, &[rows])?)?;
        found.set_item("table_row", window(&owner, &step.table_row, &[rows])?)?;
        found.set_item("first", window(&owner, &step.first, &[rows + 1])?)?;
        found.set_item("tokens", window(&owner, &step.tokens, &[tokens])?)?;
        found.set_item("positions", window(&owner, &step.positions, &[tokens])?)?;
        found.set_item("places", window(&owner, &step.places, &[tokens])?)?;
        found.set_item("temperature", window(&owner, &step.temperature, &[rows])?)?;
        found.set_item("top_k", window(&owner, &step.top_k, &[rows])?)?;
        found.set_item("top_p", window(&owner, &step.top_p, &[rows])?)?;
        found.set_item("min_p", window(&owner, &step.min_p, &[rows])?)?;
        found.set_item("table", window(&owner, this.inner.table(), &[rows, this.inner.stride()])?)?;
        Ok(found)
    }

    /// A new request; returns its handle.
    #[pyo3(signature = (prompt, max_new, stop, law, uid, priority, max_gamma, class_, salt, tbt_ms, /))]
    fn submit(
        &mut self,
        py: Python<'_>,
        prompt: &Bound<'_, PyAny>,
        max_new: usize,
        stop: Vec<u32>,
        law: (f32, usize, f32, f32),
        uid: u64,
        priority: i32,
        max_gamma: u8,
        class_: u32,
        salt: u64,
        tbt_ms: Option<f64>,
    ) -> PyResult<u64> {
        let prompt = Ids::any(prompt)?;
        let (temperature, top_k, top_p, min_p) = law;
        let wanted = Submission {
            prompt: prompt.as_slice()?,
            max_new,
            stop: &stop,
            sampling: Sampling { temperature, top_k, top_p, min_p },
            uid,
            priority,
            max_gamma,
            class: class_,
            salt,
            tbt_ms,
        };
        Ok(self.inner.submit(&wanted).map_err(|e| e.into_py_err(py))?.0)
    }

    /// Many requests of one law: prompts one after the other, which end at `ends`; returns their handles.
    #[pyo3(signature = (prompts, ends, max_new, stop, law, uids, priority, max_gamma, class_, salt, tbt_ms, /))]
    fn submit_many<'py>(
        &mut self,
        py: Python<'py>,
        prompts: &Bound<'py, PyAny>,
        ends: &Bound<'py, PyAny>,
        max_new: usize,
        stop: Vec<u32>,
        law: (f32, usize, f32, f32),
        uids: &Bound<'py, PyAny>,
        priority: i32,
        max_gamma: &Bound<'py, PyAny>,
        class_: u32,
        salt: u64,
        tbt_ms: Option<f64>,
    ) -> PyResult<Bound<'py, PyArray1<u64>>> {
        let prompts = Ids::any(prompts)?;
        let each = Each { ends, uids, max_gamma };
        let (temperature, top_k, top_p, min_p) = law;
        let wanted = Submission {
            prompt: prompts.as_slice()?,
            max_new,
            stop: &stop,
            sampling: Sampling { temperature, top_k, top_p, min_p },
            uid: 0,
            priority,
            max_gamma: 0,
            class: class_,
            salt,
            tbt_ms,
        };
        Ok(submit_all(py, &mut self.inner, &wanted, &each)?.into_pyarray(py))
    }

    /// What became of all that have ended: handles, ids, where each one's end, and why there are no more.
    #[allow(clippy::type_complexity)]
    fn take_all<'py>(
        &mut self,
        py: Python<'py>,
    ) -> (Bound<'py, PyArray1<u64>>, Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<i64>>, Vec<&'static str>) {
        let (mut handles, mut ids, mut ends, mut why) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        self.inner.take_all(|handle, outcome| {
            handles.push(handle.0);
            ids.extend_from_slice(&outcome.tokens);
            ends.push(ids.len() as i64);
            why.push(outcome.end.name());
        });
        (handles.into_pyarray(py), ids.into_pyarray(py), ends.into_pyarray(py), why)
    }

    /// Drafter `which` is this one: before each plan it says what it has.
    fn attach(&mut self, which: u8, drafter: Py<SpecDraft>) {
        self.ready.push((which, drafter));
    }

    /// Plans a step: its number, rows, those that give ids, tokens, the largest gamma, and the one drafter that is asked,
    /// -1 where there is none or several are.
    pub(super) fn plan(&mut self, py: Python<'_>, speculate: bool) -> PyResult<Plan> {
        let Self { inner, sequences, ready, .. } = self;
        for (which, drafter) in ready.iter().filter(|_| speculate) {
            let mut drafter = drafter.borrow_mut(py);
            let sequences = &mut sequences[usize::from(*which)];
            sequences.offer(inner, *which, drafter.core()).map_err(|e| e.into_py_err(py))?;
        }
        let step = inner.plan(speculate).map_err(|e| e.into_py_err(py))?;
        let (gamma, which) = step.asks();
        Ok((step.number, step.rows(), step.giving, step.tokens.len(), gamma, which.map_or(-1, i32::from)))
    }

    /// Asks a drafter for what the plan in flight wants of it: ids (row after row, as many as the largest gamma), and the
    /// laws that they were drawn from.
    fn propose<'py>(&mut self, py: Python<'py>, which: u8, drafter: &Bound<'py, PyAny>) -> PyResult<Proposed<'py>> {
        let (random, laws) = (self.random(), looks_at_laws(self.rule));
        let Self { inner, sequences, .. } = self;
        chains(py, inner, sequences, which, drafter, random, laws)
    }

    /// [`Self::propose`] into the tokens of plan `number`, where one drafter is asked: what else there is to know of the
    /// drafts is held until they are settled. Returns how many tokens are left, and the largest gamma.
    pub(super) fn hold(
        &mut self,
        py: Python<'_>,
        number: u64,
        which: u8,
        drafter: &Bound<'_, PyAny>,
    ) -> PyResult<(usize, u8)> {
        let (random, laws) = (self.random(), looks_at_laws(self.rule));
        let Self { inner, sequences, held, .. } = self;
        let drafts = held.lists();
        proposed(py, inner, sequences, which, drafter, random, laws, drafts)?;
        inner.fill(number, &drafts.ids, None, drafts.width).map_err(|e| e.into_py_err(py))?;
        let left = inner.step().asks().0;
        drafts.narrow(usize::from(left));
        Ok((inner.step().tokens.len(), left))
    }

    /// Drafts for rows of the plan in flight, all that give ids where none are named, with a model that is fed, into its
    /// tokens. What else there is to know of the drafts is held until they are settled.
    #[pyo3(signature = (by, rows))]
    fn draft_by(slf: &Bound<'_, Self>, by: Fed, rows: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let rows = Rows::new(rows)?.of(slf.try_borrow()?.inner.step().giving)?;
        draft_by(slf, &by, rows.into_iter())
    }

    /// Says what can be asked without Python between: of the target, and of each drafter.
    fn parts(&mut self, target: Option<Fed>, drafters: Vec<Part>) {
        (self.target, self.drafters) = (target, drafters);
    }

    /// Plans a step and does it, where all that it asks of is of [`Self::parts`] and it is short; else returns the plan. A
    /// plan of which something fails is taken back.
    fn step(slf: &Bound<'_, Self>) -> PyResult<Option<Plan>> {
        whole_step(slf)
    }

    /// The drafts that are held, as arrays: ids of all rows that give ids; and the laws that they were drawn from as lists, or
    /// as rows.
    fn held<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyArray2<i64>>, Bound<'py, PyAny>)> {
        as_arrays(py, self.inner.step(), &self.held)
    }

    /// What a model is fed from.
    fn feed(&self) -> SpecFeed {
        let Settings { max_running, max_length, .. } = *self.inner.settings();
        SpecFeed::new(max_running as usize, max_length as usize)
    }

    /// Asks a drafter for trees: ids and parents, `width` places a row, and laws, `width + 1` a row: that of the root's
    /// children, and of those of each node.
    fn propose_trees<'py>(
        &mut self,
        py: Python<'py>,
        which: u8,
        drafter: &mut PairDraft,
        seed: u64,
        children: &str,
        hopes: (f32, f32),
        laws: bool,
    ) -> PyResult<ProposedTrees<'py>> {
        let Self { inner, sequences, .. } = self;
        let growth = (seed, children_of(children)?, Hopes { first: hopes.0, sibling: hopes.1 });
        trees(py, inner, sequences, which, drafter, growth, laws)
    }

    /// Draws draft number `depth` of some rows of the plan in flight from a drafter's scores: ids, and the laws.
    fn draw<'py>(
        &self,
        py: Python<'py>,
        rows: &Bound<'py, PyAny>,
        scores: PyReadonlyArray2<'py, f32>,
        depth: u64,
    ) -> PyResult<Drawn<'py>> {
        let rows = vector::<i64>(rows, "rows", "int64")?;
        draw_rows(py, self.inner.step(), rows.as_slice()?, &scores, depth, self.random())
    }

    /// Scores of a pair model for all tokens of the plan in flight that need them, row after row: `vocab` numbers each.
    fn pair_scores<'py>(&self, py: Python<'py>, model: &PairLm, threads: usize) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let model = model.core();
        let (mut ids, mut places) = (Vec::new(), Vec::new());
        self.inner.contexts(model.reach(), &mut ids, &mut places);
        let vocab = model.spec().vocab;
        filled_flat(py, places.len() * vocab, |out| {
            if places.len() > SHORT {
                return long_call(py, None, |p| model.all_scores(&ids, &places, threads, p, out));
            }
            py.detach(|| model.all_scores(&ids, &places, threads, &Progress::new(), out)).map_err(|e| e.into_py_err(py))
        })
    }

    /// Writes drafts into the tokens of plan `number`: one row for each that gives ids, -1 behind the last; nodes of trees
    /// where parents are given. Rows that got fewer than they were to get are shorter from then on; returns how many tokens
    /// are left.
    #[pyo3(signature = (number, drafts, parents))]
    fn fill(
        &mut self,
        py: Python<'_>,
        number: u64,
        drafts: PyReadonlyArray2<'_, i64>,
        parents: Option<PyReadonlyArray2<'_, i64>>,
    ) -> PyResult<usize> {
        let width = matrix(&drafts, "drafts")?;
        if let Some(parents) = &parents {
            matrix(parents, "parents")?;
        }
        let parents = parents.as_ref().map(|p| p.as_slice()).transpose()?;
        self.inner.fill(number, drafts.as_slice()?, parents, width).map_err(|e| e.into_py_err(py))?;
        Ok(self.inner.step().tokens.len())
    }

    /// Which token each of the plan in flight stands behind; empty where all drafts are chains.
    fn above<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i32>> {
        PyArray1::from_slice(py, &self.inner.step().above)
    }

    /// Tells a drafter what was likeliest behind each token of the plan in flight whose scores were needed: these are they.
    fn observe(
        &self,
        py: Python<'_>,
        drafter: &Bound<'_, SpecDraft>,
        scores: PyReadonlyArray2<'_, f32>,
    ) -> PyResult<()> {
        observe(py, &self.inner, drafter, &scores)
    }

    /// Verifies the drafts in the tokens of plan `number`, which were drawn from `q` or are `held`, against scores of its
    /// outputs, and takes what comes of it; with an error nothing changes. The milliseconds of the step so far: outside the
    /// models, of the target, of each drafter.
    fn settle(
        &mut self,
        py: Python<'_>,
        number: u64,
        scores: &Bound<'_, PyAny>,
        q: Option<&Bound<'_, PyAny>>,
        held: bool,
        host_ms: f64,
        target_ms: f64,
        draft_ms: Vec<f64>,
    ) -> PyResult<()> {
        let Self { inner, room, rule, seed, .. } = self;
        let (scores, laws) = (Floats::new(scores, "scores")?, (q, held.then_some(&self.held)));
        settle(py, inner, room, (number, *rule, *seed), (&scores, None), laws, (host_ms, target_ms, &draft_ms))
    }

    /// Takes what came of plan `number`.
    #[pyo3(signature = (number, accepted, tokens, proposed))]
    fn commit(
        &mut self,
        py: Python<'_>,
        number: u64,
        accepted: &Bound<'_, PyAny>,
        tokens: PyReadonlyArray2<'_, i64>,
        proposed: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let accepted = vector::<i64>(accepted, "accepted", "int64")?;
        let proposed = proposed.map(|p| vector::<u8>(p, "proposed", "uint8")).transpose()?;
        let proposed = proposed.as_ref().map(|p| p.as_slice()).transpose()?;
        let width = matrix(&tokens, "tokens")?;
        self.inner
            .commit(number, proposed, accepted.as_slice()?, tokens.as_slice()?, width)
            .map_err(|e| e.into_py_err(py))
    }

    /// Tells the policy what the step in flight took: milliseconds outside the models, of the target, and of each drafter.
    fn timed(&mut self, py: Python<'_>, host_ms: f64, verify_ms: f64, draft_ms: Vec<f64>) -> PyResult<()> {
        self.inner.timed(host_ms, verify_ms, &draft_ms).map_err(|e| e.into_py_err(py))
    }

    /// Why a request was given the drafts that it was in the last step, where the policy knows.
    fn explain(&mut self, py: Python<'_>, handle: u64) -> PyResult<Option<String>> {
        // A step that the policy refused went without drafts; that is why.
        if let Some(refused) = self.inner.chooser().refused() {
            return Ok(Some(format!("gamma 0: the policy refused the step: {refused}")));
        }
        let found = self.inner.explain(Handle(handle)).map_err(|e| e.into_py_err(py))?;
        Ok(found.map(|explanation| explanation.to_string()))
    }

    /// Takes plan `number` back.
    fn abort(&mut self, py: Python<'_>, number: u64) -> PyResult<()> {
        self.inner.abort(number).map_err(|e| e.into_py_err(py))
    }

    /// Ends all requests of plan `number` as failed.
    fn fail(&mut self, py: Python<'_>, number: u64) -> PyResult<()> {
        self.inner.fail(number).map_err(|e| e.into_py_err(py))
    }

    /// Ends a request.
    fn cancel(&mut self, py: Python<'_>, handle: u64) -> PyResult<()> {
        self.inner.cancel(Handle(handle)).map_err(|e| e.into_py_err(py))
    }

    /// Where a request is: waiting, running, or why it ended.
    fn state(&self, py: Python<'_>, handle: u64) -> PyResult<&'static str> {
        Ok(match self.inner.state(Handle(handle)).map_err(|e| e.into_py_err(py))? {
            State::Free => "free",
            State::Waiting => "waiting",
            State::Running => "running",
            State::Finished(end) => end.name(),
        })
    }

    /// The ids that have followed a prompt so far.
    fn tokens<'py>(&self, py: Python<'py>, handle: u64) -> PyResult<Bound<'py, PyArray1<u32>>> {
        Ok(PyArray1::from_slice(py, self.inner.tokens(Handle(handle)).map_err(|e| e.into_py_err(py))?))
    }

    /// All ids of a request, its prompt first.
    fn ids<'py>(&self, py: Python<'py>, handle: u64) -> PyResult<Bound<'py, PyArray1<u32>>> {
        Ok(PyArray1::from_slice(py, self.inner.ids(Handle(handle)).map_err(|e| e.into_py_err(py))?))
    }

    /// What became of a request that has ended: its ids, and why there are no more.
    fn take<'py>(&mut self, py: Python<'py>, handle: u64) -> PyResult<(Bound<'py, PyArray1<u32>>, &'static str)> {
        let outcome = self.inner.take(Handle(handle)).map_err(|e| e.into_py_err(py))?;
        Ok((outcome.tokens.into_pyarray(py), outcome.end.name()))
    }

    /// How many requests run, how many wait, and how many blocks nobody holds.
    fn load(&self) -> (usize, usize, usize) {
        let (running, waiting) = self.inner.load();
        (running, waiting, self.inner.available())
    }

    /// What has happened so far, by name.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = self.inner.stats();
        let found = PyDict::new(py);
        let [length, stop, cancelled, failed] = stats.ended;
        for (name, count) in [
            ("steps", stats.steps),
            ("aborted", stats.aborted),
            ("rows", stats.rows),
            ("emitted", stats.emitted),
            ("drafted", stats.drafted),
            ("accepted", stats.accepted),
            ("prompt_tokens", stats.prompt_tokens),
            ("shared_tokens", stats.shared_tokens),
            ("preempted", stats.preempted),
            ("paced", stats.paced),
            ("on_time", stats.on_time),
            ("submitted", stats.submitted),
            ("length", length),
            ("stop", stop),
            ("cancelled", cancelled),
            ("failed", failed),
        ] {
            found.set_item(name, count)?;
        }
        Ok(found)
    }
}
