//! `thrifty_rambo` for Python.

mod arguments;
mod builder;
mod files;
mod index;
mod queries;

pub(crate) use builder::RamboBuilder;
pub(crate) use files::{
    rambo_add, rambo_build, rambo_fold, rambo_hashes, rambo_hashes_many, rambo_list_inputs, rambo_plan,
    rambo_plan_files, rambo_remove, rambo_stack,
};
pub(crate) use index::RamboIndex;
pub(crate) use queries::RamboQueries;
