//! File descriptors: each connection needs one, each request one more on its way to the bot, and so do operators and files.
//!
//! Without any left, nobody is served: clients get 502, operators no answer, files cannot be looked at. So connections of clients, which
//! strangers can hold, get no more than what the others leave.

use super::FEW_CONNECTIONS;
use crate::config::{Problem, Settings, Severity, TlsSource};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// For listeners, files, key sets, the shared store, name lookups, health checks, and the runtime itself.
const OTHERS: u64 = 128;

/// Raises this process's limit to what it may have: the usual soft limit of 1,024 is for programs that use `select`.
pub(crate) fn raise_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        // Where that is refused, the warning below says what it means.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// How many connections of clients there may be at once: as many as are wanted, if there are descriptors for them.
pub(super) fn connections(settings: &Settings) -> usize {
    match limit() {
        Some(limit) => Room::of(settings, limit).connections(),
        None => settings.server.limits.connections,
    }
}

/// A warning, if more connections are wanted than there are descriptors for.
pub(crate) fn too_few(settings: &Settings) -> Option<Problem> {
    let room = Room::of(settings, limit()?);
    let (wanted, taken) = (room.wanted, room.connections());
    if taken >= wanted {
        return None;
    }
    let Room { limit, reserve, .. } = room;
    let mut what = format!(
        "{wanted} connections, but this process may have only {limit} file descriptors, and {reserve} are for requests on \
         their way to bots (bots.in_flight), operators and files: {taken} connections are taken at once"
    );
    if room.is_scarce() {
        what.push_str(", and even so there may be none left for the others");
    }
    Some(Problem {
        severity: Severity::Warning,
        at: "server.limits.connections".to_owned(),
        line: None,
        what,
        hint: "allow more (LimitNOFILE= of systemd, ulimit -n), or fewer connections, or fewer requests at once (bots.in_flight)"
            .to_owned(),
    })
}

fn limit() -> Option<u64> {
    let (_, limit) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    Some(limit)
}

/// Who needs how many descriptors.
struct Room {
    limit: u64,
    /// For all but connections of clients.
    reserve: u64,
    /// Connections, by the settings.
    wanted: usize,
}

impl Room {
    fn of(settings: &Settings, limit: u64) -> Self {
        let few = count(FEW_CONNECTIONS);
        let in_flight = settings.bots.iter().map(|bot| count(bot.in_flight));
        let operators = settings.admin.map(|_| few);
        let authority = matches!(settings.server.tls.source, TlsSource::Acme(_)).then_some(few);
        let reserve = in_flight.chain(operators).chain(authority);
        Self {
            limit,
            reserve: reserve.fold(OTHERS, u64::saturating_add),
            wanted: settings.server.limits.connections,
        }
    }

    fn connections(&self) -> usize {
        let left = self.limit.saturating_sub(self.reserve).max(self.floor());
        usize::try_from(left).unwrap_or(usize::MAX).min(self.wanted)
    }

    /// A gateway that takes no connections is of no use: it gets a quarter of what there is, and the others have to do with the
    /// rest, since bots are seldom asked for all that they may be asked for.
    fn floor(&self) -> u64 {
        (self.limit / 4).max(1)
    }

    /// Whether not all of the reserve is left.
    fn is_scarce(&self) -> bool {
        let taken = count(self.connections());
        self.limit.saturating_sub(taken) < self.reserve
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{StartFlags, parse};
    use std::path::Path;

    /// Two bots, an admin listener, so many connections.
    fn settings(connections: u64) -> Settings {
        let bot = |name: &str, in_flight: u64| {
            format!(
                "[[bots]]\nname = {name:?}\npath = \"/{name}\"\nin_flight = {in_flight}\n\
                 app_id = \"5d0c7e1a-9f2b-4c3d-8e4f-0a1b2c3d4e5f\"\nbackend = \"http://127.0.0.1:3978/api/messages\"\n"
            )
        };
        let toml = format!(
            "[server]\nlisten = [\"127.0.0.1:0\"]\n[server.tls]\nsource = \"self-signed\"\n\
             [server.limits]\nconnections = {connections}\n[admin]\nlisten = \"127.0.0.1:9090\"\n{}{}",
            bot("a", 1000),
            bot("b", 500)
        );
        let loaded = parse(&toml, Path::new("."), StartFlags::default());
        loaded.unwrap_or_else(|p| panic!("{p:?}")).settings
    }

    #[test]
    fn connections_get_what_bots_operators_and_files_leave() {
        let reserve = 1500 + 256 + OTHERS;
        for (wanted, limit, taken, is_scarce) in [
            (10_000, u64::MAX, 10_000, false),
            (10_000, 10_000 + reserve, 10_000, false),
            (10_000, 9_999 + reserve, 9_999, false),
            (10_000, 4096, 4096 - reserve, false),
            // Not enough even for the reserve.
            (10_000, 2048, 512, true),
            (10_000, 1024, 256, true),
            (100, 1024, 100, true),
            (10_000, 3, 1, true),
        ] {
            let room = Room::of(&settings(wanted), limit);
            assert_eq!(room.reserve, reserve);
            assert_eq!(count(room.connections()), taken, "{wanted} of {limit}");
            assert_eq!(room.is_scarce(), is_scarce, "{wanted} of {limit}");
        }
    }

    #[test]
    fn more_connections_than_descriptors_are_a_warning() {
        let limit = limit().unwrap();
        assert!(too_few(&settings(1)).is_none());
        // What the settings may say at most, or the machine allows more than that.
        let most = settings(1_000_000);
        let is_told = too_few(&most).is_some();
        assert_eq!(is_told, limit < 1_000_000 + Room::of(&most, limit).reserve);
        assert_eq!(is_told, connections(&most) < 1_000_000);
    }
}
