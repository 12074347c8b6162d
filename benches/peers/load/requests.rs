//! The bytes of requests.

use super::super::job::{Job, Token};
use super::super::material::{CONVERSATION, USER, activity, activity_of};
use botgate::cli::demo::client::SERVER_NAME;
use std::cell::Cell;
use std::fs::read_to_string;
use std::io::Write as _;
use std::path::Path;

pub(crate) struct Requests {
    token: Token,
    repeated: Vec<String>,
    new: Vec<String>,
    next: Cell<usize>,
    warm: Cell<bool>,
    before: Vec<u8>,
    after: Vec<u8>,
    /// Where in `after` the user and the conversation are named, if each request is to be another one's.
    names: Option<[usize; 2]>,
    users: Cell<u64>,
}

impl Requests {
    pub(crate) fn prepare(job: &Job) -> Self {
        let body = match job.growth.body_bytes {
            0 => activity(),
            bytes => activity_of(bytes),
        };
        let before = format!("POST /api/messages HTTP/1.1\r\nHost: {SERVER_NAME}\r\n");
        let after = format!(
            "User-Agent: Microsoft-SkypeBotApi (Microsoft-BotFramework/3.0)\r\n\
             x-ms-conversation-id: {CONVERSATION}\r\n\
             MS-CV: 9p0tqJYx2k6jYz3o.1.1.1.2893417845.1.4\r\nx-ms-tenant-id: 3f0c8a5e-7f0b-4f3e-9d55-6f2b1b0a9c11\r\n\
             Content-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let head = after.len() - body.len();
        let end_of = |name: &str| head + body.rfind(name).expect("a name") + name.len();
        Self {
            names: job
                .growth
                .strangers
                .then(|| [USER, CONVERSATION].map(end_of)),
            users: Cell::new(u64::from(!job.growth.strangers)),
            token: job.token,
            repeated: tokens(&job.material, "repeated.txt"),
            new: match job.token {
                Token::New => tokens(&job.material, "new.txt"),
                Token::Repeated | Token::Forged | Token::None => vec![],
            },
            next: Cell::new(0),
            warm: Cell::new(false),
            before: before.into_bytes(),
            after: after.into_bytes(),
        }
    }

    /// From now on the tokens are as they are to be measured.
    pub(crate) fn become_warm(&self) {
        self.warm.set(true);
        self.next.set(0);
    }

    pub(crate) const fn is_warm(&self) -> bool {
        self.warm.get()
    }

    /// How many users have sent anything.
    pub(crate) const fn users(&self) -> u64 {
        self.users.get()
    }

    /// Writes the next request, or says that there is none.
    pub(crate) fn write_next(&self, into: &mut Vec<u8>) -> bool {
        let number = self.next.get();
        self.next.set(number + 1);
        into.clear();
        into.extend_from_slice(&self.before);
        let repeated = &self.repeated[number % self.repeated.len()];
        match (self.token, self.warm.get()) {
            (Token::New, true) => match self.new.get(number) {
                Some(token) => bearer(token, into),
                None => return false,
            },
            (Token::Forged, _) => forged(repeated, number, into),
            (Token::Repeated, _) | (Token::New, false) => bearer(repeated, into),
            (Token::None, _) => {}
        }
        let start = into.len();
        into.extend_from_slice(&self.after);
        if let Some(names) = self.names {
            let user = self.users.get();
            self.users.set(user + 1);
            for end in names.map(|end| start + end) {
                let mut digits = &mut into[end - 10..end];
                write!(digits, "{user:010}").expect("room");
            }
        }
        true
    }
}

fn tokens(folder: &Path, name: &str) -> Vec<String> {
    let lines = read_to_string(folder.join(name)).expect("tokens");
    lines.lines().map(str::to_owned).collect()
}

fn bearer(token: &str, into: &mut Vec<u8>) {
    into.extend_from_slice(b"Authorization: Bearer ");
    into.extend_from_slice(token.as_bytes());
    into.extend_from_slice(b"\r\n");
}

/// Another signature each time, by digits in the midst of a good one: at its beginning they could make it larger than the
/// modulus, which is seen without any arithmetic.
fn forged(token: &str, number: usize, into: &mut Vec<u8>) {
    bearer(token, into);
    let end = into.len() - b"\r\n".len();
    let mut digits = &mut into[end - 100..end - 90];
    write!(digits, "{number:010}").expect("room");
    let [_, a, b, c] = u32::try_from(number).unwrap_or_default().to_be_bytes();
    write!(into, "X-Forwarded-For: 10.{a}.{b}.{c}\r\n").expect("memory");
}
