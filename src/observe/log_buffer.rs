//! The lines that wait to be written, and the thread that writes them.
//!
//! A request leaves its line behind a lock that is held for as long as it takes to copy it, and goes on: it waits for no reader
//! and no disk. The thread takes lines by the batch, one write each; while requests come without pause it is woken by a timer and not
//! by them. What does not fit is counted and not kept.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Where batches of whole lines go.
pub(super) trait Output: Send + 'static {
    /// Writes them; how many lines could not be written.
    fn put(&mut self, lines: &[u8]) -> u64;
}

/// Lines that wait.
#[derive(Debug)]
pub(super) struct LogBuffer {
    waiting: Mutex<Waiting>,
    /// Wakes the thread.
    wake: Condvar,
    /// Wakes whoever waits for the thread's end.
    ended: Condvar,
    /// Bytes that may wait.
    most: usize,
    lost: AtomicU64,
    is_failing: AtomicBool,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The oldest first; lines are added to the last one. Batches, not one long piece: nothing large is ever copied behind the lock, and
    /// what a burst needed is given back.
    batches: VecDeque<Vec<u8>>,
    /// One that was written, to be filled again.
    spare: Option<Vec<u8>>,
    /// Bytes in `batches`, and in the batch that is being written.
    held: usize,
    wants: Wants,
    /// Batches written.
    written: u64,
    is_over: bool,
    is_done: bool,
}

/// What the thread is to be woken for: waking costs a system call, so nobody does it in vain.
#[derive(Clone, Copy, Debug, Default)]
enum Wants {
    /// It is at work.
    #[default]
    Nothing,
    /// It gathers, until this much is there or its time is over.
    Batch,
    /// There was nothing to do.
    Line,
}

impl LogBuffer {
    /// The buffer of lines that a thread of their own writes to `output`, until the [`Writing`] is dropped.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(
        mut output: impl Output,
        most: usize,
    ) -> io::Result<(Arc<LogBuffer>, Writing)> {
        let buffer = Arc::new(Self {
            waiting: Mutex::default(),
            wake: Condvar::new(),
            ended: Condvar::new(),
            most,
            lost: AtomicU64::new(0),
            is_failing: AtomicBool::new(false),
        });
        let of_thread = Arc::clone(&buffer);
        std::thread::Builder::new()
            .name("botgate-log".to_owned())
            .spawn(move || of_thread.write_all(&mut output))?;
        Ok((Arc::clone(&buffer), Writing(buffer)))
    }

    /// Takes a whole line, with its end.
    pub(super) fn push(&self, line: &[u8]) {
        let mut waiting = self.waiting();
        let held = waiting.held.saturating_add(line.len());
        if waiting.is_done || held > self.most {
            drop(waiting);
            self.lost.fetch_add(1, Ordering::AcqRel);
            return;
        }
        waiting.held = held;
        let is_wanted = waiting.add(line);
        drop(waiting);
        if is_wanted {
            self.wake.notify_one();
        }
    }

    /// Lines that did not fit, or could not be written.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Acquire)
    }

    /// Whether the last batch could not be written.
    pub(super) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Acquire)
    }

    fn write_all(&self, output: &mut dyn Output) {
        let mut written = None;
        while let Some(batch) = self.next(written.take()) {
            let lost = output.put(&batch);
            self.lost.fetch_add(lost, Ordering::AcqRel);
            self.is_failing.store(lost > 0, Ordering::Release);
            written = Some(batch);
        }
    }

    /// Gives a batch back that was written, and waits for the next one. `None` at the end.
    ///
    /// A line that comes after a pause is written at once, for whoever watches; those behind it are gathered.
    fn next(&self, written: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let mut waiting = self.waiting();
        if let Some(batch) = written {
            waiting.take_back(batch);
            waiting.wants = Wants::Batch;
            let gathers = |waiting: &mut Waiting| waiting.batches.len() < 2 && !waiting.is_over;
            let gathered = self.wake.wait_timeout_while(waiting, GATHER, gathers);
            waiting = gathered.unwrap_or_else(PoisonError::into_inner).0;
        }
        waiting.wants = Wants::Line;
        let has_none = |waiting: &mut Waiting| waiting.batches.is_empty() && !waiting.is_over;
        let woken = self.wake.wait_while(waiting, has_none);
        waiting = woken.unwrap_or_else(PoisonError::into_inner);
        waiting.wants = Wants::Nothing;
        let batch = waiting.batches.pop_front();
        if batch.is_none() {
            waiting.is_done = true;
            self.ended.notify_all();
        }
        batch
    }

    /// Has everything written that waits, and waits for it: but not for a reader who reads nothing any more.
    fn end(&self) {
        let mut waiting = self.waiting();
        waiting.is_over = true;
        self.wake.notify_one();
        for _ in 0..MOST_SECONDS {
            let written = waiting.written;
            let is_at_work = |waiting: &mut Waiting| !waiting.is_done;
            let ended = self.ended.wait_timeout_while(waiting, SECOND, is_at_work);
            waiting = ended.unwrap_or_else(PoisonError::into_inner).0;
            if waiting.is_done || waiting.written == written {
                return;
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Poison only says that another thread panicked; between two lines nothing here is half done.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Adds a line; whether the thread is to be woken for it.
    fn add(&mut self, line: &[u8]) -> bool {
        match self.batches.back_mut() {
            Some(last) if last.capacity().saturating_sub(last.len()) >= line.len() => {
                last.extend_from_slice(line);
            }
            _ => {
                let spare = self.spare.take().filter(|_| line.len() <= BATCH);
                let mut batch = spare.unwrap_or_else(|| Vec::with_capacity(BATCH.max(line.len())));
                batch.extend_from_slice(line);
                self.batches.push_back(batch);
            }
        }
        let is_wanted = match self.wants {
            Wants::Nothing => false,
            Wants::Batch => self.batches.len() > 1,
            Wants::Line => true,
        };
        if is_wanted {
            self.wants = Wants::Nothing;
        }
        is_wanted
    }

    fn take_back(&mut self, mut batch: Vec<u8>) {
        self.held = self.held.saturating_sub(batch.len());
        self.written = self.written.wrapping_add(1);
        if self.batches.is_empty() {
            // Only now: a spare one while others wait would be memory that nobody needs.
            self.batches.shrink_to(FEW);
        }
        if batch.capacity() <= BATCH {
            batch.clear();
            self.spare = Some(batch);
        }
    }
}

/// The thread at work. Dropping it has written what waits.
#[derive(Debug)]
pub(super) struct Writing(Arc<LogBuffer>);

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Bytes that may wait: more than ten thousand request lines, which is more than a second of a busy gateway.
pub(super) const MOST: usize = 10 * 1024 * 1024;
/// Bytes of one write, unless one line is longer.
const BATCH: usize = 64 * 1024;
/// How long lines are gathered after a write: no delay to an eye, and about a hundred writes a second at most. A process that is killed
/// without warning loses the lines of this time.
const GATHER: Duration = Duration::from_millis(8);
const SECOND: Duration = Duration::from_secs(1);
/// How long the end waits in all, for as long as there is progress each second.
const MOST_SECONDS: u32 = 5;
/// Room for batches that is kept.
const FEW: usize = 4;
