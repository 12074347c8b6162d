//! What is right to forward although a bot, asked itself, does not accept it: the SDK is wrong, or unable.
//!
//! All of it ends as it would without the gateway, which changes nothing: the bot says no by itself.

/// Some SDKs, some cases, and why forwarding is right nevertheless.
#[derive(Debug)]
pub(crate) struct Exception {
    pub(crate) sdks: &'static [&'static str],
    pub(crate) cases: &'static [&'static str],
    pub(crate) why: &'static str,
}

impl Exception {
    /// Whether it is about this SDK and this case.
    pub(crate) fn is_about(&self, sdk: &str, case: &str) -> bool {
        self.sdks.contains(&sdk) && self.cases.contains(&case)
    }
}

pub(crate) const ALL: &[Exception] = &[
    Exception {
        sdks: &["botbuilder-js", "agents-js"],
        cases: &["a body of 200 KB"],
        why: "The host's JSON reader takes 100 KB unless told otherwise; a channel may send more.",
    },
    Exception {
        sdks: &["botbuilder-py", "agents-py"],
        cases: &["a token of some 12 KB"],
        why: "The host's HTTP server takes no header field of more than 8 KB; nothing is wrong with the token.",
    },
    Exception {
        sdks: &["botbuilder-js", "botbuilder-py"],
        cases: &["bearer in lower case", "two blanks after Bearer"],
        why: "RFC 9110 11.1 and 11.4: the scheme's case does not matter, and more than one blank may follow.",
    },
    Exception {
        sdks: &["botbuilder-js", "botbuilder-py", "agents-js"],
        cases: &["aud in upper case"],
        why: "An app id is a GUID, whose letters' case says nothing.",
    },
    Exception {
        sdks: &["botbuilder-js", "botbuilder-py", "agents-py"],
        cases: &["aud as a list of one"],
        why: "RFC 7519 4.1.3: one audience may be written as a text or as a list of one.",
    },
    Exception {
        sdks: &["botbuilder-js", "botbuilder-py"],
        cases: &["the sub-channel COPILOT within channelId"],
        why: "The SDK looks for the whole text among the key's endorsements; it is the channel before the colon that is endorsed.",
    },
    Exception {
        sdks: &["botbuilder-js", "botbuilder-py"],
        cases: &[
            "serviceUrl without the claim's slash at the end",
            "the claim without serviceUrl's slash at the end",
            "serviceUrl with the host in other letters",
        ],
        why: "The SDK compares the texts; both name the same place.",
    },
];
