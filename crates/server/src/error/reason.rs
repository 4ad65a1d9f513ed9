//! Why arguments are invalid, as the log has it: without their values.

use std::borrow::Cow;

/// Why an argument is invalid, without its value.
pub(super) fn of(err: &git::Error) -> Option<Cow<'static, str>> {
    if let git::Error::BadName { what, why, .. } = err {
        return Some(format!("cannot be used as {what}: {why}").into());
    }
    if let git::Error::BadPlan(_) = err {
        return Some("the plan or the list of commits is invalid".into());
    }
    matches!(err, git::Error::BadPattern(_)).then_some("the pattern is not a regular expression".into())
}
