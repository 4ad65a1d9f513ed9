//! Limits of calls and results.

use super::key::{Seconds, section};

section! {
    /// Limits of calls and results.
    #[derive(Copy, PartialEq, Eq)]
    #[serde(deny_unknown_fields)]
    Limits in "limits." {
        /// Maximum tokens per result, counted as four bytes each; 0 is no limit.
        max_output_tokens: usize = 8000 => .variables(&["MCP_GIT_MAX_OUTPUT_TOKENS"]).flag("--max-output-tokens").reloads();
        /// Seconds that a read may take.
        read_timeout: Seconds = Seconds(60), within(u64: 1..=3600) => .variables(&["MCP_GIT_READ_TIMEOUT"]).reloads();
        /// Seconds that a change may take, hooks included.
        change_timeout: Seconds = Seconds(300), within(u64: 1..=3600) => .variables(&["MCP_GIT_CHANGE_TIMEOUT"]).reloads();
        /// Seconds that a call to a remote may take.
        network_timeout: Seconds = Seconds(600), within(u64: 1..=3600) => .variables(&["MCP_GIT_NETWORK_TIMEOUT"]).reloads();
        /// Concurrent reads, and as many changes.
        max_concurrent: usize = 10, within(usize: 1..=1000) => .variables(&["MCP_GIT_MAX_CONCURRENT"]);
        /// Concurrent calls per remote host.
        per_host: usize = 4, within(usize: 1..=1000) => .variables(&["MCP_GIT_PER_HOST"]);
    }
}
