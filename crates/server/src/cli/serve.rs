//! `serve`: MCP over HTTP and WebSocket.

use super::{cannot_run, say, watch_signals};
use crate::{
    app::App,
    caller::{Caller, Right},
    config::{Config, NamedToken, Serving},
    pipeline::Pipeline,
    wire::{Handler, Shared},
};
use mcp::http::{self, Authority, Jwt, KeySource, Listener, Options, SessionLimits, Token, Tokens};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use tokio::net::{TcpListener, UnixListener, UnixStream};

/// How long running calls may take to end.
const END: Duration = Duration::from_secs(9);

pub(super) fn run(app: &App, config: &Config) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).max_blocking_threads(64).enable_all().build() {
        Ok(runtime) => runtime,
        Err(err) => return cannot_run(&err),
    };
    let result = runtime.block_on(async {
        let (listeners, place) = listen(&config.serving).await?;
        announce(app, &place, config.serving.wants_tokens());
        tokio::spawn(watch_signals(app.stop.clone()));
        let shared = Shared::new(Arc::clone(&app.pipeline));
        let options = options(&config.serving, Arc::clone(&app.pipeline));
        let (drained, stop, pipeline) = (options.drained.clone(), app.stop.clone(), Arc::clone(&app.pipeline));
        tokio::spawn(async move {
            stop.cancelled().await;
            pipeline.idle(END).await;
            drained.cancel();
        });
        let served = http::serve(listeners, move |identity| Handler::new(Arc::clone(&shared), identity), options, app.stop.clone()).await;
        app.stop.cancel();
        app.pipeline.idle(END).await;
        if let Place::Socket(path, made) = &place
            && inode(path) == *made
        {
            // Unless another server has put its own there.
            std::fs::remove_file(path).ok();
        }
        served
    });
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => cannot_run(&err),
    }
}

fn options(serving: &Serving, pipeline: Arc<Pipeline>) -> Options {
    let token = |token: &NamedToken| Token {
        name: token.name.clone(),
        sha256: token.sha256,
        scopes: token.scopes.iter().map(|scope| scope.name().to_owned()).collect(),
    };
    let tokens = Tokens::new(serving.tokens.iter().map(token).collect());
    let jwt = serving.jwt.as_ref().map(|jwt| {
        let is_url = jwt.jwks.starts_with("https://") || jwt.jwks.starts_with("http://");
        let source = if is_url { KeySource::Url(jwt.jwks.clone()) } else { KeySource::File(PathBuf::from(&jwt.jwks)) };
        Jwt::new(jwt.issuer.clone(), jwt.audience.clone(), source)
    });
    let authority =
        || Authority::new(tokens, jwt, serving.authorization_servers.clone(), serving.resource.clone(), NonZeroU32::new(serving.rate));
    Options {
        allowed_hosts: serving.allowed_hosts.clone(),
        allowed_origins: serving.allowed_origins.clone(),
        authority: serving.wants_tokens().then(|| Arc::new(authority())),
        needs: Arc::new(move |tool, args| {
            let Some(entry) = pipeline.find(tool) else { return Vec::new() };
            Caller::needed((entry.effect_of)(args), entry.scope).map(Right::name).collect()
        }),
        sessions: SessionLimits { max: serving.max_sessions, idle: serving.idle_sessions },
        heartbeat: (serving.heartbeat, serving.missed),
        ..Options::default()
    }
}

/// Where the server is.
enum Place {
    Address(SocketAddr),
    Socket(PathBuf, Option<(u64, u64)>),
}

/// Listens where the operator wants it; by default on both loopback addresses, of which the second is optional, as not
/// every machine has it.
async fn listen(serving: &Serving) -> io::Result<(Vec<Listener>, Place)> {
    if let Some(path) = &serving.socket {
        let listener = own_socket(path).await?;
        return Ok((vec![Listener::Unix(listener)], Place::Socket(path.clone(), inode(path))));
    }
    let host = serving.host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let first = TcpListener::bind((host, serving.port)).await.map_err(|err| explain(err, serving.port))?;
    let address = first.local_addr()?;
    let mut listeners = vec![Listener::Tcp(first)];
    if serving.host.is_none() {
        listeners.extend(TcpListener::bind(("::1", address.port())).await.ok().map(Listener::Tcp));
    }
    Ok((listeners, Place::Address(address)))
}

/// What is at a path, as the system counts it.
fn inode(path: &Path) -> Option<(u64, u64)> {
    let meta = path.symlink_metadata().ok()?;
    Some((std::os::unix::fs::MetadataExt::dev(&meta), std::os::unix::fs::MetadataExt::ino(&meta)))
}

