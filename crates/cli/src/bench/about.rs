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
}

/// The four rings.
const RINGS: [(&str, &str); 5] = [
    ("ring", "spsc"),
    ("spsc", "spsc"),
    ("stream", "stream"),
    ("mpmc", "mpmc"),
    ("broadcast", "broadcast"),
];

impl About {
    /// Of a kind.
    pub fn of(kind: Kind) -> About {
        let name = kind.name();
        let (first, rest) = name.split_once('-').unwrap_or((name, ""));
        let has = |part: &str| rest.split('-').any(|word| word == part);
        let Some((_, mechanism)) = RINGS.iter().find(|(ring, _)| *ring == first) else {
            return About { mechanism: name, subject: name, segment: None };
        };
        let segment = ["memfd", "file"].into_iter().find(|segment| has(segment));
        About { mechanism, subject: "annulus", segment: Some(segment.unwrap_or("named")) }
    }

    /// Whether it is one of ours.
    pub fn is_ours(&self) -> bool {
        self.subject == "annulus"
    }
}
