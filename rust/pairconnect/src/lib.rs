//! PairConnect: language models that look up instead of attend (arXiv 2106.08235).
//!
//! | module | what |
//! | --- | --- |
//! | [`spec`] | what a table is a function of |
//! | [`hash`] | which row a pair has in each head |
//! | [`table`] | rows in memory or in a file |
//! | [`lookup`] | what positions look up |
//! | `gather` | sums of rows |
//! | [`state`] | sequences that grow and shrink |
//! | [`dense`] | products of a matrix with vectors |
//! | [`model`] | PairLM, a whole language model |
//! | [`generate`] | text that it makes up |

pub mod dense;
mod error;
mod gather;
pub mod generate;
pub mod hash;
pub mod lookup;
pub mod model;
pub mod spec;
pub mod state;
pub mod table;

pub use error::{Error, Result};
