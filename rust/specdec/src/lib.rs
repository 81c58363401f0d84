//! Speculative decoding (arXiv 2402.01528): a small model drafts, a large one verifies many ids in one pass, and what
//! comes out has the law of the large one alone.
//!
//! | module | what |
//! | --- | --- |
//! | [`request`] | what callers want, and what is known of it |
//! | [`scheduler`] | requests, the blocks that they hold, and which of them run |
//! | [`plan`] | what a step computes |
//! | [`step`] | the same as arrays |
//! | [`settle`] | what becomes of it |
//! | [`pace`] | targets for the time between tokens |
//! | [`sequences`] | what drafters know of requests |
//! | [`feed`] | what drafters that are models with caches are fed |
//! | [`draft`] | drafters that need no model |
//! | [`choose`] | who decides about drafts |
//! | [`pool`] | blocks of the cache |
//! | [`prefix`] | blocks that requests share |
//! | [`verify`] | which drafts are accepted, and what follows them |
//! | [`latency`] | what drafts and verifications take, and the gamma that is best for it |
//! | [`acceptance`] | how likely drafts are accepted, request by request |
//! | [`worth`] | what the ids of a draft are worth |
//! | [`times`] | what a step takes, part by part |
//! | [`goodput`] | which draft each request takes, and how many ids, so that most comes of the time |
//! | [`policy`] | what a scheduler asks each step, and rules of others to compare with |
//! | [`sim`] | hours of requests in seconds, on a device that is simulated |
//! | [`contest`] | the same by the names of rules |
//! | [`explain`] | why a request drafts what it does |

pub mod acceptance;
pub mod choose;
pub mod contest;
pub mod draft;
mod error;
pub mod explain;
pub mod feed;
pub mod goodput;
pub mod latency;
mod live;
pub mod pace;
pub mod plan;
pub mod policy;
pub mod pool;
pub mod prefix;
pub mod request;
pub mod scheduler;
pub mod sequences;
pub mod settle;
pub mod sim;
pub mod step;
mod texts;
pub mod times;
pub mod verify;
pub mod worth;

pub use error::{Error, Result};
