//! Drain, restart and recovery of a server.

use super::name::Name;
use crate::lifecycle::phase::Phase;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The end of a drain's wait.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct Drained {
    /// Calls that still run or wait.
    pub left: usize,
}

/// The end of a drain.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Resumed {
    /// The phase now.
    pub(crate) phase: Name<Phase>,
}

/// A restart whose successor is ready.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Restarted {
    /// The process that is replaced.
    pub(crate) pid: u32,
    /// The process that replaces it.
    pub(crate) successor: u32,
    /// How long the replaced process may finish its calls, in seconds.
    pub(crate) drain_s: u64,
}

/// A recovery.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct Recovery {
    /// Whether all steps succeeded; absent if only one component was recovered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ok: Option<bool>,
    /// The steps, in their order.
    pub steps: Vec<Step>,
}

/// A step of a recovery or restart.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct Step {
    /// Its name.
    pub step: String,
    /// Whether it succeeded.
    pub ok: bool,
    /// What it did.
    pub detail: String,
}
