//! The `gateway.toml` of a scenario.

use super::APP_ID;
use botgate::cli::demo::bot::EchoBot;
use botgate::cli::demo::channel::Channel;
use std::path::{Path, PathBuf};
use toml::{Table, Value as Toml};

/// What a scenario changes in the configuration.
#[derive(Clone, Debug)]
pub(crate) struct Changes {
    /// Merged into the base, one after the other.
    pub(crate) fragments: Vec<String>,
    /// Further bots: name, and what is merged into their table.
    pub(crate) bots: Vec<(String, String)>,
}

/// Writes the `gateway.toml` of a scenario: the base, and into it what the scenario changes.
pub(crate) fn write_config(
    folder: &Path,
    channel: &Channel,
    bot: &EchoBot,
    changes: &Changes,
) -> PathBuf {
    let base = format!(
        r#"
        [server]
        listen = ["127.0.0.1:0"]
        [server.tls]
        source = "self-signed"
        [admin]
        listen = "127.0.0.1:0"
        [log]
        identifiers = "plain"
        [keys]
        cache_dir = ""
        {cloud}
        [[bots]]
        name = "echo"
        app_id = "{APP_ID}"
        backend = "{backend}"
        cloud = "stand-in"
        "#,
        cloud = channel.cloud_toml("stand-in"),
        backend = bot.messages_url(),
    );
    let mut config: Table = base.parse().expect("the base is TOML");
    for fragment in &changes.fragments {
        merge(&mut config, parse(fragment));
    }
    for (name, fragment) in &changes.bots {
        let mut another: Table = config["bots"][0].as_table().expect("a table").clone();
        another.retain(|key, _| ["app_id", "backend", "cloud"].contains(&key));
        another.insert("name".to_owned(), name.as_str().into());
        another.insert("path".to_owned(), format!("/{name}").into());
        merge(&mut another, parse(fragment));
        let bots = config["bots"].as_array_mut().expect("a list");
        bots.push(another.into());
    }
    let path = folder.join("gateway.toml");
    std::fs::write(&path, config.to_string()).expect("gateway.toml can be written");
    path
}

fn parse(fragment: &str) -> Table {
    fragment
        .parse()
        .unwrap_or_else(|error| panic!("the scenario's fragment: {error}\n{fragment}"))
}

/// Tables are merged, arrays of tables are appended, all else is replaced; a table meets the first of an array of them.
fn merge(into: &mut Table, changes: Table) {
    for (name, change) in changes {
        match (into.get_mut(&name), change) {
            (Some(Toml::Table(old)), Toml::Table(new)) => merge(old, new),
            (Some(Toml::Array(old)), Toml::Table(new))
                if old.first().is_some_and(Toml::is_table) =>
            {
                merge(old[0].as_table_mut().expect("it is a table"), new);
            }
            (Some(Toml::Array(old)), Toml::Array(new))
                if old.first().is_some_and(Toml::is_table) =>
            {
                old.extend(new)
            }
            (_, change) => {
                into.insert(name, change);
            }
        }
    }
}

#[test]
fn a_fragment_changes_the_first_bot_or_adds_another() {
    let mut config: Table = "[server]\nlisten = [\"a\"]\n[[bots]]\nname = \"echo\""
        .parse()
        .unwrap();
    merge(
        &mut config,
        "[server]\nlisten = [\"b\"]\n[bots.tenants]\nrequired = true"
            .parse()
            .unwrap(),
    );
    merge(&mut config, "[[bots]]\nname = \"second\"".parse().unwrap());
    assert_eq!(config["server"]["listen"][0].as_str(), Some("b"));
    assert_eq!(
        config["bots"][0]["tenants"]["required"].as_bool(),
        Some(true)
    );
    assert_eq!(config["bots"][1]["name"].as_str(), Some("second"));
}
