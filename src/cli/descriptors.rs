//! File descriptors: each connection needs one, and each request one more on its way to the bot.

use crate::config::{Problem, Settings, Severity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// For listeners, key sets, operators, and requests in flight while every connection is taken.
const BESIDE_CONNECTIONS: u64 = 256;

/// Raises this process's limit to what it may have: the usual soft limit of 1,024 is for programs that use `select`.
pub(super) fn raise_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        // Where that is refused, the warning below says what it means.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// A warning, if more connections are allowed than there are descriptors for.
pub(super) fn too_few(settings: &Settings) -> Option<Problem> {
    let (_, limit) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    let connections = u64::try_from(settings.server.limits.connections).unwrap_or(u64::MAX);
    (connections.saturating_add(BESIDE_CONNECTIONS) > limit).then(|| Problem {
        severity: Severity::Warning,
        at: "server.limits.connections".to_owned(),
        line: None,
        what: format!(
            "{connections} connections, but this process may have only {limit} file descriptors"
        ),
        hint: "allow more (LimitNOFILE= of systemd, ulimit -n), or fewer connections".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{StartFlags, load};

    fn warned(connections: u64) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.toml");
        let toml = format!(
            "[server.tls]\nsource = \"self-signed\"\n[server.limits]\nconnections = {connections}\n[[bots]]\nname = \"a\"\n\
             app_id = \"5d0c7e1a-9f2b-4c3d-8e4f-0a1b2c3d4e5f\"\nbackend = \"http://127.0.0.1:3978/api/messages\"\n"
        );
        std::fs::write(&path, toml).unwrap();
        let flags = StartFlags {
            allow_self_signed: true,
            ..StartFlags::default()
        };
        let loaded = load(&path, flags).unwrap_or_else(|p| panic!("{p:?}"));
        too_few(&loaded.settings).is_some()
    }

    #[test]
    fn more_connections_than_descriptors_are_a_warning() {
        let (_, limit) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert!(!warned(100));
        // What the settings may say at most, or the machine allows more than that.
        let most = 1_000_000;
        assert_eq!(warned(most), limit < most + BESIDE_CONNECTIONS);
    }
}
