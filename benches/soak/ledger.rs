//! What the clients sent and got, by client.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What is promised about a client's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// Every one is answered with one of these, and forwarded if that is 200.
    Answered(&'static [u16]),
    /// Every one is answered with one of these, by the bot or for it; an answer of the bot's may be cut off where the bot did so.
    Tried(&'static [u16]),
    /// None reaches the bot.
    KeptOut,
    /// The client leaves before it could know.
    Unknown,
}

/// What one client counted.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) address: Ipv4Addr,
    pub(crate) promise: Promise,
    pub(crate) sent: u64,
    pub(crate) answers: BTreeMap<u16, u64>,
    /// How many of the answers ended early.
    pub(crate) cut_off: u64,
    /// Requests that were waited for in vain, with the last reason.
    pub(crate) unanswered: u64,
    pub(crate) last_trouble: String,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    accounts: Mutex<BTreeMap<&'static str, Account>>,
    /// TCP connections that were made to the gateway.
    pub(crate) connections: AtomicU64,
}

impl Ledger {
    /// Opens an account and gives it a loopback address of its own.
    pub(crate) fn open(&self, name: &'static str, promise: Promise) -> Client<'_> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let number = u8::try_from(accounts.len() + 1).expect("few clients");
        let account = accounts.entry(name).or_insert(Account {
            address: Ipv4Addr::new(127, 0, 1, number),
            promise,
            sent: 0,
            answers: BTreeMap::new(),
            cut_off: 0,
            unanswered: 0,
            last_trouble: String::new(),
        });
        Client {
            ledger: self,
            name,
            address: account.address,
        }
    }

    pub(crate) fn accounts(&self) -> BTreeMap<&'static str, Account> {
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.clone()
    }

    pub(crate) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }
}

/// The owner of an account.
#[derive(Clone, Copy)]
pub(crate) struct Client<'l> {
    ledger: &'l Ledger,
    pub(crate) name: &'static str,
    pub(crate) address: Ipv4Addr,
}

impl Client<'_> {
    fn change(&self, change: impl FnOnce(&mut Account)) {
        let accounts = self.ledger.accounts.lock();
        let mut accounts = accounts.unwrap_or_else(PoisonError::into_inner);
        change(accounts.get_mut(self.name).expect("an open account"));
    }

    pub(crate) fn sent(&self) {
        self.change(|account| account.sent += 1);
    }

    pub(crate) fn answered(&self, status: u16) {
        self.change(|account| *account.answers.entry(status).or_default() += 1);
    }

    pub(crate) fn cut_off(&self, status: u16) {
        self.answered(status);
        self.change(|account| account.cut_off += 1);
    }

    pub(crate) fn unanswered(&self, why: &dyn std::fmt::Display) {
        self.change(|account| {
            account.unanswered += 1;
            account.last_trouble = why.to_string();
        });
    }
}
