//! The configuration reference.

/// Every key with its variable, its default and its meaning: the configuration reference.
pub const REFERENCE: &[(&str, &str, &str, &str)] = &[
    (
        "repositories",
        "",
        "the repository of the current directory",
        "Directories whose repositories may be used, as `-r`. A repository named here runs its hooks and filters.",
    ),
    ("port", "MCP_GIT_PORT", "8080", "The port of `serve`; 0 takes any free one."),
    (
        "http.host",
        "MCP_GIT_HOST",
        "the loopback",
        "The address of `serve`. One that other machines can reach needs `auth.tokens`; put a proxy with TLS in front of it.",
    ),
    ("http.socket", "MCP_GIT_SOCKET", "", "A Unix socket in place of address and port, for the owner alone."),
    ("http.allowed_hosts", "MCP_GIT_ALLOWED_HOSTS", "", "Names, besides those of the loopback, that the Host header may have."),
    (
        "http.allowed_origins",
        "MCP_GIT_ALLOWED_ORIGINS",
        "",
        "Origins such as `https://app.example`, besides those of the loopback, whose pages may send requests; browsers are told so (CORS).",
    ),
    ("http.rate", "MCP_GIT_RATE", "0", "Requests a second for each token, and twice as many at once; 0 is no limit."),
    (
        "auth.tokens",
        "",
        "",
        "Tables with `name`, `sha256` and `scopes` (`read`, `write`, `network`, `admin`): who may use `serve`. Without any everybody on this \
         machine may. `mcp-server-git token NAME` makes one.",
    ),
    (
        "auth.jwt",
        "",
        "",
        "A table with `issuer`, `audience` and `jwks` (a URL or a file): tokens of this authorization server are taken that are signed with \
         its keys, meant for this audience, and not expired; `scope` or `scp` says what they allow.",
    ),
    ("auth.authorization_servers", "", "", "Where clients get tokens, as the metadata of this resource says it (RFC 9728)."),
    ("auth.resource", "", "the URL that is asked for", "The name of this resource in the same metadata."),
    (
        "sessions.max",
        "MCP_GIT_MAX_CONCURRENT_SESSIONS (or MCP_GIT_SESSIONS_MAX)",
        "1000",
        "Sessions of the revisions before 2026-07-28, and WebSockets, at a time.",
    ),
    (
        "sessions.idle",
        "MCP_GIT_SESSION_TIMEOUT (or MCP_GIT_SESSIONS_IDLE)",
        "3600",
        "Seconds that a session may be silent. One with a call or a stream is not.",
    ),
    (
        "sessions.evict_batch",
        "MCP_GIT_SESSIONS_EVICT_BATCH",
        "100",
        "Sessions evicted at once when the session limit is reached: those idle longest, of the principal with the most; at most a \
         tenth of `sessions.max`. A session with work in flight is never evicted.",
    ),
    ("sessions.sweep_interval", "MCP_GIT_SESSIONS_SWEEP", "300", "Seconds between two looks for sessions that are idle too long."),
    ("sessions.idle_warn", "MCP_GIT_SESSIONS_IDLE_WARN", "100", "Idle sessions above which the log and `sessions list` warn."),
    (
        "sessions.workspace_ttl",
        "MCP_GIT_WORKSPACE_TTL",
        "604800",
        "Seconds after which a workspace that nobody uses is closed, its branch kept; one with edits or untracked files stays.",
    ),
    (
        "heartbeat.interval",
        "MCP_GIT_HEARTBEAT_INTERVAL",
        "30",
        "Seconds between two beats: a WebSocket that was not heard since the last is pinged.",
    ),
    ("heartbeat.missed", "MCP_GIT_HEARTBEAT_MISSED", "3", "Pings that may stay unanswered; any message answers them."),
    (
        "store.url",
        "MCP_GIT_STORE_URL",
        "a file below the state folder",
        "Where sessions, operations and counts of errors are kept: `sqlite:/PATH`, or `postgres://USER:PASSWORD@HOST/DATABASE`, which several \
         servers may share; they then take leases for changes.",
    ),
    (
        "store.lease_ttl",
        "MCP_GIT_STORE_LEASE",
        "30",
        "Seconds that a server which shares the store may be silent before another takes over what it was changing.",
    ),
    ("circuits.failure_threshold", "MCP_GIT_CIRCUIT_FAILURES", "5", "Failures in a row that open a circuit."),
    ("circuits.recovery_timeout", "MCP_GIT_CIRCUIT_RECOVERY", "30", "Seconds after which an open circuit lets trials through."),
    ("circuits.half_open_max_calls", "MCP_GIT_CIRCUIT_TRIALS", "3", "Trials at a time."),
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
        "`strict` refuses messages with fields that are not known, those without `jsonrpc`, and arguments of another type; `lenient` \
         understands what can be understood, and says so in `_meta` of the result (`mcp-server-git/warnings`). `mcp-server-git validate` \
         shows both verdicts.",
    ),
    ("errors.spike_per_minute", "MCP_GIT_ERRORS_SPIKE", "5", "Errors of a class a minute, above which there is a spike."),
    (
        "admin.socket",
        "MCP_GIT_ADMIN_SOCKET",
        "PID.sock in the folder of runtime files",
        "The Unix socket of the admin channel, for the owner alone.",
    ),
    ("limits.per_host", "MCP_GIT_PER_HOST", "4", "Calls that reach one host at a time."),
    ("restart.drain", "MCP_GIT_DRAIN", "300", "Seconds that calls may go on when the server is drained."),
    (
        "toolsets",
        "MCP_GIT_TOOLSETS",
        "default",
        "A list of `default`, `history`, `branches` (and tags), `remotes` (and clone), `worktrees`, `rewrite` (revert, apply, clean, rm, mv), \
         `bisect`, `submodules`, `sparse`, `notes`, `config`, `maintenance`, or `all`; `reference` for exactly the tools of the reference \
         server, `legacy` for those of the package before this one.",
    ),
    ("tools", "MCP_GIT_TOOLS", "", "Further tools by name. Without `toolsets` these are the only ones, also for calls."),
    ("exclude_tools", "MCP_GIT_EXCLUDE_TOOLS", "", "Tools that are neither listed nor called."),
    ("read_only", "MCP_GIT_READ_ONLY", "false", "Nothing that changes anything is listed or called, whatever else is set."),
    (
        "trust",
        "MCP_GIT_TRUST",
        "owner",
        "`owner`: changes run the hooks and filters of repositories that are named. `untrusted`: of none; a change that would need one is refused.",
    ),
    (
        "sandbox",
        "MCP_GIT_SANDBOX",
        "untrusted",
        "Which repositories' git processes run inside a Landlock domain of the kernel (Linux 6.12 or newer). `untrusted`: those of \
         repositories that are not named; where the kernel has no Landlock changes in them are refused. `always`: those of named ones, too: \
         hooks and filters run, see the repository and, read-only, the system, and reach no network. `off`: none.",
    ),
    (
        "policy.force_push",
        "MCP_GIT_FORCE_PUSH",
        "confirm",
        "`allow`, `confirm` or `deny` pushes that replace what is there. Only with a lease.",
    ),
    ("policy.hard_reset", "MCP_GIT_HARD_RESET", "confirm", "The same for git_reset with `hard`."),
    ("policy.clean", "MCP_GIT_CLEAN", "confirm", "The same for git_clean."),
    ("policy.delete", "MCP_GIT_DELETE", "confirm", "The same for deleting branches that are not merged, tags, and branches of a remote."),
    ("policy.rewrite_pushed", "MCP_GIT_REWRITE_PUSHED", "confirm", "The same for rewriting commits that a remote has."),
    (
        "policy.model_confirms",
        "MCP_GIT_MODEL_CONFIRMS",
        "false",
        "`true`: the argument `confirm` of a call counts for every client. Otherwise it counts only where the client cannot ask its user, or \
         fails to; elsewhere the user is asked.",
    ),
    (
        "policy.protected_branches",
        "MCP_GIT_PROTECTED_BRANCHES",
        "main, master",
        "Branches that are never deleted or force-pushed, and whose pushed commits are never rewritten. `*` at the end stands for any rest; \
         an empty list protects none.",
    ),
    ("policy.hooks", "MCP_GIT_HOOKS", "allow", "`deny`: no hook runs, not even of trusted repositories."),
    ("policy.signing", "MCP_GIT_SIGNING", "auto", "`auto`: as git is configured. `never`. `require`: what cannot be signed is not made."),
    (
        "network.protocols",
        "MCP_GIT_PROTOCOLS",
        "https, ssh",
        "How remotes may be reached; `http`, `git` and `file` are insecure and off by default.",
    ),
    (
        "network.allow_hosts",
        "MCP_GIT_ALLOW_HOSTS",
        "",
        "Hosts that may be at private addresses, by the name that their URLs have. All others must be on the public internet.",
    ),
    ("git", "", "`git` on PATH", "The git program."),
    (
        "state_dir",
        "MCP_GIT_STATE_DIR",
        "$XDG_STATE_HOME/mcp-server-git",
        "Where locks and the journal of changes are kept, never in a repository. Servers that share repositories share this folder.",
    ),
    ("log.level", "MCP_GIT_LOG_LEVEL (or RUST_LOG)", "warn", "A level, or directives such as `warn,mcp_server_git=debug`."),
    ("log.format", "MCP_GIT_LOG_FORMAT", "text", "`text` or `json`."),
    (
        "log.file",
        "MCP_GIT_LOG_FILE",
        "",
        "A file for the log, as JSON, beside standard error: each day a new one, with the date after its name.",
    ),
    ("log.keep", "", "7", "Files of the log that are kept."),
    (
        "limits.max_output_tokens",
        "MCP_GIT_MAX_OUTPUT_TOKENS",
        "8000",
        "The most tokens in a result, counted as four bytes each; 0 is no limit.",
    ),
    (
        "debug.breakpoint",
        "MCP_DEBUG_BREAKPOINT",
        "",
        "Calls that are held before they begin: `1` or `*` for all, or tools by name. `debug held` lists them, `debug resume` lets them go on.",
    ),
    ("debug.hold_limit", "MCP_GIT_HOLD_LIMIT", "300", "Seconds after which a held call continues by itself."),
    ("perf.slow_ms", "MCP_GIT_SLOW_MS", "1000", "Milliseconds after which a call is logged as slow, at `warn`, with where its time went."),
    ("memory.sample_interval", "MCP_GIT_MEMORY_INTERVAL", "300", "Seconds between two notes of the memory in use."),
    (
        "memory.soft_limit",
        "MCP_GIT_MEMORY_LIMIT",
        "0",
        "Bytes in use above which new calls are refused until there is less; 0 is nine tenths of the control group's limit, where there is \
         one.",
    ),
    ("cpu.sample_interval", "MCP_GIT_CPU_INTERVAL", "10", "Seconds between two measurements of the use of the processors."),
    ("cpu.warn_percent", "MCP_GIT_CPU_WARN", "80", "The use of all processors, in percent, above which the log warns."),
    (
        "profile.heap.enabled",
        "MCP_GIT_HEAP_PROFILE",
        "false",
        "Tracks allocations from the start, for `profile heap`. `profile heap --track on` begins at any time.",
    ),
    ("profile.heap.interval", "MCP_GIT_HEAP_INTERVAL", "600", "Seconds between two snapshots of the heap while allocations are tracked."),
    (
        "profile.heap.analyze_after",
        "MCP_GIT_HEAP_ANALYZE_AFTER",
        "10",
        "After how many snapshots the log says what grew, as a warning where it grew from each to the next.",
    ),
    ("profile.heap.keep", "MCP_GIT_HEAP_KEEP", "5", "How many snapshots of the heap are kept."),
    (
        "cache.sweep_interval",
        "MCP_GIT_CACHE_SWEEP",
        "3600",
        "Seconds between two sweeps of the caches; entries unused since the last one are evicted.",
    ),
    ("cache.NAME.enabled", "", "true", "Switches a cache off: `repositories` or `validation`."),
    (
        "telemetry.otlp_endpoint",
        "OTEL_EXPORTER_OTLP_ENDPOINT (or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_METRICS_ENDPOINT)",
        "",
        "A collector of OpenTelemetry, as `http://localhost:4318`: traces of calls and metrics are sent there over HTTP. The other \
         variables of the SDK are heeded, too.",
    ),
    ("metrics.enabled", "MCP_GIT_METRICS", "true", "Whether `/metrics` is served, in the format of Prometheus."),
    ("limits.read_timeout", "MCP_GIT_READ_TIMEOUT", "60", "Seconds that a read may take."),
    ("limits.change_timeout", "MCP_GIT_CHANGE_TIMEOUT", "300", "Seconds that a change may take, hooks included."),
    ("limits.network_timeout", "MCP_GIT_NETWORK_TIMEOUT", "600", "Seconds that a call may take that reaches a remote."),
    ("limits.max_concurrent", "MCP_GIT_MAX_CONCURRENT", "10", "Reads, and changes, that run at a time."),
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