/// A socket that only the owner can use, in place of one that nobody listens on any more.
async fn own_socket(path: &Path) -> io::Result<UnixListener> {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    let told = |err: io::Error| io::Error::new(err.kind(), format!("{}: {err}", path.display()));
    if let Ok(meta) = path.symlink_metadata() {
        if !meta.file_type().is_socket() {
            return Err(told(io::Error::other("there is something that is no socket")));
        }
        if UnixStream::connect(path).await.is_ok() {
            return Err(told(io::Error::other("another server listens on it")));
        }
        std::fs::remove_file(path).map_err(told)?;
    }
    // It appears under its name once nobody else can use it.
    let partial = path.with_extension(format!("{}.new", std::process::id()));
    let listener = UnixListener::bind(&partial).map_err(told)?;
    let ready = std::fs::set_permissions(&partial, std::fs::Permissions::from_mode(0o600)).and_then(|()| std::fs::rename(&partial, path));
    if let Err(err) = ready {
        std::fs::remove_file(&partial).ok();
        return Err(told(err));
    }
    Ok(listener)
}

fn explain(err: io::Error, port: u16) -> io::Error {
    match err.kind() {
        io::ErrorKind::AddrInUse => {
            let owner = owner_of(port).map(|owner| format!(" by {owner}")).unwrap_or_default();
            let hint = "Choose another with `--port N` or MCP_GIT_PORT=N; 0 takes any free one.";
            io::Error::new(err.kind(), format!("port {port} is in use{owner}. {hint}"))
        }
        io::ErrorKind::PermissionDenied => {
            io::Error::new(err.kind(), format!("port {port} needs privileges. Choose one above 1023 with `--port N`."))
        }
        _ => err,
    }
}

/// The process that listens on `port`, where the system tells: its name and pid.
fn owner_of(port: u16) -> Option<String> {
    let inode = listening_inode(port)?;
    let wanted = format!("socket:[{inode}]");
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        let pid = process.file_name().to_string_lossy().into_owned();
        let Ok(descriptors) = std::fs::read_dir(process.path().join("fd")) else { continue };
        let owns = descriptors.flatten().any(|fd| std::fs::read_link(fd.path()).is_ok_and(|target| target.as_os_str() == wanted.as_str()));
        if owns {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (pid {pid})", name.trim()));
        }
    }
    None
}

fn listening_inode(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].iter().filter_map(|table| std::fs::read_to_string(table).ok());
    tables.into_iter().find_map(|table| {
        table.lines().skip(1).find_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // State 0A is LISTEN.
            let listens = fields.get(1)?.ends_with(&format!(":{port:04X}")) && *fields.get(3)? == "0A";
            listens.then(|| fields.get(9).map(ToString::to_string))?
        })
    })
}

fn announce(app: &App, place: &Place, wants_token: bool) {
    let roots = app.pipeline.repositories.roots().named();
    let served: Vec<String> = roots.iter().map(|root| root.display().to_string()).collect();
    let served = if served.is_empty() { "no repository: start it inside one, or with -r PATH".to_owned() } else { served.join(", ") };
    let at = match place {
        Place::Address(address) => format!("http://{address}"),
        Place::Socket(path, _) => {
            say(&format!(
                "mcp-server-git listens on {}\n  serves   {served}\nMCP is at /mcp, WebSocket at /ws. Ctrl-C ends it.",
                path.display()
            ));
            return;
        }
    };
    let (header, token) = if wants_token {
        (" --header 'Authorization: Bearer TOKEN'", "\n  tokens   as `[[auth.tokens]]` in the configuration says")
    } else {
        ("", "")
    };
    say(&format!(
        "mcp-server-git listens on {at}\n  \
         MCP      {at}/mcp\n  \
         WebSocket {}/ws\n  \
         health   {at}/health\n  \
         serves   {served}{token}\n\
         Point a client at it:\n  \
         Claude Code   claude mcp add --transport http git {at}/mcp{header}\n  \
         VS Code       code --add-mcp '{{\"name\":\"git\",\"type\":\"http\",\"url\":\"{at}/mcp\"}}'\n  \
         Cursor        ~/.cursor/mcp.json: {{\"mcpServers\":{{\"git\":{{\"url\":\"{at}/mcp\"}}}}}}\n\
         Or let clients start it over stdio: mcp-server-git setup CLIENT. Ctrl-C ends it.",
        at.replacen("http", "ws", 1)
    ));
}
