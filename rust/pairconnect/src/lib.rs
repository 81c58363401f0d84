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
//! | [`borrowed`] | lookups in rows that lie with their owner |
//! | [`field`] | rows of f32 for training, wherever they lie |
//! | `numbers` | which rows the pairs of a batch have, sorted |
//! | `shares` | what rows are multiplied by, and the gradients of that |
//! | [`backward`] | gradients of the rows that a batch looked up |
//! | [`optimizer`] | steps for those rows |
//! | `parallel` | tasks of a call, on its threads |
//! | `stored` | rows as bytes |
//! | [`engram`] | rows of n-grams (Engram) |
//! | [`dense`] | products of a matrix with vectors |
//! | `whole` | the same in whole numbers |
//! | [`model`] | PairLM, a whole language model |
//! | [`shortlist`] | the ids that most likely follow, which alone are scored |
//! | `chosen` | products of some rows of a matrix |
//! | [`drafter`] | sequences for which a model proposes what follows |
//! | `grow` | trees of what may follow |
//! | [`generate`] | text that it makes up |
//! | [`stats`] | how ids load the rows of a table |

pub mod backward;
pub mod borrowed;
mod chosen;
pub mod dense;
pub mod drafter;
pub mod engram;
mod error;
pub mod field;
mod gather;
pub mod generate;
mod grow;
pub mod hash;
pub mod lookup;
pub mod model;
mod numbers;
pub mod optimizer;
mod parallel;
mod shares;
pub mod shortlist;
pub mod spec;
pub mod state;
pub mod stats;
mod stored;
pub mod table;
mod whole;

pub use error::{Error, Result};
