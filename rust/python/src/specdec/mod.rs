//! The classes and functions of specdec.

mod latency;
mod scheduler;

pub(crate) use self::latency::{
    specdec_best_gamma, specdec_break_even_alpha, specdec_break_even_tau, specdec_check_curve, specdec_needed_tau,
    specdec_tau,
};
pub(crate) use self::scheduler::SpecScheduler;
