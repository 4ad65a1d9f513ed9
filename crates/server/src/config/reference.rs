//! The configuration reference.

/// Every key with its variable, its default and its meaning.
pub const REFERENCE: &[(&str, &str, &str, &str)] = &[
    (
        "repositories",
        "",
        "the repository of the current directory",
        "Allowed directories of repositories, as `-r`. A repository named here may run its hooks and filters.",
    ),
    ("port", "MCP_GIT_PORT", "8080", "The port of `serve`; 0 picks a free one."),
    (
        "http.host",
        "MCP_GIT_HOST",
        "loopback",
        "The address of `serve`. One other than loopback needs `auth.tokens`; put a proxy with TLS in front of it.",
    ),
    ("http.socket", "MCP_GIT_SOCKET", "", "A Unix socket instead of address and port, for the owner only."),
    ("http.allowed_hosts", "MCP_GIT_ALLOWED_HOSTS", "", "Names accepted in the Host header, besides loopback names."),
    (
        "http.allowed_origins",
        "MCP_GIT_ALLOWED_ORIGINS",
        "",
        "Origins such as `https://app.example` whose pages may send requests (CORS), besides loopback origins.",
    ),
    ("http.rate", "MCP_GIT_RATE", "0", "Requests per second and token, with bursts of twice as many; 0 is no limit."),
    (
        "auth.tokens",
        "",
        "",
        "Tables with `name`, `sha256` and `scopes` (`read`, `write`, `network`, `admin`): who may use `serve`. Without any, every user of \
         this machine may. `mcp-server-git token NAME` creates one.",
    ),
    (
        "auth.jwt",
        "",
        "",
        "A table with `issuer`, `audience` and `jwks` (a URL or a file): accepts tokens signed by this authorization server for this \
         audience, until they expire; `scope` or `scp` holds their scopes.",
    ),
    ("auth.authorization_servers", "", "", "Where clients get tokens, for the metadata of this resource (RFC 9728)."),
    ("auth.resource", "", "the requested URL", "The name of this resource in that metadata."),
    (
        "sessions.max",
        "MCP_GIT_MAX_CONCURRENT_SESSIONS (or MCP_GIT_SESSIONS_MAX)",
        "1000",
        "Concurrent sessions of revisions before 2026-07-28, and WebSockets.",
    ),
    (
        "sessions.idle",
        "MCP_GIT_SESSION_TIMEOUT (or MCP_GIT_SESSIONS_IDLE)",
        "3600",
        "Seconds until an idle session expires. Calls and streams keep it active.",
    ),
    (
        "sessions.evict_batch",
        "MCP_GIT_SESSIONS_EVICT_BATCH",
        "100",
        "Sessions evicted at once when the session limit is reached: those idle longest, of the principal with the most; at most a tenth \
         of `sessions.max`. A session with work in flight is never evicted.",
    ),
    ("sessions.sweep_interval", "MCP_GIT_SESSIONS_SWEEP", "300", "Seconds between sweeps for expired sessions."),
    ("sessions.idle_warn", "MCP_GIT_SESSIONS_IDLE_WARN", "100", "Idle sessions above which the log and `sessions list` warn."),
    (
        "sessions.workspace_ttl",
        "MCP_GIT_WORKSPACE_TTL",
        "604800",
        "Seconds until an unused workspace is closed, its branch kept; one with edits or untracked files stays.",
    ),
    ("heartbeat.interval", "MCP_GIT_HEARTBEAT_INTERVAL", "30", "Seconds between heartbeats: a WebSocket silent since the last is pinged."),
    ("heartbeat.missed", "MCP_GIT_HEARTBEAT_MISSED", "3", "Unanswered pings allowed; any message answers them."),
    (
        "store.url",
        "MCP_GIT_STORE_URL",
        "a file in the state directory",
        "Database of sessions, operations and error counts: `sqlite:/PATH`, or `postgres://USER:PASSWORD@HOST/DATABASE`, which several \
         servers may share; they then take leases for changes.",
    ),
    (
        "store.lease_ttl",
        "MCP_GIT_STORE_LEASE",
        "30",
        "Seconds until the lease of a silent server expires, and another server may take over its changes.",
    ),
    ("circuits.failure_threshold", "MCP_GIT_CIRCUIT_FAILURES", "5", "Failures in a row that open a circuit."),
    ("circuits.recovery_timeout", "MCP_GIT_CIRCUIT_RECOVERY", "30", "Seconds after which an open circuit permits trials."),
    ("circuits.half_open_max_calls", "MCP_GIT_CIRCUIT_TRIALS", "3", "Concurrent trials."),
    (
        "circuits.\"NAME\"",
        "",
        "",
        "Tables with the same three keys for one circuit, as `[circuits.\"example.com:443/fetch\"]`. `circuits list` shows the names.",
    ),
    (
        "validation.mode",
        "MCP_GIT_VALIDATION",
        "lenient",
        "`strict` rejects messages with unknown fields or without `jsonrpc`, and arguments of the wrong type; `lenient` accepts what it \
         can, and reports it in `_meta` of the result (`mcp-server-git/warnings`). `mcp-server-git validate` shows both verdicts.",
    ),
    ("errors.spike_per_minute", "MCP_GIT_ERRORS_SPIKE", "5", "Errors per minute and class above which there is a spike."),
    (
        "admin.socket",
        "MCP_GIT_ADMIN_SOCKET",
        "PID.sock in the runtime directory",
        "The Unix socket of the admin channel, for the owner only.",
    ),
    ("limits.per_host", "MCP_GIT_PER_HOST", "4", "Concurrent calls per remote host."),
    ("restart.drain", "MCP_GIT_DRAIN", "300", "Seconds that calls may run while the server drains."),
    (
        "toolsets",
        "MCP_GIT_TOOLSETS",
        "default",
        "A list of `default`, `history`, `branches` (and tags), `remotes` (and clone), `worktrees`, `rewrite` (revert, apply, clean, rm, \
         mv), `bisect`, `submodules`, `sparse`, `notes`, `config`, `maintenance`, or `all`; `reference` for exactly the tools of the \
         reference server, `legacy` for those of this package's predecessor.",
    ),
    ("tools", "MCP_GIT_TOOLS", "", "Extra tools by name. Without `toolsets`, only these are listed and callable."),
    ("exclude_tools", "MCP_GIT_EXCLUDE_TOOLS", "", "Disabled tools: not listed, not callable."),
    ("read_only", "MCP_GIT_READ_ONLY", "false", "Disables every tool that makes changes, whatever else is set."),
    (
        "trust",
        "MCP_GIT_TRUST",
        "owner",
        "`owner`: changes run the hooks and filters of named repositories. `untrusted`: none run; a change that needs one is refused.",
    ),
    (
        "sandbox",
        "MCP_GIT_SANDBOX",
        "untrusted",
        "Which repositories' git processes run in a Landlock sandbox (Linux 6.12 or newer). `untrusted`: those of repositories that are \
         not named; without Landlock, changes in them are refused. `always`: those of named ones, too: hooks and filters run, see the \
         repository and, read-only, the system, and have no network. `off`: none.",
    ),
    ("policy.force_push", "MCP_GIT_FORCE_PUSH", "confirm", "`allow`, `confirm` or `deny` force pushes. They always need a lease."),
    ("policy.hard_reset", "MCP_GIT_HARD_RESET", "confirm", "The same for git_reset with `hard`."),
    ("policy.clean", "MCP_GIT_CLEAN", "confirm", "The same for git_clean."),
    ("policy.delete", "MCP_GIT_DELETE", "confirm", "The same for deleting unmerged branches, tags, and remote branches."),
    ("policy.rewrite_pushed", "MCP_GIT_REWRITE_PUSHED", "confirm", "The same for rewriting pushed commits."),
    (
        "policy.model_confirms",
        "MCP_GIT_MODEL_CONFIRMS",
        "false",
        "`true`: a call's argument `confirm` counts for every client. Otherwise it counts only if the client cannot ask its user, or fails \
         to; else the user is asked.",
    ),
    (
        "policy.protected_branches",
        "MCP_GIT_PROTECTED_BRANCHES",
        "main, master",
        "Branches that are never deleted or force-pushed, and whose pushed commits are never rewritten. A trailing `*` matches any rest; \
         an empty list protects none.",
    ),
    ("policy.hooks", "MCP_GIT_HOOKS", "allow", "`deny`: no hook runs, not even in trusted repositories."),
    ("policy.signing", "MCP_GIT_SIGNING", "auto", "`auto`: as git is configured. `never`. `require`: refuses what cannot be signed."),
    (
        "network.protocols",
        "MCP_GIT_PROTOCOLS",
        "https, ssh",
        "Allowed protocols of remotes; `http`, `git` and `file` are insecure and off by default.",
    ),
    (
        "network.allow_hosts",
        "MCP_GIT_ALLOW_HOSTS",
        "",
        "Hosts that may have private addresses, as named in URLs. All others must be on the public internet.",
    ),
    ("git", "", "`git` on PATH", "The git program."),
    (
        "state_dir",
        "MCP_GIT_STATE_DIR",
        "$XDG_STATE_HOME/mcp-server-git",
        "Directory for locks and the change journal, never in a repository. Servers that share repositories must share it.",
    ),
    ("log.level", "MCP_GIT_LOG_LEVEL (or RUST_LOG)", "warn", "A level, or directives such as `warn,mcp_server_git=debug`."),
    ("log.format", "MCP_GIT_LOG_FORMAT", "text", "`text` or `json`."),
    (
        "log.file",
        "MCP_GIT_LOG_FILE",
        "",
        "A file for the log, as JSON, besides standard error; rotated daily, with the date appended to its name.",
    ),
    ("log.keep", "", "7", "Number of log files kept."),
    (
        "limits.max_output_tokens",
        "MCP_GIT_MAX_OUTPUT_TOKENS",
        "8000",
        "Maximum tokens per result, counted as four bytes each; 0 is no limit.",
    ),
    (
        "debug.breakpoint",
        "MCP_DEBUG_BREAKPOINT",
        "",
        "Calls held before they start: `1` or `*` for all, or tools by name. `debug held` lists them, `debug resume` releases them.",
    ),
    ("debug.hold_limit", "MCP_GIT_HOLD_LIMIT", "300", "Seconds after which a held call is released."),
    ("perf.slow_ms", "MCP_GIT_SLOW_MS", "1000", "Milliseconds after which a call is logged as slow, at `warn`, with a time breakdown."),
    ("memory.sample_interval", "MCP_GIT_MEMORY_INTERVAL", "300", "Seconds between memory samples."),
    (
        "memory.soft_limit",
        "MCP_GIT_MEMORY_LIMIT",
        "0",
        "Bytes in use above which new calls are refused until usage drops; 0 is nine tenths of the cgroup's limit, if any.",
    ),
    ("cpu.sample_interval", "MCP_GIT_CPU_INTERVAL", "10", "Seconds between CPU samples."),
    ("cpu.warn_percent", "MCP_GIT_CPU_WARN", "80", "Total CPU usage in percent above which the log warns."),
    (
        "profile.heap.enabled",
        "MCP_GIT_HEAP_PROFILE",
        "false",
        "Tracks allocations from startup, for `profile heap`. `profile heap --track on` starts at any time.",
    ),
    ("profile.heap.interval", "MCP_GIT_HEAP_INTERVAL", "600", "Seconds between heap snapshots while allocations are tracked."),
    (
        "profile.heap.analyze_after",
        "MCP_GIT_HEAP_ANALYZE_AFTER",
        "10",
        "Snapshots after which the log reports growth, as a warning if each snapshot is larger than the last.",
    ),
    ("profile.heap.keep", "MCP_GIT_HEAP_KEEP", "5", "Number of heap snapshots kept."),
    ("cache.sweep_interval", "MCP_GIT_CACHE_SWEEP", "3600", "Seconds between cache sweeps; entries unused since the last one are evicted."),
    ("cache.NAME.enabled", "", "true", "Enables a cache: `repositories` or `validation`."),
    (
        "telemetry.otlp_endpoint",
        "OTEL_EXPORTER_OTLP_ENDPOINT (or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_METRICS_ENDPOINT)",
        "",
        "An OpenTelemetry collector, such as `http://localhost:4318`, for metrics and traces of calls, over HTTP. The SDK's other \
         variables apply, too.",
    ),
    ("metrics.enabled", "MCP_GIT_METRICS", "true", "Whether `/metrics` is served, in Prometheus' format."),
    ("limits.read_timeout", "MCP_GIT_READ_TIMEOUT", "60", "Seconds that a read may take."),
    ("limits.change_timeout", "MCP_GIT_CHANGE_TIMEOUT", "300", "Seconds that a change may take, hooks included."),
    ("limits.network_timeout", "MCP_GIT_NETWORK_TIMEOUT", "600", "Seconds that a call to a remote may take."),
    ("limits.max_concurrent", "MCP_GIT_MAX_CONCURRENT", "10", "Concurrent reads, and as many changes."),
];

/// The keys that take effect when the configuration is reloaded (SIGHUP); the others need a restart.
pub const RELOADABLE: &[&str] = &[
    "auth.tokens",
    "sessions.max",
    "sessions.idle",
    "sessions.evict_batch",
    "sessions.idle_warn",
    "heartbeat.missed",
    "errors.spike_per_minute",
    "restart.drain",
    "log.level",
    "limits.max_output_tokens",
    "limits.read_timeout",
    "limits.change_timeout",
    "limits.network_timeout",
    "perf.slow_ms",
    "memory.soft_limit",
    "cpu.warn_percent",
    "profile.heap.analyze_after",
    "profile.heap.keep",
];

/// The environment variables of a key.
pub(crate) fn variables(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.split(|c: char| !(c.is_ascii_uppercase() || c == '_')).filter(|word| word.contains('_'))
}
