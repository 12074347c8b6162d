//! `botgate rejects` says of a real log what was refused, and what it suggests lets them in.

use crate::support::client::Post;
use crate::support::{FOREIGN_TENANT, Gateway, PATIENCE, TENANT};
use botgate::judge::Reason;
use std::path::Path;
use std::process::{Output, Stdio};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// A message from a tenant that is not on the list, consistent in every place that names one.
fn foreign(gateway: &Gateway) -> Post {
    let service_url = format!("https://smba.trafficmanager.net/emea/{FOREIGN_TENANT}/");
    gateway
        .teams_message()
        .with("/serviceUrl", service_url)
        .with("/conversation/tenantId", FOREIGN_TENANT)
        .with("/channelData/tenant/id", FOREIGN_TENANT)
}

async fn rejects(folder: &Path, arguments: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_botgate"))
        .arg("rejects")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(stdin.as_bytes()).await.unwrap();
    drop(pipe);
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output());
    output.await.expect("it ends").unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_real_log_is_summarised_and_what_is_suggested_lets_the_tenant_in() {
    let gateway = Gateway::with(&format!("[bots.tenants]\nallow = [\"{TENANT}\"]"))
        .start()
        .await;
    gateway.teams_message().send().await.forwarded().await;
    for _ in 0..2 {
        let reply = foreign(&gateway).send().await;
        reply.refused_after_proof(Reason::TenantNotAllowed).await;
    }
    let reply = gateway.teams_message().without_token().send().await;
    reply.refused_before_proof(Reason::TokenMissing).await;
    gateway.terminate().await;
    let log = gateway.output().stdout.join("\n");
    let folder = gateway.folder().to_owned();
    std::fs::write(folder.join("botgate.log"), &log).unwrap();

    let from_file = rejects(&folder, &["botgate.log", "--since", "1h"], "").await;
    let from_pipe = rejects(&folder, &[], &log).await;
    assert_eq!(from_file, from_pipe);
    assert!(from_file.status.success(), "{from_file:?}");
    assert_eq!(text(&from_file.stderr), "", "every line of the log is one");
    let told = text(&from_file.stdout);
    assert!(told.starts_with("3 refused; from "), "{told}");
    let row = |reason: &str| told.lines().find(|row| row.starts_with(reason)).unwrap();
    let cells: Vec<&str> = row("tenant_not_allowed").split_whitespace().collect();
    assert_eq!(cells[1..4], ["2", "-", "-"], "{told}");
    assert_eq!(cells[5..], ["echo", "2"], "{told}");

    let suggested = rejects(&folder, &["--suggest-tenants", "echo", "botgate.log"], "").await;
    assert!(suggested.status.success(), "{suggested:?}");
    let suggested = text(&suggested.stdout);
    assert!(suggested.contains("# 2 refused, last "), "{suggested}");
    let changed = Gateway::with(suggested).start().await;
    foreign(&changed).send().await.forwarded().await;

    for (arguments, code) in [
        (&["nothing-here.log"][..], 2),
        (&["--by", "color"], 2),
        (&["--suggest-tenants", "nobody", "botgate.log"], 1),
        (&["gateway.toml"], 1),
    ] {
        let output = rejects(&folder, arguments, "").await;
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {output:?}"
        );
    }
}
