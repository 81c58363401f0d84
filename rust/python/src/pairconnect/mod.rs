//! The classes of pairconnect.

mod draft;
mod engram;
mod ids;
mod model;
mod prefetch;
mod state;
mod stats;
mod table;
mod training;

pub(crate) use self::draft::PairDraft;
pub(crate) use self::engram::EngramTable;
pub(crate) use self::ids::Ids;
pub(crate) use self::model::{PairLm, pairlm_write};
pub(crate) use self::prefetch::EngramFuture;
pub(crate) use self::state::PairState;
pub(crate) use self::stats::pair_stats;
pub(crate) use self::table::PairTable;
pub(crate) use self::training::{PairOptimizer, pair_backward, pair_lookup, pair_update};
