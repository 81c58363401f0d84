//! Replays of traces on a simulated device.

use numpy::{PyReadonlyArray1, ToPyArray};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use thrifty_specdec::contest::run;
use thrifty_specdec::latency::Knots;
use thrifty_specdec::sim::{Arrival, Device, Kinds, World};

use crate::array::vector;
use crate::error::IntoPyErr;
use crate::interrupt::long_call;
use crate::specdec::latency::Curve;
use crate::specdec::sizes::{Sizes, settings};

/// `thrifty.specdec.SimulatedDevice`, by its attributes.
#[derive(FromPyObject)]
pub(crate) struct Simulated {
    verify: Vec<(u32, f64)>,
    draft: Vec<Vec<(u32, f64)>>,
    kv_ms: f64,
    host_ms: f64,
    noise: f64,
    padded: bool,
    shift: (f64, f64),
}

/// What times are told by.
#[derive(FromPyObject)]
pub(crate) enum Told {
    Rows(Simulated),
    Curve(Curve),
}

impl Told {
    fn device(self) -> thrifty_specdec::Result<Device> {
        match self {
            Self::Rows(rows) => rows.device(),
            Self::Curve(curve) => {
                let curve = curve.into();
                let (verify, draft) = (Knots::of_verify(&curve, &[])?, Knots::of_draft(&curve)?);
                Ok(Device { verify, kv_ms: 0.0, drafts: vec![draft], host_ms: 0.0, noise: 0.0, shift: (1.0, 1.0) })
            }
        }
    }
}

impl Simulated {
    fn device(&self) -> thrifty_specdec::Result<Device> {
        let knots = |rows: &[(u32, f64)], padded| {
            let (sizes, ms): (Vec<u32>, Vec<f64>) = rows.iter().copied().unzip();
            Knots::new(&sizes, &ms, padded)
        };
        let device = Device {
            verify: knots(&self.verify, self.padded)?,
            kv_ms: self.kv_ms,
            drafts: self.draft.iter().map(|rows| knots(rows, false)).collect::<thrifty_specdec::Result<_>>()?,
            host_ms: self.host_ms,
            noise: self.noise,
            shift: self.shift,
        };
        device.times(1.0)?;
        Ok(device)
    }
}

/// What became of a trace under a policy, by name.
#[pyfunction]
#[pyo3(signature = (policy, at_ms, prompt, new, tbt_ms, device, kinds, sizes, seed, progress, /))]
pub(crate) fn specdec_simulate<'py>(
    py: Python<'py>,
    policy: &str,
    at_ms: &Bound<'py, PyAny>,
    prompt: &Bound<'py, PyAny>,
    new: &Bound<'py, PyAny>,
    tbt_ms: &Bound<'py, PyAny>,
    device: Told,
    kinds: (Vec<Vec<f64>>, f64, f64),
    sizes: Sizes,
    seed: u64,
    progress: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyDict>> {
    let at_ms: PyReadonlyArray1<'_, f64> = vector(at_ms, "at_ms", "float64")?;
    let prompt: PyReadonlyArray1<'_, u32> = vector(prompt, "prompt", "uint32")?;
    let new: PyReadonlyArray1<'_, u32> = vector(new, "new", "uint32")?;
    let tbt_ms: PyReadonlyArray1<'_, f64> = vector(tbt_ms, "tbt_ms", "float64")?;
    let rows = at_ms.as_slice()?.iter().zip(prompt.as_slice()?).zip(new.as_slice()?).zip(tbt_ms.as_slice()?);
    let arrival = |(((&at_ms, &prompt), &new), &tbt_ms): (((&f64, &u32), &u32), &f64)| Arrival {
        at_ms,
        prompt,
        new,
        tbt_ms: (!tbt_ms.is_nan()).then_some(tbt_ms),
    };
    let arrivals: Vec<Arrival> = rows.map(arrival).collect();
    let settings = settings(sizes, 32_000, true);
    let device = device.device().map_err(|e| e.into_py_err(py))?;
    let (alphas, fall, turn) = kinds;
    let kinds = Kinds { alphas, fall, turn };
    let world = World { arrivals: &arrivals, device: &device, kinds: &kinds, seed, told: true };
    let (found, cpu_s) = long_call(py, Some(progress), |progress| run(policy, settings, &world, progress))?;
    let out = PyDict::new(py);
    out.set_item("requests", found.requests)?;
    out.set_item("tokens", found.emitted)?;
    out.set_item("steps", found.steps)?;
    out.set_item("rows", found.rows)?;
    out.set_item("drafted", found.drafts.0)?;
    out.set_item("accepted", found.drafts.1)?;
    out.set_item("preempted", found.preempted)?;
    let used = found.used.iter().map(|used| (used.rows, used.drafts.0, used.drafts.1, used.ms));
    out.set_item("used", used.collect::<Vec<_>>())?;
    out.set_item("alone", found.alone)?;
    out.set_item("paced", found.paced.0)?;
    out.set_item("in_time", found.paced.1)?;
    out.set_item("ms", found.ms)?;
    out.set_item("busy_ms", found.busy_ms.iter().sum::<f64>())?;
    out.set_item("prompt_ms", found.prompt_ms.iter().sum::<f64>())?;
    out.set_item("blocks_held", found.held)?;
    out.set_item("cpu_s", cpu_s)?;
    let [first, end] = &found.latency_ms;
    out.set_item("first_ms", first.to_pyarray(py))?;
    out.set_item("end_ms", end.to_pyarray(py))?;
    Ok(out)
}
