//! Everything that can catch a mutant of the spsc ring, for campaigns.

use annulus::hooks::Payload;

use crate::model::Model;
use crate::{Bounds, Found, find_bug, models, opening, waiting};

/// What mutants are caught by.
pub enum Net {
    /// A script.
    Script(&'static str, Model),
    /// One opens while another makes.
    Opening,
    /// Two come to a seat.
    Seating,
    /// Both sides sleep.
    Stream,
    /// A wait is cancelled.
    Cancellation,
}

impl Net {
    /// Those in which nobody sleeps.
    pub fn of_the_wakeful() -> Vec<Self> {
        let models = models::LIVING.iter().chain(models::DYING);
        let scripts = models.map(|(name, model)| Self::Script(name, model()));
        [Self::Opening, Self::Seating].into_iter().chain(scripts).collect()
    }

    /// Those in which somebody sleeps.
    pub fn of_the_sleeping() -> Vec<Self> {
        vec![Self::Cancellation, Self::Stream]
    }

    /// Its name, which is a test's.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Script(name, _) => name,
            Self::Opening => "a_ring_is_whole_or_not_there",
            Self::Seating => "a_seat_without_a_lock_has_one_occupant",
            Self::Stream => "a_stream_arrives_through_one_slot",
            Self::Cancellation => "a_cancellation_is_not_missed",
        }
    }

    /// Explores, within `bounds` and not the model's own, until an execution fails of the
    /// code as the hooks have changed it.
    pub fn find(&self, payload: Payload, bounds: Bounds) -> Option<Found> {
        match self {
            Self::Script(_, model) => Model { bounds, ..model.clone() }.find(payload, None),
            Self::Opening => find_bug(bounds, move || {
                let opened = opening::a_ring_is_whole_or_not_there(payload);
                assert!(opening::whole_or_not_there().contains(&opened), "opened: {opened:?}");
            }),
            Self::Seating => find_bug(bounds, move || {
                let seated = opening::a_seat_without_a_lock_has_one_occupant(payload);
                assert!(opening::one_occupant().contains(&seated), "seated: {seated:?}");
            }),
            Self::Stream => find_bug(bounds, move || {
                let received = waiting::a_stream(payload, 1, 2, None);
                assert!(received == [1, 2], "received: {received:?}");
            }),
            Self::Cancellation => find_bug(bounds, move || waiting::a_cancellation(payload)),
        }
    }
}

/// A mutant that was found.
#[derive(Debug)]
pub struct Caught {
    /// By what.
    pub net: &'static str,
    /// With messages as what.
    pub payload: Payload,
    /// How.
    pub found: Found,
}

impl std::fmt::Display for Caught {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let message = self.found.message.lines().next().unwrap_or_default();
        write!(
            f,
            "{}, {:?}, execution {}: {message}",
            self.net, self.payload, self.found.executions
        )
    }
}

/// The first net that catches the code as it is now.
pub fn first_catch(nets: &[Net], bounds: Bounds) -> Option<Caught> {
    let attempts = nets.iter().flat_map(|net| [(net, Payload::Words), (net, Payload::Cells)]);
    attempts.into_iter().find_map(|(net, payload)| {
        let found = net.find(payload, bounds)?;
        Some(Caught { net: net.name(), payload, found })
    })
}
