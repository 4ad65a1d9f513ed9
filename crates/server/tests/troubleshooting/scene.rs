//! A user with a repository, and the server of this user.

use crate::support::{
    Fixture,
    admin::Administered,
    clean_environment, program, programs,
    wire::{Served, wait_for},
};
use std::{
    any::Any,
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
    process::Command,
    sync::Arc,
};

/// An event that a page names.
type Event = Box<dyn FnOnce(&mut Scene)>;

/// A user's folders and variables, and the server.
pub(crate) struct Scene {
    // Dropped in this order: clients, the server, its folders.
    kept: Vec<Box<dyn Any>>,
    events: BTreeMap<&'static str, Event>,
    server: Option<Arc<Administered>>,
    variables: BTreeMap<String, String>,
    pub(crate) home: PathBuf,
    pub(crate) fixture: Fixture,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::of(Fixture::new())
    }

    pub(crate) fn of(fixture: Fixture) -> Self {
        let home = fixture.path.with_file_name("home");
        for folder in ["bin", "run", ".config/mcp-server-git"] {
            fs::create_dir_all(home.join(folder)).expect("a folder");
        }
        fs::set_permissions(home.join("run"), fs::Permissions::from_mode(0o700)).expect("a folder");
        let own = fs::canonicalize(program().get_program()).expect("the program");
        symlink(own, home.join("bin/mcp-server-git")).expect("a link");
        let path = programs::path().into_string().expect("text");
        let mut scene = Self { kept: Vec::new(), events: BTreeMap::new(), server: None, variables: BTreeMap::new(), home, fixture };
        let in_home = |name: &str| scene.home.join(name).display().to_string();
        let variables = [
            ("HOME", scene.home.display().to_string()),
            ("XDG_CONFIG_HOME", in_home(".config")),
            ("XDG_STATE_HOME", in_home(".state")),
            ("XDG_RUNTIME_DIR", in_home("run")),
            ("CONFIG", in_home(".config/mcp-server-git/config.toml")),
            ("PATH", format!("{}:{path}", in_home("bin"))),
        ];
        for (name, value) in variables {
            scene.set(name, value);
        }
        scene
    }

    /// Sets a variable of the shell and of later servers.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.variables.insert(name.to_owned(), value.into());
    }

    pub(crate) fn variable(&self, name: &str) -> &str {
        self.variables.get(name).expect("a variable")
    }

    /// Writes the configuration file.
    pub(crate) fn configure(&self, text: &str) {
        fs::write(self.variable("CONFIG"), text).expect("a file");
    }

    /// Starts a server on any port. `variables` are set for the server only.
    pub(crate) fn serve(&mut self, args: &[&str], variables: &[(&str, &str)]) {
        self.serve_at("0", args, variables);
    }

    pub(crate) fn serve_at(&mut self, port: &str, args: &[&str], variables: &[(&str, &str)]) {
        let mut command = program();
        command.arg("-r").arg(&self.fixture.path).args(["serve", "--port", port]).args(args);
        command.env_remove("MCP_GIT_STORE_URL").envs(&self.variables).envs(variables.iter().copied());
        let server = Served::spawn(&mut command);
        self.set("PORT", server.port.to_string());
        self.set("PID", server.child.id().to_string());
        let socket = self.home.join(format!("run/mcp-server-git/{}.sock", server.child.id()));
        self.server = Some(Arc::new(Administered { server, socket }));
    }

    /// Ends the server without a shutdown.
    pub(crate) fn kill(&mut self) {
        self.server = None;
    }

    /// Waits for the end of a server that was asked to stop.
    pub(crate) fn ends(&mut self) {
        wait_for("the end of the server", || !self.server().socket.exists());
    }

    pub(crate) fn server(&self) -> &Arc<Administered> {
        self.server.as_ref().expect("a server")
    }

    /// Keeps this until the end of the scene.
    pub(crate) fn keep(&mut self, one: impl Any) {
        self.kept.push(Box::new(one));
    }

    /// What happens if a page names the event.
    pub(crate) fn on(mut self, event: &'static str, happens: impl FnOnce(&mut Self) + 'static) -> Self {
        self.events.insert(event, Box::new(happens));
        self
    }

    /// Lets the event happen. Returns whether there is one of this name.
    pub(crate) fn happens(&mut self, event: &str) -> bool {
        let Some(happens) = self.events.remove(event) else { return false };
        happens(self);
        true
    }

    /// The lines that a command prints on both outputs, and a last one for an exit code other than 0.
    pub(crate) fn run(&self, script: &str) -> Vec<String> {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec 2>&1\n{script}")]).current_dir(&self.fixture.path).env_clear();
        command.envs(clean_environment()).env_remove("MCP_GIT_STORE_URL").envs(&self.variables);
        let output = command.output().expect("a shell");
        let mut lines: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        if !output.status.success() {
            lines.push(format!("(exit {})", output.status.code().unwrap_or(-1)));
        }
        lines
    }
}
