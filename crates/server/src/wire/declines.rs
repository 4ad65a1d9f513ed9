//! Changes that users declined. A declined change is refused for a while, however the model words the call, so that the
//! user is not asked until they give in.

use crate::{
    error::{Error, Kind},
    output::counted,
    tool::Entry,
};
use parking_lot::{Mutex, MutexGuard};
use serde_json::{Map, Value, json};
use std::{
    collections::{HashMap, VecDeque},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a declined change is refused without a new question.
const DECLINED: Duration = Duration::from_mins(10);
/// Maximum number of declined changes remembered per caller.
const MAX_DECLINED: usize = 200;
/// Maximum number of callers remembered.
const MAX_CALLERS: usize = 1_000;
/// Arguments that do not affect what a call changes.
const IMMATERIAL: [&str; 3] = ["confirm", "idempotency_key", "max_tokens"];
/// How to apply a declined change anyway.
const BY_HAND: &str = "Do not repeat it. The user can ask for it again after that time, or run the git command in a terminal.";

/// The declined changes of one caller, oldest first.
type Declined = VecDeque<(String, Instant)>;

/// Declined changes, by caller.
#[derive(Debug, Default)]
pub(crate) struct Declines(Mutex<HashMap<Arc<str>, Declined>>);

impl Declines {
    /// Records that the user of `principal` declined `content`.
    pub(super) fn note(&self, principal: &Arc<str>, content: &str, now: Instant) {
        let mut known = self.lock();
        if known.len() >= MAX_CALLERS && !known.contains_key(principal) {
            known.retain(|_, own| own.back().is_some_and(|(_, since)| now.duration_since(*since) < DECLINED));
            if known.len() >= MAX_CALLERS {
                let oldest = known.iter().min_by_key(|(_, own)| own.back().map(|(_, since)| *since)).map(|(who, _)| Arc::clone(who));
                oldest.and_then(|who| known.remove(&who));
            }
        }
        let own = known.entry(Arc::clone(principal)).or_default();
        own.retain(|(declined, since)| declined != content && now.duration_since(*since) < DECLINED);
        if own.len() >= MAX_DECLINED {
            own.pop_front();
        }
        own.push_back((content.to_owned(), now));
    }

    /// Removes a decline once the user has confirmed the same change.
    pub(super) fn forget(&self, principal: &Arc<str>, content: &str) {
        if let Some(own) = self.lock().get_mut(principal) {
            own.retain(|(declined, _)| declined != content);
        }
    }

    /// How much longer `content` is refused; `None` if it was not declined.
    pub(super) fn left(&self, principal: &Arc<str>, content: &str, now: Instant) -> Option<Duration> {
        let known = self.lock();
        let (_, since) = known.get(principal)?.iter().find(|(declined, _)| declined == content)?;
        DECLINED.checked_sub(now.duration_since(*since)).filter(|left| !left.is_zero())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Declined>> {
        self.0.lock()
    }
}

/// Digest of a change: the tool, the repository and the arguments that matter.
pub(super) fn content(tool: &Entry, mut args: Map<String, Value>, place: Option<&Path>) -> String {
    let schema = (tool.schema)();
    args.retain(|name, value| {
        !IMMATERIAL.contains(&name.as_str()) && !value.is_null() && *value != schema["properties"][name.as_str()]["default"]
    });
    // Normalizes the path.
    let place: Option<PathBuf> = place.map(|place| place.components().collect());
    let place = place.map(|place| place.to_string_lossy().into_owned());
    git::digest(json!([tool.name, place, args]).to_string().as_bytes())
}

/// The error for a change that the user has just declined.
pub(super) fn now() -> Error {
    Error::new(Kind::Refused, "the change was not confirmed: the user declined it, and nothing has been done")
        .hint(format!("The same call is refused without a prompt for {}. {BY_HAND}", spelled(DECLINED)))
}

/// The error for a change that the user declined earlier.
pub(super) fn before(left: Duration) -> Error {
    Error::new(Kind::Refused, "the change was not confirmed: the user declined it before, and nothing has been done")
        .hint(format!("The same call is refused without a prompt for {} more. {BY_HAND}", spelled(left)))
}

fn spelled(time: Duration) -> String {
    counted(time.as_secs().div_ceil(60), "minute")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declines_end_and_are_bounded() {
        let (declines, who, start) = (Declines::default(), Arc::from("a"), Instant::now());
        declines.note(&who, "x", start);
        assert_eq!(declines.left(&who, "x", start), Some(DECLINED));
        assert_eq!(declines.left(&Arc::from("b"), "x", start), None);
        assert_eq!(declines.left(&who, "x", start + DECLINED), None);
        for number in 0..MAX_DECLINED {
            declines.note(&who, &number.to_string(), start);
        }
        assert_eq!((declines.left(&who, "x", start), declines.left(&who, "0", start)), (None, Some(DECLINED)), "the oldest is forgotten");
        declines.forget(&who, "0");
        assert_eq!(declines.left(&who, "0", start), None);
        for number in 0..=MAX_CALLERS {
            declines.note(&Arc::from(format!("caller {number}")), "x", start);
        }
        assert!(declines.lock().len() <= MAX_CALLERS);
    }

    #[test]
    fn the_same_content_has_many_spellings() {
        let reset = crate::tools::ALL.iter().find(|tool| tool.name == "git_reset");
        let Some(reset) = reset else { unreachable!("there is git_reset") };
        let of = |args: &Value, place: &str| content(reset, args.as_object().cloned().unwrap_or_default(), Some(Path::new(place)));
        let plain = of(&json!({"mode": "hard"}), "/r");
        for (args, place) in [
            (json!({"mode": "hard", "confirm": true, "idempotency_key": "k", "max_tokens": 9}), "/r"),
            (json!({"target": null, "paths": [], "mode": "hard"}), "/r/./"),
        ] {
            assert_eq!(of(&args, place), plain, "{args}");
        }
        for (args, place) in
            [(json!({"mode": "soft"}), "/r"), (json!({"mode": "hard", "target": "v1"}), "/r"), (json!({"mode": "hard"}), "/s")]
        {
            assert_ne!(of(&args, place), plain, "{args}");
        }
    }
}
