//! How a child is started: this binary again, with a role, a socket and what it inherits.
#![allow(unsafe_code)]

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, PipeReader};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{self, Command, Stdio};
use std::time::Duration;

use super::family::{Child, Family};
use super::link::Link;
use super::mount::PrivateShm;
use super::role;

/// What executes the binaries of another processor, if the machine can't by itself.
const RUNNER: &str = "ANNULUS_CHILD_RUNNER";

/// How long a child may go without progress unless its test says otherwise.
const WATCHDOG: Duration = Duration::from_secs(10);

/// A child to be.
///
/// It dies with the *thread* that starts it (`PR_SET_PDEATHSIG`): with its test. Start
/// none from a helper thread that ends early.
pub struct Spawn<'a> {
    family: &'a Family,
    role: &'static str,
    command: Command,
    arguments: Vec<String>,
    inherited: Vec<OwnedFd>,
    watchdog: Duration,
    private_shm: Option<PrivateShm>,
}

/// What a started child is made of.
pub struct Started {
    pub role: &'static str,
    pub process: process::Child,
    pub link: Link,
    pub output: PipeReader,
}

/// The machine does not let this process have a private mount.
#[derive(Debug)]
pub struct Unavailable(io::Error);

impl fmt::Display for Unavailable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "no private mount of a tmpfs: {}", self.0)
    }
}

impl<'a> Spawn<'a> {
    pub(super) fn new(family: &'a Family, role: &'static str) -> Self {
        let binary = std::env::current_exe().expect("the path of this binary");
        Self::of(family, role, binary.as_os_str())
    }

    /// Of another build of this test.
    pub(super) fn of(family: &'a Family, role: &'static str, binary: &OsStr) -> Self {
        let mut command = match std::env::var_os(RUNNER) {
            Some(runner) => {
                let mut command = Command::new(runner);
                command.arg(binary);
                command
            }
            None => Command::new(binary),
        };
        command.args(["child_entry", "--exact", "--nocapture", "--test-threads=1"]);
        Self {
            family,
            role,
            command,
            arguments: Vec::new(),
            inherited: Vec::new(),
            watchdog: WATCHDOG,
            private_shm: None,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl fmt::Display) -> Self {
        let argument = argument.to_string();
        assert!(!argument.contains(role::SEPARATOR), "{argument:?}");
        self.arguments.push(argument);
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// How long it may go without progress before it aborts; zero is for ever.
    #[must_use]
    pub fn watchdog(mut self, limit: Duration) -> Self {
        self.watchdog = limit;
        self
    }

    /// Lets it inherit a duplicate of a descriptor: [`super::Role::inherited`] there.
    #[must_use]
    pub fn inherit(mut self, descriptor: BorrowedFd<'_>) -> Self {
        let duplicate = descriptor.try_clone_to_owned();
        self.inherited.push(duplicate.expect("a free descriptor"));
        self
    }

    /// Gives it a tmpfs of `bytes` of its own over /dev/shm. Start it by
    /// [`Spawn::try_spawn`] and skip the test where that is not to be had.
    #[must_use]
    pub fn private_shm(mut self, bytes: u64) -> Self {
        self.private_shm = Some(PrivateShm::new(bytes));
        self
    }

    /// Starts it.
    pub fn spawn(self) -> Child<'a> {
        self.try_spawn().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts it, unless its private mount can't be had.
    pub fn try_spawn(mut self) -> Result<Child<'a>, Unavailable> {
        let (ours, theirs) = Link::pair().expect("a pair of sockets");
        let (output, writer) = io::pipe().expect("a pipe");
        let numbers: Vec<RawFd> = std::iter::once(std::os::fd::AsFd::as_fd(&theirs).as_raw_fd())
            .chain(self.inherited.iter().map(AsRawFd::as_raw_fd))
            .collect();
        let listed: Vec<_> = numbers.iter().map(ToString::to_string).collect();
        let separator = role::SEPARATOR.to_string();
        self.command
            .env(role::ROLE, self.role)
            .env(role::ARGUMENTS, self.arguments.join(&separator))
            .env(role::DESCRIPTORS, listed.join(","))
            .env(role::WATCHDOG, self.watchdog.as_millis().to_string())
            .stdin(Stdio::null())
            .stdout(writer.try_clone().expect("a free descriptor"))
            .stderr(writer);
        let mount = self.private_shm.take();
        let private = mount.is_some();
        let parent = process::id();
        // SAFETY: `prepare` makes system calls alone: no allocation, no lock.
        unsafe { self.command.pre_exec(move || prepare(parent, &numbers, mount.as_ref())) };
        let process = match self.command.spawn() {
            Ok(process) => process,
            Err(error) if private && PrivateShm::is_unavailable(&error) => {
                return Err(Unavailable(error));
            }
            Err(error) => panic!("can't start `{}`: {error}", self.role),
        };
        Ok(Child::new(self.family, Started { role: self.role, process, link: ours, output }))
    }
}

/// In the forked child, before it executes.
fn prepare(parent: u32, numbers: &[RawFd], mount: Option<&PrivateShm>) -> io::Result<()> {
    if let Some(mount) = mount {
        mount.enter()?;
    }
    // After the namespaces: entering a user namespace clears it.
    // SAFETY: touches no memory.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })?;
    // SAFETY: as above.
    let now = unsafe { libc::getppid() };
    if u32::try_from(now) != Ok(parent) {
        // The parent died before the line above could matter.
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // No core files of children that are meant to abort.
    // SAFETY: reads the struct it is given.
    check(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &none) })?;
    for number in numbers {
        // SAFETY: touches no memory.
        check(unsafe { libc::fcntl(*number, libc::F_SETFD, 0) })?;
    }
    Ok(())
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
