//! What the scheduler knows of a request.

use thrifty_base::sampling::Sampling;

use crate::texts::Text;

/// What a caller wants.
#[derive(Clone, Debug)]
pub struct Submission<'a> {
    /// The ids that it begins with, at least one.
    pub prompt: &'a [u32],
    /// How many ids may follow at most.
    pub max_new: usize,
    /// Ids that end it; the one that came is its last.
    pub stop: &'a [u32],
    /// The law that its ids are drawn from.
    pub sampling: Sampling,
    /// With the seed of the caller, what all random numbers of the request are a function of.
    pub uid: u64,
    /// Larger ones go first; one that waits gains as well, see [`Settings::ageing`](crate::scheduler::Settings).
    pub priority: i32,
    /// No more drafts a step than this.
    pub max_gamma: u8,
    /// Requests of a class are expected to be alike in what they accept.
    pub class: u32,
    /// Requests of different salts share no blocks.
    pub salt: u64,
    /// Milliseconds between its tokens that it is to take at most; see [`pace`](crate::pace).
    pub tbt_ms: Option<f64>,
}

/// Names a request until [`take`](crate::scheduler::Scheduler::take) has returned what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle(pub u64);

impl Handle {
    pub(crate) fn new(slot: u32, generation: u32) -> Self {
        Self(u64::from(generation) << 32 | u64::from(slot))
    }

    pub(crate) fn slot(self) -> usize {
        self.0 as u32 as usize
    }

    pub(crate) fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// Why a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It has all the ids that it may have.
    Length,
    /// One of its stop ids came.
    Stop,
    /// The caller cancelled it.
    Cancelled,
    /// A model could not go on with it.
    Failed,
}

impl End {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::Stop => "stop",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

/// Where a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The slot has no request.
    Free,
    /// It holds no blocks.
    Waiting,
    /// It is in every plan.
    Running,
    /// Its ids can be taken.
    Finished(End),
}

/// A slot.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) generation: u32,
    pub(crate) state: State,
    /// Set while a plan is in flight: it ends when that does.
    pub(crate) cancelled: bool,
    pub(crate) max_gamma: u8,
    /// The prompt, and what followed; while it runs, [`Live`](crate::live::Live) knows better.
    pub(crate) text: Text,
    pub(crate) prompt: u32,
    /// Most tokens.
    pub(crate) limit: u32,
    /// Place among those that run, while it does.
    pub(crate) at: u32,
    /// Smaller goes first; the number of its arrival decides between equal ones.
    pub(crate) order: (i64, u64),
    pub(crate) uid: u64,
    pub(crate) salt: u64,
    pub(crate) class: u32,
    pub(crate) sampling: Sampling,
    pub(crate) stop: Vec<u32>,
}

impl Request {
    pub(crate) fn free() -> Self {
        Self {
            generation: 0,
            state: State::Free,
            cancelled: false,
            max_gamma: 0,
            text: Text::default(),
            prompt: 0,
            limit: 0,
            at: 0,
            order: (0, 0),
            uid: 0,
            salt: 0,
            class: 0,
            sampling: Sampling::default(),
            stop: Vec::new(),
        }
    }
}
