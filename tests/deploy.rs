//! What stands in `deploy/` fits the program, and fits together. `tests/deploy/lint` asks the tools of others about it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;
use toml::Table;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    let path = repository().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => files_below(&path),
            false => vec![path],
        })
        .collect()
}

/// Every `gateway.toml` in `deploy/`, also those inside other files, by where it stands.
fn configurations() -> Vec<(String, String)> {
    let mut found = vec![];
    for path in files_below(&repository().join("deploy")) {
        let name = path.strip_prefix(repository()).unwrap();
        let name = name.display().to_string();
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        if file == "gateway.toml" {
            found.push((name, fs::read_to_string(&path).unwrap()));
        } else if file.ends_with("values.yaml") {
            let text = fs::read_to_string(&path).unwrap();
            let (_, rest) = text.split_once("config: |\n").expect("values have it");
            let lines = rest
                .lines()
                .take_while(|line| line.is_empty() || line.starts_with("  "));
            let lines = lines.map(|line| line.strip_prefix("  ").unwrap_or_default());
            found.push((name, lines.collect::<Vec<_>>().join("\n")));
        }
    }
    found
}

/// Where a configuration finds what it names: certificates, and what the environment says.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["bot.example.com".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        // As a Secret of Kubernetes, as a credential of systemd, and beside the file.
        for (path, content) in [
            ("tls/tls.crt", &certificate),
            ("tls/tls.key", &key),
            ("tls_server.pem", &certificate),
            ("tls_server.key", &key),
            ("certs/server.pem", &certificate),
            ("certs/server.key", &key),
            ("redis/ca.crt", &certificate),
            ("redis/password", &"secret".to_owned()),
        ] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        Self { folder }
    }

    fn check(&self, configuration: &str) -> Output {
        let folder = self.folder.path();
        let file = folder.join("gateway.toml");
        let here = configuration.replace("/etc/botgate/", &format!("{}/", folder.display()));
        fs::write(&file, here).unwrap();
        Command::new(env!("CARGO_BIN_EXE_botgate"))
            .arg("check")
            .arg(&file)
            .env_clear()
            .env("MICROSOFT_APP_ID", "5d0c7e1a-9f2b-4c3d-8e4f-0a1b2c3d4e5f")
            .env("INGRESS_NETWORK", "100.100.0.0/16")
            .env("CREDENTIALS_DIRECTORY", folder)
            .output()
            .unwrap()
    }
}

#[test]
fn every_configuration_passes_the_check() {
    let configurations = configurations();
    assert!(configurations.len() >= 7, "{configurations:?}");
    let place = Place::new();
    for (name, text) in &configurations {
        let output = place.check(text);
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}:\n{said}");
    }
    // And the check checks: without what they name, none of those with certificates would.
    fs::remove_file(place.folder.path().join("tls_server.pem")).unwrap();
    let packaged = configurations
        .iter()
        .find(|(name, _)| name == "deploy/debian/gateway.toml");
    let output = place.check(&packaged.expect("the package has one").1);
    assert_eq!(output.status.code(), Some(78));
}

/// The values of a key of a unit file, in order.
fn unit_values(unit: &str, key: &str) -> Vec<String> {
    let lines = unit.lines().filter(|line| !line.starts_with('#'));
    let values = lines.filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    values.map(str::to_owned).collect()
}

#[test]
fn the_units_and_the_packages_configuration_agree() {
    let configuration: Table = read("deploy/debian/gateway.toml").parse().unwrap();
    let (public, admin) = (
        read("deploy/botgate.socket"),
        read("deploy/botgate-admin.socket"),
    );
    let listen = configuration["server"]["listen"].as_array().unwrap();
    let listen: Vec<&str> = listen.iter().map(|one| one.as_str().unwrap()).collect();
    assert_eq!(unit_values(&public, "ListenStream"), listen);
    assert_eq!(
        unit_values(&admin, "ListenStream"),
        [configuration["admin"]["listen"].as_str().unwrap()]
    );
    assert_eq!(unit_values(&admin, "FileDescriptorName"), ["admin"]);
    assert_ne!(unit_values(&public, "FileDescriptorName"), ["admin"]);

    let service = read("deploy/botgate.service");
    assert_eq!(unit_values(&service, "Type"), ["notify-reload"]);
    assert_eq!(
        unit_values(&service, "Sockets"),
        ["botgate.socket botgate-admin.socket"]
    );
    // What the configuration takes from systemd, systemd hands over.
    let tls = configuration["server"]["tls"].as_table().unwrap();
    for (key, file) in [("cert", "server.pem"), ("key", "server.key")] {
        assert_eq!(
            tls[key].as_str().unwrap(),
            format!("${{CREDENTIALS_DIRECTORY}}/tls_{file}")
        );
    }
    assert!(unit_values(&service, "LoadCredential").contains(&"tls:/etc/botgate/certs".to_owned()));
    let cache = configuration["keys"]["cache_dir"].as_str().unwrap();
    assert!(cache.starts_with("/var/lib/botgate/"));
    assert_eq!(unit_values(&service, "StateDirectory"), ["botgate"]);
}

