//! The command line: one file for each sub-command.

mod admin;
mod call;
mod config;
pub mod diagnose;
mod doctor;
mod pages;
mod profile;
mod progress;
mod serve;
mod setup;
mod stdio;
mod supervise;
mod token;
mod top;
mod validate;

pub(crate) use crate::terminal::tell;
use crate::{
    app::App,
    caller::Right,
    config::{Config, ConfigError, Flags, LogFormat, Sandbox, Trust, keys, unknown_variables, unread},
    telemetry::log::init_log,
    tool::toolset::Toolset,
};
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand, ValueHint, error::ErrorKind};
use std::{
    ffi::OsString,
    io::{self, Write},
    net::IpAddr,
    path::PathBuf,
    process::ExitCode,
};

/// Exit code for "a problem was found".
const FOUND: u8 = 1;
/// Exit code for "could not run".
const CANNOT_RUN: u8 = 2;
/// Exit code for "not found".
const NOT_FOUND: u8 = 3;

/// Git for coding agents, over the Model Context Protocol.
///
/// Without a sub-command it speaks MCP on standard input and output, as clients start it.
#[derive(Parser)]
#[command(name = "mcp-server-git", disable_version_flag = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[arg(short, long = "repository", value_name = "PATH", value_hint = ValueHint::DirPath, global = true)]
    repository: Vec<PathBuf>,

    /// The configuration file.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, global = true)]
    config: Option<PathBuf>,

    #[arg(long, value_enum, value_delimiter = ',', global = true)]
    toolsets: Vec<Toolset>,

    #[arg(long, value_delimiter = ',', value_name = "TOOLS", global = true)]
    tools: Vec<String>,

    #[arg(long, value_delimiter = ',', value_name = "TOOLS", global = true)]
    exclude_tools: Vec<String>,

    #[arg(long, global = true)]
    read_only: bool,

    #[arg(long, value_enum, global = true)]
    trust: Option<Trust>,

    #[arg(long, value_enum, global = true)]
    sandbox: Option<Sandbox>,

    #[arg(long, value_name = "PROGRAM", value_hint = ValueHint::CommandName, global = true)]
    git: Option<PathBuf>,

    #[arg(long, value_name = "DIRECTORY", value_hint = ValueHint::DirPath, global = true)]
    state_dir: Option<PathBuf>,

    #[arg(long, value_name = "LEVEL", global = true)]
    log_level: Option<String>,

    #[arg(long, value_enum, global = true)]
    log_format: Option<LogFormat>,

    #[arg(long, value_name = "TOKENS", global = true)]
    max_output_tokens: Option<usize>,

    /// Prints the versions of this program and of git.
    #[arg(short = 'V', long)]
    version: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Serves MCP over HTTP on this machine, at /mcp.
    Serve {
        #[arg(short, long)]
        port: Option<u16>,
        #[arg(long, value_name = "ADDRESS")]
        host: Option<IpAddr>,
        #[arg(long, value_name = "PATH")]
        socket: Option<PathBuf>,
        #[arg(long, value_name = "PATH")]
        admin_socket: Option<PathBuf>,
        /// Restarts the server when it fails, and lets `restart` replace it without refusing connections.
        #[arg(long)]
        supervised: bool,
    },
    /// Creates a token for `serve`, and prints its entry for the configuration.
    Token {
        /// The principal.
        name: String,
        /// Its scopes.
        #[arg(long, value_enum, value_delimiter = ',', default_value = "read,write,network")]
        scopes: Vec<Right>,
    },
    /// Calls one tool and prints its text.
    Call {
        /// The tool, for example `git_status`.
        tool: String,
        /// Its arguments as a JSON object.
        #[arg(default_value = "{}")]
        arguments: String,
    },
    /// Prints the client's entry for this server, with the general options given here.
    Setup {
        /// The client.
        #[arg(value_enum)]
        client: setup::Client,
        /// Merges it into the client's configuration, keeping a backup.
        #[arg(long)]
        write: bool,
    },
    /// Validates messages as the server does, in strict and lenient mode. Exits with 1 if one is invalid.
    Validate {
        /// One message, or one per line; standard input if absent or `-`.
        file: Option<PathBuf>,
        /// Strict only.
        #[arg(long)]
        strict: bool,
        /// Lenient only.
        #[arg(long)]
        lenient: bool,
        /// The expected kind of message: a method, or its last part, such as `cancelled`.
        #[arg(long = "as", value_name = "KIND")]
        kind: Option<String>,
        /// Prints JSON, one line per message.
        #[arg(long)]
        json: bool,
    },
    /// Shows and checks the configuration, and prints the schema of its file.
    Config {
        #[command(subcommand)]
        what: config::Command,
    },
    /// Profiles CPU time and memory.
    Profile {
        #[command(subcommand)]
        what: profile::Command,
    },
    /// Prints completions for a shell.
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Prints the manual page, or writes those of all sub-commands to a folder.
    Man {
        /// The folder.
        #[arg(long, value_name = "DIRECTORY")]
        out: Option<PathBuf>,
    },
    /// Checks this machine, its repositories and a remote server, and prints a fix for each problem. Exits with 1 if it
    /// finds one.
    Doctor(doctor::Options),
    /// Shows a running server in the terminal, live: calls, sessions, circuits, latencies, errors and log. `?` shows its keys.
    /// Without a terminal, prints all of it once.
    Top(top::Options),
    #[command(flatten)]
    Admin(admin::Command),
}

