//! Errors by class.

use super::name::Name;
use crate::error::ErrorClass;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The errors of a window.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Errors {
    /// The window covered, in milliseconds; shorter than the one asked for if less is known.
    pub(crate) window_ms: u64,
    /// The window asked for, in milliseconds.
    pub(crate) asked_ms: u64,
    /// Where the counts are from.
    pub(crate) source: Source,
    /// Errors of a class per minute above which they are a spike.
    pub(crate) threshold_per_minute: f64,
    /// Every class, even without errors.
    pub(crate) classes: Vec<ClassErrors>,
    /// The reasons of errors since the start.
    pub(crate) reasons: Vec<Reason>,
    /// Classes above the threshold in the window, the most frequent first.
    pub(crate) spikes: Vec<Spike>,
    /// Classes above the threshold both in a short and in a long window.
    pub(crate) burning: Vec<Burning>,
}

/// Where error counts are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    /// This process.
    Memory,
    /// The store, with the errors of previous servers.
    Store,
}

/// The errors of one class.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct ClassErrors {
    /// The class.
    pub(crate) class: Name<ErrorClass>,
    /// Whether it ends the session or, if a login failed, refuses the request.
    pub(crate) critical: bool,
    /// Whether the same call may succeed later.
    pub(crate) recoverable: bool,
    /// Errors in the window.
    pub(crate) count: u64,
    /// Errors in the window per minute.
    pub(crate) per_minute: f64,
    /// Errors since the start.
    pub(crate) since_start: u64,
}

/// A reason of errors.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Reason {
    /// The class.
    pub(crate) class: Name<ErrorClass>,
    /// The reason, one word of a closed list.
    pub(crate) reason: String,
    /// Errors since the start.
    pub(crate) count: u64,
}

/// A class above the threshold.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Spike {
    /// The class.
    pub(crate) class: Name<ErrorClass>,
    /// Its errors per minute.
    pub(crate) per_minute: f64,
}

/// A class above the threshold in two windows.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Burning {
    /// The class.
    pub(crate) class: Name<ErrorClass>,
    /// The shorter window, in milliseconds.
    pub(crate) short_ms: u64,
    /// The longer window, in milliseconds.
    pub(crate) long_ms: u64,
    /// Errors per minute in the shorter window.
    pub(crate) short_per_minute: f64,
    /// Errors per minute in the longer window.
    pub(crate) long_per_minute: f64,
    /// Errors in the longer window.
    pub(crate) count: u64,
}
