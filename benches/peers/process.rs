//! Child processes on cores of their own, stopped by their ids.

use super::proc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// How long anything may take that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How long a process may take to end when asked to.
const GRACE: Duration = Duration::from_secs(5);

/// Which cores a process may use, as `taskset` takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cores {
    First,
    Second,
    Both,
}

impl Cores {
    const fn list(self) -> &'static str {
        match self {
            Self::First => "0",
            Self::Second => "1",
            Self::Both => "0,1",
        }
    }
}

/// A program on these cores. `taskset` becomes the program, under the same process id.
pub(crate) fn on(cores: Cores, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", cores.list()]).arg(program);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// This program in another role.
pub(crate) fn role(cores: Cores, name: &str) -> Command {
    role_of(cores, own_program(), name)
}

/// This very program, also when cargo has put a newer one in its place meanwhile.
pub(crate) fn own_program() -> PathBuf {
    PathBuf::from(format!("/proc/{}/exe", std::process::id()))
}

pub(crate) fn role_of(cores: Cores, program: impl AsRef<OsStr>, name: &str) -> Command {
    let mut command = on(cores, program);
    command.arg(format!("role={name}"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// A process with what it writes in files of `folder`.
pub(crate) struct Process {
    child: Child,
    id: u32,
    folder: PathBuf,
}

impl Process {
    pub(crate) fn start(mut command: Command, folder: &Path) -> Result<Self, String> {
        let file = |name: &str| File::create(folder.join(name)).expect("a file");
        command.stdout(file("stdout")).stderr(file("stderr"));
        let child = command
            .spawn()
            .map_err(|error| format!("{command:?}: {error}"))?;
        Ok(Self {
            id: child.id().unwrap_or_default(),
            child,
            folder: folder.to_owned(),
        })
    }

    /// One of our own roles, and the address it says.
    pub(crate) async fn start_role(
        mut command: Command,
        folder: &Path,
    ) -> Result<(Self, SocketAddr), String> {
        let mut child = command
            .spawn()
            .map_err(|error| format!("{command:?}: {error}"))?;
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let line = timeout(PATIENCE, lines.next_line()).await;
        let address = match line {
            Ok(Ok(Some(line))) => line.parse().map_err(|_| line),
            Ok(_) | Err(_) => Err("nothing".to_owned()),
        };
        let address = address.map_err(|line| format!("{command:?} said {line}, no address"))?;
        let process = Self {
            id: child.id().unwrap_or_default(),
            child,
            folder: folder.to_owned(),
        };
        Ok((process, address))
    }

    pub(crate) const fn id(&self) -> u32 {
        self.id
    }

    /// What it wrote to `stdout` or `stderr` so far, the beginning of it.
    pub(crate) async fn wrote(&self, name: &str) -> String {
        let mut text = vec![];
        if let Ok(file) = tokio::fs::File::open(self.folder.join(name)).await {
            let _ = file.take(64 * 1024).read_to_end(&mut text).await;
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Waits until it accepts connections.
    pub(crate) async fn until_it_listens(&mut self, address: SocketAddr) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(address).await.is_err() {
            if Instant::now() > until || matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return Err(self.last_words().await);
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)) | Err(_))
    }

    pub(crate) async fn last_words(&self) -> String {
        let (out, err) = (self.wrote("stdout").await, self.wrote("stderr").await);
        let end = |text: &str| {
            text.chars()
                .skip(text.chars().count().saturating_sub(2000))
                .collect::<String>()
        };
        format!(
            "process {} does not serve:\n{}{}",
            self.id,
            end(&out),
            end(&err)
        )
    }

    /// Ends it and everything it started.
    pub(crate) async fn stop(mut self) {
        let family = proc::family(self.id);
        signal(self.id, Signal::SIGTERM);
        if timeout(GRACE, self.child.wait()).await.is_err() {
            signal(self.id, Signal::SIGKILL);
            let _ = self.child.wait().await;
        }
        // What a parent left behind. Its id cannot be another's yet: ids go round slowly.
        for id in family.into_iter().skip(1) {
            let until = Instant::now() + GRACE;
            while Path::new(&format!("/proc/{id}")).exists() && Instant::now() < until {
                sleep(Duration::from_millis(10)).await;
            }
            if Path::new(&format!("/proc/{id}")).exists() {
                signal(id, Signal::SIGKILL);
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Only if the orchestrator gives up: `stop` has waited for its end, and then the id is no longer known here.
        if self.child.id().is_some() {
            for id in proc::family(self.id).into_iter().rev() {
                signal(id, Signal::SIGKILL);
            }
        }
    }
}

fn signal(id: u32, signal: Signal) {
    if let Ok(id @ 1..) = i32::try_from(id) {
        let _ = kill(Pid::from_raw(id), signal);
    }
}

/// Gives a role its job on standard input and reads what it answers.
pub(crate) async fn ask(
    mut command: Command,
    job: &str,
    within: Duration,
) -> Result<String, String> {
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut stdout = child.stdout.take().expect("a pipe");
    let asked = async {
        stdin.write_all(format!("{job}\n").as_bytes()).await?;
        let mut answer = String::new();
        stdout.read_to_string(&mut answer).await?;
        child.wait().await?;
        Ok::<_, std::io::Error>(answer)
    };
    match timeout(within, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the load generator does not end".to_owned()),
    }
}
