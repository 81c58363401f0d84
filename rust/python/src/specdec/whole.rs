//! A step in one call: what lies between the passes of models is then no more than what they need of it.
//!
//! While a model runs nobody holds the scheduler, so that others may submit requests.

use std::time::Instant;

use pyo3::prelude::*;

use super::feed::Fed;
use super::held::Held;
use super::scheduler::{Plan, SpecScheduler};
use super::settle::settle;
use crate::array::Floats;
use crate::error::IntoPyErr;

/// Steps of no more scores than these are verified on the thread that asks.
const SHORT: usize = 1 << 20;

/// A drafter.
#[derive(FromPyObject)]
pub(super) enum Part {
    /// A model that is fed.
    Fed(Fed),
    /// Anything of the core that proposes; `None` for what only Python can ask.
    Core(Option<Py<PyAny>>),
}

/// Drafts for some rows of the plan in flight with a model that is fed.
pub(super) fn draft_by(
    scheduler: &Bound<'_, SpecScheduler>,
    by: &Fed,
    rows: impl Iterator<Item = usize>,
) -> PyResult<()> {
    let py = scheduler.py();
    let feed = by.feed.bind(py);
    let mut pass = {
        let mut this = scheduler.try_borrow_mut()?;
        this.held = Held::Fed(by.feed.clone_ref(py));
        feed.try_borrow_mut()?.inner.begin(&this.inner, rows).map_err(|e| e.into_py_err(py))?
    };
    while let Some(now) = pass {
        let scores = by.run(py, now)?;
        let (this, feed) = (&mut *scheduler.try_borrow_mut()?, &mut *feed.try_borrow_mut()?);
        let random = this.random();
        let scores = Floats::new(&scores, "scores")?;
        pass = feed.inner.drew(&mut this.inner, scores.as_slice()?, random).map_err(|e| e.into_py_err(py))?;
    }
    Ok(())
}

/// Plans a step and does it, or returns the plan.
pub(super) fn whole_step(scheduler: &Bound<'_, SpecScheduler>) -> PyResult<Option<Plan>> {
    let (py, begun) = (scheduler.py(), Instant::now());
    let (plan, target, drafter) = {
        let this = &mut *scheduler.try_borrow_mut()?;
        let plan = this.plan(py, true)?;
        let (_, _, giving, _, most, which) = plan;
        let short = giving * (usize::from(most) + 1) * this.inner.settings().vocab as usize <= SHORT;
        let target = this.target.as_ref().filter(|target| short && target.feed.borrow(py).inner.holds(&this.inner));
        let drafter = usize::try_from(which).ok().and_then(|which| this.drafters.get(which));
        let drafter = match drafter {
            None => None,
            Some(Part::Fed(fed)) => Some(Part::Fed(fed.clone_ref(py))),
            Some(Part::Core(core)) => Some(Part::Core(core.as_ref().map(|core| core.clone_ref(py)))),
        };
        let can = matches!(drafter, Some(Part::Fed(_) | Part::Core(Some(_))));
        match target {
            Some(target) if most == 0 || can => (plan, target.clone_ref(py), drafter),
            _ => return Ok(Some(plan)),
        }
    };
    let done = whole(scheduler, plan, &target, drafter, begun);
    if done.is_err() {
        // What failed is to be told, whatever becomes of the plan.
        let _ = scheduler.try_borrow_mut()?.inner.abort(plan.0);
    }
    done.map(|()| None)
}

/// Drafts, asks the target, verifies and commits.
fn whole(
    scheduler: &Bound<'_, SpecScheduler>,
    (number, .., which): Plan,
    target: &Fed,
    drafter: Option<Part>,
    begun: Instant,
) -> PyResult<()> {
    let (py, planned) = (scheduler.py(), Instant::now());
    let drafts = drafter.is_some();
    match drafter {
        Some(Part::Fed(fed)) => {
            let giving = scheduler.try_borrow()?.inner.step().giving;
            draft_by(scheduler, &fed, 0..giving)?;
        }
        Some(Part::Core(Some(core))) => {
            scheduler.try_borrow_mut()?.hold(py, number, which as u8, core.bind(py))?;
        }
        _ => {}
    }
    let drafted = Instant::now();
    let pass = {
        let this = scheduler.try_borrow()?;
        let mut feed = target.feed.bind(py).try_borrow_mut()?;
        feed.inner.target(&this.inner)
    };
    let asked = Instant::now();
    let scores = target.run(py, pass)?;
    let scored = Instant::now();
    let this = &mut *scheduler.try_borrow_mut()?;
    let each = if pass.keep == 0 { pass.width } else { pass.keep };
    let scores = Floats::new(&scores, "scores")?;
    let ms = |from: Instant, to: Instant| 1e3 * to.duration_since(from).as_secs_f64();
    let mut draft_ms = vec![0.0; this.drafters.len()];
    if let Some(own) = draft_ms.get_mut(which as usize) {
        *own = ms(planned, drafted);
    }
    let before = (ms(begun, planned) + ms(drafted, asked), ms(asked, scored), &draft_ms[..]);
    let SpecScheduler { inner, room, held, rule, seed, .. } = this;
    let laws = (None, drafts.then_some(&*held));
    settle(py, inner, room, (number, *rule, *seed), (&scores, Some(each)), laws, before)
}
