//! The classes and functions of specdec.

mod scheduler;
mod verify;

pub(crate) use self::scheduler::SpecScheduler;
pub(crate) use self::verify::{specdec_ancestors, specdec_verify, specdec_verify_trees};
