//! How large a scheduler is.

use thrifty_specdec::scheduler::Settings;

/// blocks, block_size, max_running, max_length, token_budget, max_gamma, ageing.
pub(super) type Sizes = (u32, u32, u32, u32, u32, u8, u32);

pub(super) fn settings(sizes: Sizes, vocab: u32, share_prefixes: bool) -> Settings {
    let (blocks, block_size, max_running, max_length, token_budget, max_gamma, ageing) = sizes;
    Settings { blocks, block_size, max_running, max_length, token_budget, max_gamma, vocab, share_prefixes, ageing }
}
