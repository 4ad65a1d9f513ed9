//! Configuration reload: applies the reloadable keys, and lists those that need a restart.

use super::Server;
use crate::{
    config::{self, Config},
    lifecycle::{
        notify,
        settings::{Reloadable, Settings, TOKENS, tokens},
    },
    telemetry::log,
};
use mcp::sessions::{Ending, SessionLimits};
use std::{collections::BTreeMap, time::Instant};

/// Reloads the configuration. An invalid one changes nothing.
pub(crate) fn reload(server: &Server) {
    notify::reloading();
    let flags = server.loaded().origin.flags.clone();
    match Config::load(&flags) {
        Ok(config) => apply(server, &config),
        Err(err) => {
            tracing::error!(%err, "the configuration was not reloaded: the previous one stays in force");
            server.loaded().failed = Some(err.to_string());
        }
    }
    notify::ready();
}

fn apply(server: &Server, config: &Config) {
    let Reloadable { bounds, sessions, settings } = Reloadable::of(config);
    // The intervals of the heartbeat and the sweep are fixed at the start.
    let (heartbeat, sweep_interval) = (server.sessions.limits().heartbeat, server.settings().sweep_interval);
    *server.services.bounds.write() = bounds;
    server.sessions.set_limits(SessionLimits { heartbeat, ..sessions });
    *server.settings.write() = Settings { sweep_interval, ..settings };
    let authority = server.authority.get();
    if let Some(Some(authority)) = authority {
        let gone = authority.set_tokens(tokens(&config.auth.tokens));
        let revoked = server.sessions.list().into_iter().filter(|session| gone.contains(&session.principal));
        for session in revoked {
            server.sessions.close(&session.id, Ending::Revoked);
        }
        if !gone.is_empty() {
            std::mem::take(&mut *server.streams.lock()).cancel();
        }
    }
    let level_failed = log::set_level(&config.log.level).err();
    let mut loaded = server.loaded();
    let changed = changes(&loaded.origin.table, &config.origin.table);
    // A server that started without requiring tokens does not start requiring them.
    let takes_tokens = !matches!(authority, Some(None));
    let is_reloadable = |key: &String| config::keys().iter().any(|one| one.reloads && one.name == key) && (takes_tokens || key != TOKENS);
    let taken: Vec<&String> = changed.iter().filter(|key| is_reloadable(key)).collect();
    let needs_restart: Vec<String> = changes(&loaded.started, &config.origin.table).into_iter().filter(|key| !is_reloadable(key)).collect();
    tracing::warn!(?taken, ?needs_restart, log_level = config.log.level, "the configuration was reloaded");
    loaded.origin = config.origin.clone();
    loaded.level.clone_from(&config.log.level);
    loaded.at = Instant::now();
    loaded.failed = level_failed.map(|err| err.to_string());
    loaded.needs_restart = needs_restart;
}

/// The keys whose values differ.
fn changes(before: &toml::Table, after: &toml::Table) -> Vec<String> {
    let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
    flatten("", before, &mut old);
    flatten("", after, &mut new);
    let mut keys: Vec<String> = old.keys().chain(new.keys()).filter(|key| old.get(*key) != new.get(*key)).cloned().collect();
    keys.sort();
    keys.dedup();
    keys
}

fn flatten<'a>(prefix: &str, table: &'a toml::Table, into: &mut BTreeMap<String, &'a toml::Value>) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(table) => flatten(&key, table, into),
            value => drop(into.insert(key, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_keys_are_listed() -> Result<(), toml::de::Error> {
        let before: toml::Table = "port = 1\n[limits]\nread_timeout = 5\n[log]\nlevel = \"info\"".parse()?;
        let after: toml::Table = "port = 2\n[limits]\nread_timeout = 5\n[errors]\nspike_per_minute = 1".parse()?;
        assert_eq!(changes(&before, &after), ["errors.spike_per_minute", "log.level", "port"]);
        Ok(())
    }
}
