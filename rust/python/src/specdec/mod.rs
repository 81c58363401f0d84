//! The classes and functions of specdec.

mod scheduler;

pub(crate) use self::scheduler::SpecScheduler;
