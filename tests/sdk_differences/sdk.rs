//! The SDKs under comparison.

use crate::stage::microsoft::{APP_ID, APP_PASSWORD, TENANT};
use crate::stage::projects::Project;
use std::path::Path;
use tokio::process::Command;

/// One of Microsoft's SDKs, and the echo bot built on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sdk {
    /// The bot's directory under `tests/sdk-bots`, and its name on the gateway.
    pub(crate) name: &'static str,
    /// What it is, for people.
    pub(crate) title: &'static str,
    pub(crate) project: Project,
    /// The port of 127.0.0.1 where the bot listens.
    pub(crate) port: u16,
    script: &'static str,
}

/// In the order of the document.
pub(crate) const SDKS: [Sdk; 4] = [
    Sdk {
        name: "botbuilder-js",
        title: "npm `botbuilder` 4.23.3",
        project: Project::Npm("botbuilder-js"),
        port: 3978,
        script: "bot.js",
    },
    Sdk {
        name: "botbuilder-py",
        title: "PyPI `botbuilder-integration-aiohttp` 4.17.1",
        project: Project::Python("botbuilder-py"),
        port: 3979,
        script: "bot.py",
    },
    Sdk {
        name: "agents-js",
        title: "npm `@microsoft/agents-hosting` 1.8.1",
        project: Project::Npm("agents-js"),
        port: 3980,
        script: "bot.js",
    },
    Sdk {
        name: "agents-py",
        title: "PyPI `microsoft-agents-hosting-aiohttp` 1.9.0",
        project: Project::Python("agents-py"),
        port: 3981,
        script: "bot.py",
    },
];

impl Sdk {
    /// The names under which the gateway serves the bot: to everyone, and to one tenant only.
    pub(crate) fn hosts(&self) -> [String; 2] {
        [
            format!("{}.example.com", self.name),
            format!("one-tenant.{}.example.com", self.name),
        ]
    }

    /// Starts the bot as its owner would: credentials and trust come from the environment, and nothing else does.
    pub(crate) fn command(&self, authority_file: &Path) -> Command {
        let mut command = Command::new(self.project.runtime());
        command
            .arg(self.script)
            .current_dir(self.project.directory())
            .env_clear()
            .env("PORT", self.port.to_string());
        match self.project {
            Project::Npm(_) => command
                .env("NODE_ENV", "production")
                .env("NODE_EXTRA_CA_CERTS", authority_file),
            Project::Python(_) => command
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .env("SSL_CERT_FILE", authority_file)
                .env("REQUESTS_CA_BUNDLE", authority_file),
        };
        let names: [&str; 4] = match self.name {
            "agents-js" => ["clientId", "clientSecret", "tenantId", ""],
            "agents-py" => [
                "CONNECTIONS__SERVICE_CONNECTION__SETTINGS__CLIENTID",
                "CONNECTIONS__SERVICE_CONNECTION__SETTINGS__CLIENTSECRET",
                "CONNECTIONS__SERVICE_CONNECTION__SETTINGS__TENANTID",
                "",
            ],
            _ => [
                "MicrosoftAppId",
                "MicrosoftAppPassword",
                "MicrosoftAppTenantId",
                "MicrosoftAppType",
            ],
        };
        let values = [APP_ID, APP_PASSWORD, TENANT, "SingleTenant"];
        let variables = names.into_iter().zip(values);
        command.envs(variables.filter(|(name, _)| !name.is_empty()));
        command
    }
}
