//! The classes and functions of specdec.

mod drafts;
mod draw;
mod feed;
mod held;
mod latency;
mod proposals;
mod requests;
mod scheduler;
mod settle;
mod simulate;
mod sizes;
mod verify;
mod whole;

pub(crate) use self::drafts::SpecDraft;
pub(crate) use self::draw::specdec_draw;
pub(crate) use self::feed::SpecFeed;
pub(crate) use self::latency::{
    specdec_best_gamma, specdec_break_even_alpha, specdec_break_even_tau, specdec_check_curve, specdec_needed_tau,
    specdec_tau,
};
pub(crate) use self::scheduler::SpecScheduler;
pub(crate) use self::simulate::specdec_simulate;
pub(crate) use self::verify::{specdec_ancestors, specdec_verify, specdec_verify_trees};
