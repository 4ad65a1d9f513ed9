//! Random bytes of the operating system.

/// An ID that cannot be guessed: the prefix, and 128 random bits in hexadecimal.
///
/// # Errors
///
/// If the system has no random bytes.
pub(crate) fn id(prefix: &str) -> Result<String, getrandom::Error> {
    Ok(format!("{prefix}{}", hex::encode(bytes::<16>()?)))
}

/// `N` random bytes.
///
/// # Errors
///
/// If the system has no random bytes.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map(|()| bytes)
}
