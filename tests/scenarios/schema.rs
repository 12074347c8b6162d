//! The schema of `gateway.toml` beside it is what `botgate schema` prints.

use std::path::Path;
use tokio::process::Command;

/// A file of the repository.
fn file(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

#[tokio::test]
async fn the_committed_schema_is_what_the_command_prints_and_the_shipped_file_names_it() {
    let printed = Command::new(env!("CARGO_BIN_EXE_botgate"))
        .arg("schema")
        .output()
        .await
        .unwrap();
    assert!(printed.status.success());
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert_eq!(
        file("gateway.schema.json"),
        printed,
        "run `botgate schema > gateway.schema.json`"
    );
    let shipped = file("gateway.toml");
    let schema = shipped.lines().next().unwrap().strip_prefix("#:schema ");
    assert_eq!(schema, Some("gateway.schema.json"));
    let validator = jsonschema::draft202012::new(&printed.parse().unwrap()).unwrap();
    let read = |text: &str| serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap();
    assert!(validator.is_valid(&read(&shipped)));
    assert!(!validator.is_valid(&read(&shipped.replace("app_id =", "appid ="))));
}
