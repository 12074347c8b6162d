//! So many requests a second, each due at its own moment, whether those before are answered or not. Its time counts from when it
//! was due: a proxy that halts makes all that wait behind it late, and all of them count.

use super::Shared;
use super::client::Connection;
use super::closed::ask;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Requests that are due and not sent.
pub(crate) struct Due {
    waiting: RefCell<VecDeque<Instant>>,
    count: Semaphore,
    /// How many became due.
    pub(crate) so_far: Cell<u64>,
    pub(crate) microseconds: RefCell<Vec<f64>>,
}

impl Due {
    pub(crate) fn new() -> Self {
        Self {
            waiting: RefCell::default(),
            count: Semaphore::new(0),
            so_far: Cell::new(0),
            microseconds: RefCell::default(),
        }
    }

    /// Median, 99 and 99.9 in a hundred.
    pub(crate) fn percentiles(&self) -> Option<[f64; 3]> {
        let mut all = self.microseconds.take();
        all.sort_by(f64::total_cmp);
        let last = all.len().checked_sub(1)?;
        Some([500, 990, 999].map(|part| all[last * part / 1000]))
    }
}

/// The clock. Tokio's own ticks every millisecond, which is too coarse here.
pub(crate) async fn clock(shared: Rc<Shared>, rate: f64) {
    let interval = Duration::from_secs_f64(1.0 / rate);
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK).expect("a timer");
    let ticks = Expiration::Interval(TimeSpec::from_duration(interval));
    timer
        .set(ticks, TimerSetTimeFlags::empty())
        .expect("a timer");
    let start = Instant::now();
    // It is no pipe, and is read like one: tokio has no door of its own for other descriptors that is safe and not deprecated.
    let mut timer = pipe::Receiver::from_owned_fd_unchecked(timer.into()).expect("a timer");
    let (mut sent, mut expired) = (0_u64, 0_u64);
    while !shared.stop.get() {
        expired += count(&mut timer).await.expect("a timer");
        let mut waiting = shared.due.waiting.borrow_mut();
        while sent < expired {
            sent += 1;
            waiting.push_back(start + interval.mul_f64(sent as f64));
            shared.due.count.add_permits(1);
        }
        shared.due.so_far.set(sent);
    }
    shared.due.count.close();
}

/// How often the timer went off since it was asked last.
async fn count(timer: &mut pipe::Receiver) -> io::Result<u64> {
    let mut count = [0; 8];
    timer.read_exact(&mut count).await?;
    Ok(u64::from_ne_bytes(count))
}

/// Sends what is due, one after the other, on one connection.
pub(crate) async fn sender(shared: Rc<Shared>) {
    let mut request = Vec::new();
    let mut connection: Option<Connection> = None;
    while let Ok(permit) = shared.due.count.acquire().await {
        permit.forget();
        let Some(due) = shared.due.waiting.borrow_mut().pop_front() else {
            continue;
        };
        if !shared.requests.write_next(&mut request) {
            return shared.end();
        }
        connection = ask(&shared, connection, &request).await;
        if shared.requests.is_warm() {
            let took = due.elapsed().as_secs_f64() * 1e6;
            shared.due.microseconds.borrow_mut().push(took);
        }
    }
}
