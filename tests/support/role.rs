//! The child's side: which role it plays, and what it can say to its parent.
#![allow(unsafe_code)]

use std::any::type_name_of_val;
use std::fmt::Debug;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::str::FromStr;
use std::time::Duration;

use super::link::Link;
use super::watchdog::{self, Counter};

/// The role that a child process is to play; set in children alone.
pub const ROLE: &str = "ANNULUS_CHILD";
/// Its arguments, separated by [`SEPARATOR`].
pub const ARGUMENTS: &str = "ANNULUS_CHILD_ARGUMENTS";
/// The number of its socket, then those of the descriptors it inherits.
pub const DESCRIPTORS: &str = "ANNULUS_CHILD_DESCRIPTORS";
/// Milliseconds without progress after which it aborts; 0 is never.
pub const WATCHDOG: &str = "ANNULUS_CHILD_WATCHDOG";
/// What no argument may contain.
pub const SEPARATOR: char = '\x1f';

/// How long a child waits for a line of its parent; the watchdog is quicker by default.
const PATIENCE: Duration = Duration::from_secs(60);

/// A role's view of itself.
pub struct Role {
    arguments: Vec<String>,
    link: Link,
    inherited: std::vec::IntoIter<OwnedFd>,
    heard: &'static Counter,
}

/// A role's name and what plays it.
pub type Entry = (&'static str, fn(&mut Role));

/// The body of `child_entry`: plays the role that the environment names, if any.
///
/// # Panics
///
/// If the role is not among `roles`, and as the role does: the process then ends with
/// the harness's status of a failed test.
pub fn enter(roles: &[Entry]) {
    let Ok(name) = std::env::var(ROLE) else {
        return;
    };
    let role = roles.iter().find(|(known, _)| *known == name);
    let (_, play) = role.unwrap_or_else(|| panic!("`{name}` is not among roles! of this file"));
    let patience: u64 = variable(WATCHDOG).parse().expect("a number");
    let mut role = Role::from_environment();
    if patience > 0 {
        watchdog::start(&name, Duration::from_millis(patience));
    }
    play(&mut role);
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}

impl Role {
    fn from_environment() -> Self {
        let arguments = variable(ARGUMENTS);
        let split = |text: &str| text.split(SEPARATOR).map(String::from).collect();
        let arguments = if arguments.is_empty() { Vec::new() } else { split(&arguments) };
        let numbers = variable(DESCRIPTORS);
        let mut descriptors = numbers.split(',').map(|number| {
            let number: RawFd = number.parse().expect("a descriptor's number");
            set_close_on_exec(number);
            // SAFETY: the parent left this descriptor open for this process and told
            // its number here alone; `enter` takes each once, at the process's start.
            unsafe { OwnedFd::from_raw_fd(number) }
        });
        let link = descriptors.next().expect("the socket comes first");
        let inherited: Vec<_> = descriptors.collect();
        Self {
            arguments,
            link: Link::new(UnixStream::from(link)),
            inherited: inherited.into_iter(),
            heard: Counter::named("heard"),
        }
    }

    /// Argument `index`.
    pub fn argument(&self, index: usize) -> &str {
        self.arguments
            .get(index)
            .unwrap_or_else(|| panic!("argument {index} of {:?}", self.arguments))
    }

    /// Argument `index` as a number or whatever it is.
    pub fn parse<T: FromStr<Err: Debug>>(&self, index: usize) -> T {
        let text = self.argument(index);
        text.parse().unwrap_or_else(|error| panic!("argument {index} is {text:?}: {error:?}"))
    }

    /// The next descriptor that the parent let this child inherit.
    pub fn inherited(&mut self) -> OwnedFd {
        self.inherited.next().expect("no more was inherited")
    }

    /// A counter that feeds the watchdog and that it prints when it fires.
    pub fn counter(&self, name: &'static str) -> &'static Counter {
        Counter::named(name)
    }

    /// Says a line to the parent.
    pub fn say(&mut self, line: &str) {
        self.link.send(line).expect("the parent is gone");
    }

    /// Says a line and passes a descriptor with it.
    pub fn say_with_fd(&mut self, line: &str, descriptor: BorrowedFd<'_>) {
        self.link.send_fd(line, descriptor).expect("the parent is gone");
    }

    /// Waits for the parent's next line.
    pub fn hear(&mut self) -> String {
        let line = self.link.receive(PATIENCE);
        self.heard.add(1);
        line.expect("the parent says nothing")
    }

    /// Waits for the parent's next line and the descriptor that comes with it.
    pub fn hear_with_fd(&mut self) -> (String, OwnedFd) {
        let heard = self.link.receive_fd(PATIENCE);
        self.heard.add(1);
        heard.expect("the parent says nothing")
    }

    /// Waits for this very line.
    pub fn expect(&mut self, line: &str) {
        assert_eq!(self.hear(), line);
    }
}

/// The name of a role: its function's.
pub fn name_of<F: Fn(&mut Role)>(role: &F) -> &'static str {
    let path = type_name_of_val(role);
    path.rsplit("::").next().unwrap_or(path)
}

/// Not for this child's own children.
fn set_close_on_exec(number: RawFd) {
    // SAFETY: F_SETFD touches no memory; a number that is not open gives EBADF.
    let result = unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    assert_eq!(result, 0, "descriptor {number} was not inherited");
}
