//! What a process needs to take one end, and how the peer is told.

use std::any::Any;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use crate::{Error, child};

/// What one process needs to take one end: a name, descriptors, or both.
#[derive(Debug, Default)]
pub struct Ticket {
    /// A name that both processes can open.
    pub name: Option<String>,
    /// A descriptor, inherited by the peer.
    pub fd: Option<OwnedFd>,
    /// More of them, where one does not do.
    pub others: Vec<OwnedFd>,
    /// What goes when the last end in this process does.
    pub own: Option<Arc<dyn Any>>,
}

impl Ticket {
    pub(crate) fn named(name: &str) -> Ticket {
        Ticket { name: Some(name.to_owned()), ..Ticket::default() }
    }

    pub(crate) fn inherited(fd: OwnedFd) -> Ticket {
        Ticket { fd: Some(fd), ..Ticket::default() }
    }

    pub(crate) fn into_fd(self) -> Result<OwnedFd, Error> {
        self.fd.ok_or_else(|| Error::Spec("a descriptor is missing".into()))
    }

    pub(crate) fn into_name(self) -> Result<String, Error> {
        self.name.ok_or_else(|| Error::Spec("a name is missing".into()))
    }

    /// As the peer reads it: `none`, or the descriptors' numbers and the name's bytes
    /// behind a `=`, with a `+` between any two.
    pub(crate) fn write(ticket: Option<&Ticket>, fds: &mut Vec<RawFd>) -> String {
        let Some(ticket) = ticket else { return "none".to_owned() };
        let numbers: Vec<RawFd> =
            ticket.fd.iter().chain(&ticket.others).map(AsRawFd::as_raw_fd).collect();
        fds.extend(&numbers);
        let mut parts: Vec<String> = numbers.iter().map(RawFd::to_string).collect();
        if let Some(name) = &ticket.name {
            let digits: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
            parts.push(format!("={digits}"));
        }
        parts.join("+")
    }

    /// What [`write`](Self::write) wrote. Called once for each ticket, in the peer.
    pub(crate) fn read(text: &str) -> Result<Option<Ticket>, Error> {
        let unreadable = || Error::Spec(format!("no ticket: {text:?}"));
        if text == "none" {
            return Ok(None);
        }
        let mut ticket = Ticket::default();
        for part in text.split('+') {
            if let Some(digits) = part.strip_prefix('=') {
                ticket.name = Some(name(digits).ok_or_else(unreadable)?);
                continue;
            }
            let fd = child::inherited(part.parse().map_err(|_| unreadable())?);
            match ticket.fd {
                None => ticket.fd = Some(fd),
                Some(_) => ticket.others.push(fd),
            }
        }
        Ok(Some(ticket))
    }
}

fn name(digits: &str) -> Option<String> {
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    String::from_utf8(pairs.iter().map(byte).collect::<Option<_>>()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_arrives_whatever_is_in_it() {
        for name in ["shm:a", "file:/tmp/a,b;c+d=e/ä \n", ""] {
            let mut fds = Vec::new();
            let text = Ticket::write(Some(&Ticket::named(name)), &mut fds);
            assert!(fds.is_empty() && !text.contains([',', ';', '+']), "{text}");
            let read = Ticket::read(&text).unwrap().unwrap();
            assert_eq!(read.name.as_deref(), Some(name));
        }
        assert!(Ticket::read("none").unwrap().is_none());
        assert!(matches!(Ticket::read("=abc"), Err(Error::Spec(_))));
        assert!(matches!(Ticket::read("here"), Err(Error::Spec(_))));
    }
}
