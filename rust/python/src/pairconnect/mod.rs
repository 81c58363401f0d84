//! The classes of pairconnect.

mod ids;
mod model;
mod state;
mod table;

pub(crate) use self::model::{PairLm, pairlm_write};
pub(crate) use self::state::PairState;
pub(crate) use self::table::PairTable;