#[test]
fn the_package_installs_what_there_is() {
    let manifest: Table = read("Cargo.toml").parse().unwrap();
    let package = &manifest["package"]["metadata"]["deb"];
    let mut installed = vec![];
    for asset in package["assets"].as_array().unwrap() {
        let [from, to] = [0, 1].map(|at| asset[at].as_str().unwrap());
        installed.push(to.to_owned());
        if from != "target/release/botgate" && !from.contains('*') {
            assert!(repository().join(from).is_file(), "{from} is not there");
        }
    }
    for path in package["conf-files"].as_array().unwrap() {
        let path = path.as_str().unwrap().trim_start_matches('/').to_owned();
        assert!(installed.contains(&path), "{path} is not installed");
    }
    let service = read("deploy/botgate.service");
    assert_eq!(
        unit_values(&service, "ExecStart"),
        ["/usr/bin/botgate run --config /etc/botgate/gateway.toml"]
    );
    assert!(installed.contains(&"usr/bin/".to_owned()));
}

/// systemd's own judgement. Without it this fails in CI, whose `.ci/run` installs it, and is skipped, saying so, elsewhere.
#[test]
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn the_unit_is_hardened() {
    let unit = repository().join("deploy/botgate.service");
    let mut analyze = Command::new("systemd-analyze");
    analyze.args(["security", "--offline=true", "--threshold=20"]);
    let Some((succeeded, said)) = output_of(analyze.arg(unit)) else {
        assert!(std::env::var_os("CI").is_none(), "no systemd-analyze");
        println!("skipped: systemd-analyze (package systemd) is missing");
        return;
    };
    let score = said.lines().find(|line| line.contains("Overall exposure"));
    println!("{}", score.unwrap_or(&said));
    // The threshold is in tenths.
    assert!(succeeded, "{said}");
    assert!(score.is_some(), "{said}");
}

/// Whether a command succeeded, and all it said; nothing if there is no such command.
fn output_of(command: &mut Command) -> Option<(bool, String)> {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => panic!("{error}"),
    };
    let said = [output.stdout, output.stderr].concat();
    Some((
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    ))
}

/// A `systemctl` that writes down what it is asked and fails at one thing.
fn systemctl(folder: &Path, fails_at: &str) -> PathBuf {
    let (program, log) = (folder.join("systemctl"), folder.join("log"));
    let script = format!(
        "#!/bin/sh\necho \"$*\" >> {}\n[ \"$*\" != \"{fails_at}\" ]\n",
        log.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    program
}

#[test]
fn an_upgrade_never_leaves_the_sockets_alone() {
    const ALL: [&str; 4] = [
        "is-active --quiet botgate.service",
        "start botgate-next.service",
        "restart botgate.service",
        "stop botgate-next.service",
    ];
    for (fails_at, done, code) in [
        ("", &ALL[..], 0),
        // Nothing runs; the next one cannot start; the first one does not start again, and the next one goes on.
        (ALL[0], &ALL[..1], 0),
        (ALL[1], &ALL[..2], 1),
        (ALL[2], &ALL[..3], 1),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let status = Command::new(repository().join("deploy/vm/botgate-upgrade"))
            .env("SYSTEMCTL", systemctl(folder.path(), fails_at))
            .output()
            .unwrap()
            .status;
        let asked = fs::read_to_string(folder.path().join("log")).unwrap();
        assert_eq!(asked.lines().collect::<Vec<_>>(), done, "{fails_at}");
        assert_eq!(status.code(), Some(code), "{fails_at}");
    }
}

#[test]
fn a_renewed_certificate_is_handed_over_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (lineage, certs) = (folder.path().join("live"), folder.path().join("certs"));
    for made in [&lineage, &certs] {
        fs::create_dir(made).unwrap();
    }
    fs::write(lineage.join("fullchain.pem"), "chain").unwrap();
    fs::write(lineage.join("privkey.pem"), "key").unwrap();
    fs::set_permissions(
        lineage.join("privkey.pem"),
        fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    let status = Command::new(repository().join("deploy/vm/certbot-hook"))
        .env("RENEWED_LINEAGE", &lineage)
        .env("BOTGATE_CERTS", &certs)
        .env("BOTGATE_UPGRADE", systemctl(folder.path(), "never"))
        .status()
        .unwrap();
    assert!(status.success());
    assert!(folder.path().join("log").exists(), "the gateway is told");
    let mut left: Vec<_> = files_below(&certs);
    left.sort();
    assert_eq!(left, [certs.join("server.key"), certs.join("server.pem")]);
    assert_eq!(fs::read_to_string(&left[0]).unwrap(), "key");
    assert_eq!(fs::read_to_string(&left[1]).unwrap(), "chain");
    let mode = fs::metadata(&left[0]).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "the key is the owner's alone");
}

#[test]
fn the_image_and_its_manifests_agree() {
    let image = read("Dockerfile");
    assert!(image.contains("USER 65532:65532\n"));
    assert!(image.contains("CMD [\"/usr/bin/botgate\", \"healthcheck\"]"));
    // What the build reads gets past .dockerignore.
    let let_in = read(".dockerignore");
    for name in ["Cargo.toml", "Cargo.lock", "src", "benches"] {
        assert!(let_in.lines().any(|line| line == format!("!{name}")));
    }
    for manifest in [
        "deploy/kubernetes/deployment.yaml",
        "deploy/helm/botgate/templates/deployment.yaml",
        "deploy/sidecar/pod.yaml",
    ] {
        let text = read(manifest);
        for needed in [
            "runAsUser: 65532",
            "readOnlyRootFilesystem: true",
            "containerPort: 8443",
            "containerPort: 9090",
            "path: /readyz",
            "path: /healthz",
        ] {
            assert!(text.contains(needed), "{manifest} has no {needed}");
        }
    }
    let chart = read("deploy/helm/botgate/Chart.yaml");
    let version = env!("CARGO_PKG_VERSION");
    assert!(chart.contains(&format!("appVersion: \"{version}\"\n")));
}