/// Sub-commands that use the general options. The help of the others shows only those that they use.
const GENERAL: [&str; 3] = ["serve", "call", "setup"];
const USED: [(&str, &[&str]); 4] =
    [("operations", &["repository"]), ("doctor", &["repository", "config"]), ("show", &["config"]), ("check", &["config", "repository"])];
/// Shows the general options for every sub-command.
const HELP_ALL: &str = "--help-all";

/// Parses the command line; exits after printing help or a usage error.
fn parse() -> (Cli, ArgMatches) {
    let given: Vec<OsString> = std::env::args_os().collect();
    let wants_all = given.iter().any(|arg| arg == HELP_ALL);
    let plain = given.iter().map(|arg| if arg == HELP_ALL { OsString::from("--help") } else { arg.clone() });
    let read = command().try_get_matches_from(plain).and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    read.unwrap_or_else(|err| {
        if err.kind() == ErrorKind::DisplayHelp
            && !wants_all
            && let Some(mut help) = own_help(&given)
        {
            say(help.render_long_help().to_string().trim_end());
            std::process::exit(0);
        }
        err.exit()
    })
}

/// The definition of the command line. Flags of configuration keys are described as the keys are.
pub(crate) fn command() -> clap::Command {
    let keys = keys();
    let described = |arg: clap::Arg| {
        let key = keys.iter().find(|key| key.flag.is_some_and(|flag| flag.strip_prefix("--") == arg.get_long()));
        let Some(key) = key else { return arg };
        let first = key.meaning.split_inclusive(". ").next().unwrap_or_default().trim_end().trim_end_matches('.');
        let variables = if key.variables.is_empty() { String::new() } else { format!(" Variable: {}.", key.variables.join(" or ")) };
        arg.help(first.to_owned()).long_help(format!("{}{variables}", key.meaning))
    };
    let takes_keys = ["serve", "doctor"];
    takes_keys
        .into_iter()
        .fold(Cli::command().mut_args(described), |command, name| command.mut_subcommand(name, |sub| sub.mut_args(described)))
}

/// The given sub-command with only its own options. `None` if it uses the general ones.
fn own_help(given: &[OsString]) -> Option<clap::Command> {
    let general: Vec<clap::Id> = command().get_arguments().map(|arg| arg.get_id().clone()).collect();
    let mut command = command();
    command.build();
    let takes_a_value = |word: &str| {
        let named = |arg: &&clap::Arg| {
            arg.get_long().is_some_and(|long| word.strip_prefix("--") == Some(long))
                || arg.get_short().is_some_and(|short| word.strip_prefix('-') == Some(&short.to_string()))
        };
        command.get_arguments().find(named).is_some_and(|arg| arg.get_action().takes_values())
    };
    let mut found: Option<clap::Command> = None;
    let mut words = given.iter().skip(1).filter_map(|word| word.to_str());
    while let Some(word) = words.next() {
        if takes_a_value(word) {
            words.next();
        } else if let Some(below) = found.as_ref().unwrap_or(&command).find_subcommand(word).filter(|_| word != "help") {
            found = Some(below.clone());
        }
    }
    let found = found.filter(|found| !GENERAL.contains(&found.get_name()))?;
    let used = USED.iter().find(|(name, _)| *name == found.get_name()).map_or(&[][..], |(_, used)| used);
    let ids: Vec<clap::Id> =
        found.get_arguments().map(|arg| arg.get_id().clone()).filter(|id| general.contains(id) && !used.contains(&id.as_str())).collect();
    let own = ids.into_iter().fold(found, |command, id| command.mut_arg(id, |arg| arg.hide(true)));
    Some(own.after_help(format!("{HELP_ALL} shows the general options, too.")))
}

