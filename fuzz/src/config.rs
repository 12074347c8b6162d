//! A configuration file: whatever stands in it, it is read or refused with problems that a person can find.

use botgate::config::{Problem, StartFlags, parse};
use std::path::Path;

pub fn check(file: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(file) else {
        return false;
    };
    let mut is_accepted = false;
    let lines = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
    for flags in [
        StartFlags::default(),
        StartFlags {
            allow_self_signed: true,
            danger_accept_emulator_in_public: true,
        },
    ] {
        // Relative names lead nowhere: what a file names is not read here.
        let read = || parse(text, Path::new("/nonexistent"), flags);
        let (problems, again) = match (read(), read()) {
            (Ok(loaded), Ok(again)) => {
                let settings = &loaded.settings;
                assert!(!settings.bots.is_empty() && !settings.server.listen.is_empty());
                for bot in &settings.bots {
                    let source = |id: botgate::judge::KeySourceId| settings.key_sources.get(id.0);
                    assert!(
                        bot.expect
                            .channel
                            .keys
                            .is_none_or(|id| source(id).is_some())
                    );
                    assert!(bot.expect.kinds().next().is_some());
                }
                assert!(!loaded.warnings.iter().any(Problem::is_error));
                is_accepted = true;
                (loaded.warnings, again.warnings)
            }
            (Err(problems), Err(again)) => {
                assert!(problems.iter().any(Problem::is_error));
                (problems, again)
            }
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => panic!("read once, refused once"),
        };
        assert_eq!(problems, again, "the same file has the same problems");
        for problem in &problems {
            assert!(!problem.what.is_empty());
            if let Some(line) = problem.line {
                let line = usize::try_from(line).expect("a line");
                assert!((1..=lines).contains(&line), "{problem}");
            }
            assert!(
                !problem.to_string().contains('\u{1b}'),
                "commands a terminal"
            );
        }
    }
    is_accepted
}
