//! Which names an entry may have.

/// True for a name that no part of could leave the working tree or reach into `.git`.
///
/// git accepts others when it reads an index, and refuses to add them. `is_folder` allows the trailing slash that a
/// sparse directory has.
pub(super) fn is_safe(path: &[u8], is_folder: bool) -> bool {
    let name = if is_folder { path.strip_suffix(b"/") } else { Some(path) };
    name.is_some_and(|name| name.split(|&byte| byte == b'/').all(is_component))
}

fn is_component(name: &[u8]) -> bool {
    match name {
        [] | [b'.'] | [b'.', b'.'] => false,
        [b'.', rest @ ..] => !rest.eq_ignore_ascii_case(b"git"),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_the_working_tree_are_refused() {
        for good in ["a", "a/b", "...", ".gitignore", "a/.git2", "git", "a/..b", ".g"] {
            assert!(is_safe(good.as_bytes(), false), "{good}");
        }
        for bad in ["", ".", "..", "/a", "a/", "a//b", ".git", "a/.GIT/b", "a/../b", "./a", "a/."] {
            assert!(!is_safe(bad.as_bytes(), false), "{bad}");
        }
        assert!(is_safe(b"a/b/", true) && !is_safe(b"a/b", true) && !is_safe(b"/", true));
    }
}
