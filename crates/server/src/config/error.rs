//! Why there is no configuration.

use std::path::PathBuf;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is invalid; the message points at the line.
    #[error("the configuration {} cannot be used:\n{message}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        message: String,
    },
    /// An unknown tool is named.
    #[error("there is no tool called `{0}` to be selected or excluded")]
    UnknownTool(String),
    /// The settings of `serve` are invalid.
    #[error("{0}")]
    Serving(String),
    /// A log level is invalid.
    #[error("{from} cannot be used: `{level}`: {why}. Use a level, or a list such as `warn,session=debug,git=trace`")]
    Level {
        /// The flag, the variable or the key.
        from: &'static str,
        /// Its value.
        level: String,
        /// What is wrong.
        why: String,
    },
    /// A key of the file has an invalid value.
    #[error("the key `{name}` of the configuration cannot be used: {why}")]
    Key {
        /// The key.
        name: &'static str,
        /// What is wrong.
        why: String,
    },
    /// An error with the path of the file.
    #[error("{source} (the configuration is {})", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<ConfigError>,
    },
    /// A variable has an invalid value.
    #[error("the environment variable {name} cannot be used: {why}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// What is wrong.
        why: String,
    },
}
