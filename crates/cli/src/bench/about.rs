//! What is said of a transport beside its name, and what it is asked to do.
//!
//! Imports: the transports' own descriptions alone.

use annulus_measure::Kind;

/// A transport as cases and rows name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// The first part of a case's name: a kind of ring, or the transport itself.
    pub mechanism: &'static str,
    /// Who is measured: `annulus`, `raw`, or the transport.
    pub subject: &'static str,
    /// What its memory is, if it has any of its own.
    pub segment: Option<&'static str>,
    /// What a broadcast does with receivers that are too slow.
    pub policy: Option<&'static str>,
}

/// Our rings, by the first word of their names.
const RINGS: [(&str, &str, Option<&str>); 5] = [
    ("ring", "spsc", None),
    ("stream", "stream", None),
    ("mpmc", "mpmc", None),
    ("broadcast", "broadcast", Some("overwriting")),
    ("lossless", "broadcast", Some("lossless")),
];

impl About {
    /// Of a kind.
    pub fn of(kind: Kind) -> About {
        let name = kind.name();
        let (first, rest) = name.split_once('-').unwrap_or((name, ""));
        let ring = RINGS.into_iter().find(|(ring, ..)| *ring == first);
        match (ring, rest) {
            (Some((_, mechanism, policy)), "" | "file" | "memfd") => {
                let segment = Some(if rest.is_empty() { "named" } else { rest });
                About { mechanism, subject: "annulus", segment, policy }
            }
            _ => About { mechanism: name, subject: name, segment: None, policy: None },
        }
    }

    /// Whether it is one of ours.
    pub fn is_ours(&self) -> bool {
        self.subject == "annulus"
    }
}
