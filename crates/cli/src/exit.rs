//! How a command ends: the exit code, and one line that says what to do next.
//!
//! ```text
//!   0  done; of a stream or ring: it came to its end
//!   1  another error, or a receiver that closed early (quietly)
//!   2  usage, or an address with nothing usable under it
//!   3  the peer died or aborted
//! ```
//!
//! Imports: nothing of the command's.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use annulus::{Error, Field};

/// A command's result.
pub type Result<T = ()> = std::result::Result<T, Failure>;

/// Why a command did not do what it was asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    code: u8,
    /// Nothing to say: somebody has seen enough, or a signal says it all.
    message: Option<String>,
}

impl Failure {
    /// Another error.
    pub fn other(message: impl Into<String>) -> Failure {
        Failure { code: 1, message: Some(message.into()) }
    }

    /// The address, or the way the command was called, will not do.
    pub fn unusable(message: impl Into<String>) -> Failure {
        Failure { code: 2, message: Some(message.into()) }
    }

    /// The peer died or aborted.
    pub fn peer(message: impl Into<String>) -> Failure {
        Failure { code: 3, message: Some(message.into()) }
    }

    /// Somebody has seen enough, as in `| head`.
    pub fn quiet() -> Failure {
        Failure { code: 1, message: None }
    }

    /// Of what annulus refused at an address.
    pub fn refused(address: &str, error: &Error) -> Failure {
        let (code, advice) = advice(error);
        let address = shown(address);
        // Some of the library's sentences begin with the address.
        let reason = match error {
            Error::AlreadyExists { .. } => "something stands there already".to_owned(),
            Error::NotFound { .. } => "nothing stands there".to_owned(),
            Error::InUse { .. } => "in use: somebody has it open".to_owned(),
            Error::Address { reason, .. } => (*reason).to_owned(),
            error => error.to_string(),
        };
        Failure { code, message: Some(format!("{address}: {reason}; {advice}")) }
    }

    /// Of what could not be written to standard output.
    pub fn output(error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::quiet(),
            _ => Failure::other(format!(
                "writing to standard output: {error}; see where it leads and try again"
            )),
        }
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message.as_deref().unwrap_or_default())
    }
}

/// A text as it may stand in a line for people: an address can hold anything.
pub fn shown(text: &str) -> String {
    let shown = |c: char| match c {
        '\'' | '"' | '\\' => c.to_string(),
        c => c.escape_debug().to_string(),
    };
    text.chars().map(shown).collect()
}

/// The exit code of an error, and what whoever sees it can do.
fn advice(error: &Error) -> (u8, &'static str) {
    match error {
        Error::Address { .. } => (2, "write it as shm:NAME or file:PATH"),
        Error::AlreadyExists { .. } => (2, "choose another name, or remove what stands there"),
        Error::NotFound { .. } => (2, "`annulus ls` lists the segments that there are"),
        Error::Mismatch { field, .. } => (2, mismatch_advice(*field)),
        Error::Corrupt(_) => (2, "the segment is damaged: remove it with `annulus rm --force`"),
        Error::Option { option: "capacity", .. } => (2, "give another --capacity"),
        Error::Option { .. } => (2, "give another value"),
        Error::InUse { .. } => (1, "wait until nobody has it open, or choose another name"),
        Error::Over { .. } => (2, "remove it with `annulus rm`, or choose another name"),
        Error::NoSeat { .. } => (1, "wait until one of them has ended, or choose another name"),
        Error::SeatTaken { .. } => (1, "wait until that process has ended, or choose another name"),
        Error::Os { source, .. } => os_advice(source),
        _ => (1, "`annulus inspect` shows what stands there"),
    }
}

fn mismatch_advice(field: Field) -> &'static str {
    match field {
        Field::Magic => "it was not made by annulus: choose another name",
        Field::FileType => "no segment can stand there: choose another name",
        Field::FileSystem => "put it on a local file system, such as /dev/shm",
        Field::Owner => "it belongs to another user: choose another name",
        Field::Mode => "others may reach it: take that right from them, or choose another name",
        Field::Version => "another version of annulus made it: use that one, or another name",
        Field::Kind | Field::MessageSize | Field::MessageAlign | Field::TypeTag => {
            "it is a ring of another kind: choose another name"
        }
        Field::Length | Field::Checksum => {
            "it is damaged or no segment: choose another name, or remove it"
        }
        _ => "choose another name",
    }
}

fn os_advice(error: &io::Error) -> (u8, &'static str) {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::StorageFull | Kind::QuotaExceeded => {
            (1, "free some of it, or give a smaller --capacity")
        }
        Kind::OutOfMemory => (1, "free some memory, or give a smaller --capacity"),
        Kind::NotFound | Kind::NotADirectory => (2, "make its directory first, or choose another"),
        Kind::PermissionDenied | Kind::ReadOnlyFilesystem => {
            (2, "choose a place where you have the right to do that")
        }
        Kind::InvalidFilename => (2, "choose a shorter name"),
        _ => (1, "see to the cause and try again"),
    }
}

/// Says why a command failed, and turns that into its exit code.
pub fn report(result: Result) -> ExitCode {
    let Err(failure) = result else {
        return ExitCode::SUCCESS;
    };
    if let Some(message) = &failure.message {
        // One line, whatever is in it. Nobody left to tell: the code still says it.
        let _ = writeln!(io::stderr(), "annulus: {}", message.replace('\n', " "));
    }
    ExitCode::from(failure.code())
}

/// Writes a report to standard output.
pub fn print(text: &str) -> Result {
    let mut out = io::stdout().lock();
    let outcome = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    outcome.map_err(|error| Failure::output(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_address_the_reason_and_a_way_out() {
        let error = annulus::Observer::open("ticks").unwrap_err();
        let failure = Failure::refused("ticks", &error);
        assert_eq!(failure.code(), 2);
        assert_eq!(
            failure.to_string(),
            "ticks: it begins with neither `shm:` nor `file:`; write it as shm:NAME or file:PATH"
        );
    }

    #[test]
    fn a_full_file_system_is_no_fault_of_the_address() {
        let full = Error::Os {
            call: "reserving the segment's memory",
            source: io::Error::from_raw_os_error(28),
        };
        let failure = Failure::refused("shm:x", &full);
        assert_eq!(failure.code(), 1);
        assert!(failure.to_string().contains("smaller --capacity"), "{failure}");
    }

    #[test]
    fn what_would_steer_a_terminal_is_shown_and_quotes_stay() {
        assert_eq!(shown("shm:it's\u{1b}[2J\n"), "shm:it's\\u{1b}[2J\\n");
    }

    #[test]
    fn whoever_has_seen_enough_is_told_nothing() {
        let pipe = io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(Failure::output(&pipe), Failure::quiet());
    }
}