/// Runs the program.
pub fn run() -> ExitCode {
    let (cli, matches) = parse();
    if cli.version {
        return print_version(cli.git);
    }
    let (port, host, socket, admin_socket) = match &cli.command {
        Some(Command::Serve { port, host, socket, admin_socket, .. }) => (*port, *host, socket.clone(), admin_socket.clone()),
        Some(Command::Doctor(options)) => (options.port, options.host, None, None),
        _ => (None, None, None, None),
    };
    let flags = Flags {
        config: cli.config,
        repositories: cli.repository,
        port,
        host,
        socket,
        admin_socket,
        toolsets: cli.toolsets,
        tools: cli.tools,
        exclude_tools: cli.exclude_tools,
        read_only: cli.read_only,
        trust: cli.trust,
        sandbox: cli.sandbox,
        git: cli.git,
        state_dir: cli.state_dir,
        log_level: cli.log_level,
        log_format: cli.log_format,
        max_output_tokens: cli.max_output_tokens,
    };
    if let Some(Command::Setup { client, write }) = cli.command {
        return setup::run(client, write, &matches);
    }
    if let Some(Command::Token { name, scopes }) = &cli.command {
        return token::run(name, scopes);
    }
    let named = flags.repositories.clone();
    if let Some(Command::Validate { file, strict, lenient, kind, json }) = &cli.command {
        return validate::run(file.as_deref(), (*strict, *lenient), kind.as_deref(), *json);
    }
    match &cli.command {
        Some(Command::Config { what }) => return config::run(*what, &flags),
        Some(Command::Completions { shell }) => return pages::completions(*shell, command()),
        Some(Command::Man { out }) => return pages::manual(out.as_deref(), command()),
        Some(Command::Doctor(options)) => return doctor::run(options, &flags),
        _ => {}
    }
    let config = match configuration(cli.command.as_ref(), &flags) {
        Ok(config) => config,
        Err(err) => return cannot_run(&err),
    };
    init_log(&config);
    for name in unknown_variables() {
        tracing::warn!("{}", unread(&name));
    }
    match &cli.command {
        Some(Command::Admin(command)) => return admin::run(command, &config, &named),
        Some(Command::Profile { what }) => return profile::run(what, config),
        Some(Command::Top(options)) => return top::run(options, config),
        _ => {}
    }
    let app = match App::new(&config) {
        Ok(app) => app,
        Err(err) => return cannot_run(&err),
    };
    match cli.command {
        None => stdio::run(&app, &config),
        Some(Command::Serve { supervised: true, .. }) => supervise::run(&app, &config),
        Some(Command::Serve { .. }) => serve::run(&app, &config),
        Some(Command::Call { tool, arguments }) => call::run(&app, &tool, &arguments),
        // Handled above.
        Some(_) => ExitCode::SUCCESS,
    }
}

/// The configuration of a sub-command. One that reaches a running server needs little of it, and is needed most while something is
/// wrong: it only warns about a mistake.
fn configuration(command: Option<&Command>, flags: &Flags) -> Result<Config, ConfigError> {
    let reaches = match command {
        Some(Command::Admin(_) | Command::Top(_)) => true,
        Some(Command::Profile { what }) => what.reaches_a_server(),
        _ => false,
    };
    let mut config = match Config::load(flags) {
        Err(err) if reaches => {
            let config = Config::load_to_reach(flags)?;
            tell(&format!("mcp-server-git: warning: {err}\nThe command continues: it needs only `state_dir` and `admin.socket`."));
            config
        }
        loaded => loaded?,
    };
    if matches!(command, Some(Command::Admin(_) | Command::Profile { .. } | Command::Top(_))) {
        // Only servers write the log file.
        config.log.file = None;
    }
    Ok(config)
}

fn print_version(git: Option<PathBuf>) -> ExitCode {
    let git = git::Git::new(git);
    let git = git.version().map_or_else(|err| err.to_string(), |version| format!("git {}", version.text));
    say(&format!("{} {} (commit {})\n{git}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), env!("BUILD_COMMIT")));
    ExitCode::SUCCESS
}

/// Prints to standard output, which may be closed.
fn say(text: &str) {
    try_say(text).ok();
}

/// Prints to standard output. What prints without an end must stop if that fails.
fn try_say(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

fn cannot_run(why: &dyn std::fmt::Display) -> ExitCode {
    tell(&format!("mcp-server-git: {why}"));
    ExitCode::from(CANNOT_RUN)
}
