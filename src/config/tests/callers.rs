//! `[bots.callers]`: who may call as a skill, and where skills call back.

use super::kinds::{PARENT, PLATFORM, with_skill};
use super::*;
use crate::judge::AllowedCallers;

#[test]
fn callers_are_app_ids() {
    let listed_in = |list: &str| {
        let loaded = good(&with_skill(&format!("callers.allow = {list}")));
        loaded.settings.bots[0].policy.callers.allow.clone()
    };
    let one = AllowedCallers::Listed([PARENT.to_owned()].into());
    assert_eq!(listed_in(&format!("[\"{PARENT}\"]")), one);
    assert_eq!(listed_in(&format!("[\"{}\"]", PARENT.to_uppercase())), one);
    for wrong in [
        "parent",
        "**",
        "https://parent.example",
        "6a2b3c4d1e2f4a5b8c6d7e8f90a1b2c3",
        "api://6a2b3c4d-1e2f-4a5b-8c6d-7e8f90a1b2c3",
    ] {
        assert_problem(
            &with_skill(&format!(
                "callers.allow = [\"{PARENT}\",\n\"{wrong}\", #<-\n]"
            )),
            "bots[0].callers.allow[1]",
            &["warning", "is not a GUID"],
        );
    }
    assert_problem(
        &with_skill("callers.allow = [\"\"] #<-"),
        "bots[0].callers.allow[0]",
        &["error", "is empty"],
    );
    assert_problem(
        &with_skill("callers.allow = [\"*\"] #<-"),
        "bots[0].callers.allow[0]",
        &["warning", "every application of every tenant"],
    );
    assert_eq!(listed_in("[\"*\"]"), AllowedCallers::Any);
}

#[test]
fn lists_of_callers_that_do_nothing_are_pointed_out() {
    assert_problem(
        &with_skill("callers.allow = [] #<-"),
        "bots[0].callers.allow",
        &["warning", "no application may call"],
    );
    let reported = parse(&with_skill("callers.mode = \"report\""))
        .unwrap()
        .warnings;
    assert!(
        !reported
            .iter()
            .any(|problem| problem.what.contains("no application may call")),
        "in report mode any may: {reported:?}"
    );
    assert_bot_problem(
        &format!("callers.allow = [\"{PARENT}\"]"),
        "callers.allow",
        &["warning", "bots.accept does not name \"skill\""],
    );
    let own = "5F1C8A5E-7F0B-4F3E-9D55-6F2B1B0A9C11";
    assert_problem(
        &with_skill(&format!("callers.allow = [\"{own}\"] #<-")),
        "bots[0].callers.allow",
        &["warning", "names this bot itself"],
    );
    assert_problem(
        &with_skill(&format!("callers.allow = [\"{PLATFORM}\"] #<-")),
        "bots[0].callers.allow",
        &[
            "warning",
            "names the platform that calls agents",
            "\"agent\"",
        ],
    );
}

#[test]
fn a_callback_path_is_what_precedes_the_api() {
    let served_below = |path: &str| {
        let written = format!("callers.allow = [\"{PARENT}\"]\ncallers.callback_path = \"{path}\"");
        let loaded = good(&with_skill(&written));
        loaded.settings.bots[0].route.callback.clone()
    };
    assert_eq!(served_below(""), None);
    for (path, prefix) in [
        ("/api/skills", "/api/skills"),
        ("/api/skills/", "/api/skills"),
        ("/", ""),
    ] {
        assert_eq!(served_below(path).as_deref(), Some(prefix), "{path}");
    }
    for (path, hint) in [
        ("/api/skills/v3/conversations", "write \"/api/skills\""),
        ("/api/skills/v3/conversations/", "write \"/api/skills\""),
        ("/v3/conversations", "write \"/\""),
        ("api/skills", "a leading"),
    ] {
        assert_problem(
            &with_skill(&format!(
                "callers.allow = [\"{PARENT}\"]\ncallers.callback_path = \"{path}\" #<-"
            )),
            "bots[0].callers.callback_path",
            &["error", hint],
        );
    }
}

#[test]
fn a_list_of_callers_that_is_only_reported_is_pointed_out() {
    let allow = format!("callers.allow = [\"{PARENT}\"] #<-");
    let told = |text: &str| {
        let warnings = good(text).warnings;
        let about = warnings
            .iter()
            .find(|problem| problem.at == "bots[0].callers.allow");
        about.map(ToString::to_string)
    };
    for mode in ["mode = \"report\"", "callers.mode = \"report\""] {
        let told = told(&with_skill(&format!("{allow}\n{mode}"))).expect(mode);
        assert!(told.contains("may call this bot"), "{told}");
    }
    let own_mode = format!("{allow}\nmode = \"report\"\ncallers.mode = \"enforce\"");
    assert_eq!(told(&with_skill(&own_mode)), None);
}
