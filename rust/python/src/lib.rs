//! The binding crate: `thrifty._core`. Only this crate knows Python.
#![allow(clippy::needless_pass_by_value)] // arguments from Python are handed over by value

mod array;
mod error;
mod info;
mod interrupt;
mod pairconnect;
mod rambo;
mod slide;
mod specdec;

use pyo3::prelude::*;

/// Rust core of thrifty; use it through the packages beside it.
#[pymodule]
mod _core {
    #[pymodule_export]
    use super::info::{simd_path, threads};
    #[pymodule_export]
    use super::pairconnect::{
        EngramFuture, EngramTable, PairDraft, PairLm, PairOptimizer, PairState, PairTable, pair_backward, pair_lookup,
        pair_stats, pair_update, pairlm_write,
    };
    #[pymodule_export]
    use super::rambo::{
        RamboBuilder, RamboIndex, RamboQueries, rambo_add, rambo_build, rambo_fold, rambo_hashes, rambo_hashes_many,
        rambo_list_inputs, rambo_plan, rambo_plan_files, rambo_remove, rambo_stack,
    };
    #[pymodule_export]
    use super::slide::{SlideHead, SlideShard, SlideTrainer, slide_codes, slide_read_xml, slide_write_xml};
    #[pymodule_export]
    use super::specdec::{
        SpecDraft, SpecFeed, SpecScheduler, specdec_ancestors, specdec_best_gamma, specdec_break_even_alpha,
        specdec_break_even_tau, specdec_check_curve, specdec_draw, specdec_needed_tau, specdec_simulate, specdec_tau,
        specdec_verify, specdec_verify_trees,
    };
}
