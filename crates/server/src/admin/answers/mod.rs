//! Answers of a running server on its admin channel, as the command line reads them. Fields may be added; what a later
//! server adds is ignored.
#![expect(clippy::struct_field_names, reason = "fields have the names of the JSON keys")]

pub(crate) mod access;
pub(crate) mod caches;
pub(crate) mod calls;
pub(crate) mod circuits;
pub(crate) mod errors;
pub(crate) mod health;
pub(crate) mod heartbeats;
pub(crate) mod held;
pub(crate) mod logs;
pub(crate) mod memory;
pub(crate) mod name;
pub(crate) mod operations;
pub(crate) mod profiles;
pub(crate) mod recovery;
pub(crate) mod repositories;
pub(crate) mod resources;
pub(crate) mod sessions;
pub(crate) mod status;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a request was refused.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Refusal {
    /// The reason, as a sentence.
    pub(crate) error: String,
}
