//! Checks of the Host and Origin headers.

use axum::http::{HeaderMap, Uri, header};

/// Whether a request names this server: a loopback name or one of `allowed`. An absolute target is checked, too.
pub(super) fn has_own_host(target: &Uri, headers: &HeaderMap, allowed: &[String]) -> bool {
    if target.authority().is_some_and(|authority| !is_ours(authority.as_str(), allowed)) {
        return false;
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    host.to_str().is_ok_and(|host| is_ours(host, allowed))
}

/// Whether a request has no origin, a loopback origin or one of `allowed`.
pub(super) fn has_own_origin(headers: &HeaderMap, allowed: &[String]) -> bool {
    headers.get_all(header::ORIGIN).iter().all(|origin| {
        let Ok(origin) = origin.to_str() else { return false };
        let local = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        local.is_some_and(|authority| is_ours(authority, &[])) || allowed.iter().any(|one| one.eq_ignore_ascii_case(origin))
    })
}

/// Whether a name is a loopback name or allowed, with or without a port.
fn is_ours(authority: &str, allowed: &[String]) -> bool {
    let name = match authority.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => authority,
    };
    let is = |one: &str| name.eq_ignore_ascii_case(one) || authority.eq_ignore_ascii_case(one);
    ["127.0.0.1", "[::1]", "localhost"].into_iter().any(is) || allowed.iter().any(|one| is(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_and_allowed_ones_are_ours() {
        let allowed = ["git.example".to_owned()];
        for ours in ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:80", "[::1]", "git.example", "git.example:443"] {
            assert!(is_ours(ours, &allowed), "{ours}");
        }
        for foreign in
            ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "0.0.0.0", "localhost:x", "null", "x.git.example"]
        {
            assert!(!is_ours(foreign, &allowed), "{foreign}");
        }
    }
}
