//! Everything that can catch a mutant of a ring, for campaigns.

use annulus::hooks::{Bug, Payload, seed};

use crate::model::{Model, Wrap};
use crate::models::Named;
use crate::{Bounds, Found, find_bug, models, opening, stream_waiting, streams, waiting};

/// What mutants are caught by.
pub enum Net {
    /// A script.
    Script(&'static str, Model),
    /// Something else, which panics if an execution is not as it should be.
    Other(&'static str, fn(Payload)),
}

fn scripts(models: impl IntoIterator<Item = &'static Named>) -> impl Iterator<Item = Net> {
    models.into_iter().map(|(name, model)| Net::Script(name, model()))
}

impl Net {
    /// Those of the spsc ring in which nobody sleeps.
    pub fn of_the_wakeful() -> Vec<Self> {
        let opening = Self::Other("a_ring_is_whole_or_not_there", |payload| {
            let opened = opening::a_ring_is_whole_or_not_there(payload);
            assert!(opening::whole_or_not_there().contains(&opened), "opened: {opened:?}");
        });
        let seating = Self::Other("a_seat_without_a_lock_has_one_occupant", |payload| {
            let seated = opening::a_seat_without_a_lock_has_one_occupant(payload);
            assert!(opening::one_occupant().contains(&seated), "seated: {seated:?}");
        });
        [opening, seating]
            .into_iter()
            .chain(scripts(models::LIVING.iter().chain(models::DYING)))
            .collect()
    }

    /// Those of the spsc ring in which somebody sleeps.
    pub fn of_the_sleeping() -> Vec<Self> {
        vec![
            Self::Other("a_cancellation_is_not_missed", waiting::a_cancellation),
            Self::Other("a_stream_arrives_through_one_slot", |payload| {
                let received = waiting::a_stream(payload, 1, 2, None);
                assert!(received == [1, 2], "received: {received:?}");
            }),
        ]
    }

    /// Those of the stream in which nobody sleeps.
    pub fn of_wakeful_streams() -> Vec<Self> {
        scripts(streams::LIVING.iter().chain(streams::DYING)).collect()
    }

    /// Those of the stream in which somebody sleeps.
    pub fn of_sleeping_streams() -> Vec<Self> {
        vec![
            Self::Other("each_waits_until_the_other_has_come", stream_waiting::both_come),
            Self::Other("a_sender_waits_until_all_is_received", |payload| {
                let told = stream_waiting::until_received(payload, stream_waiting::take);
                assert!(told.is_ok(), "told: {told:?}");
            }),
            Self::Other("bytes_arrive_through_a_ring_of_eight", |payload| {
                let finish = stream_waiting::finish;
                let (received, _) = stream_waiting::sixteen_bytes(payload, finish, None);
                assert!(received == stream_waiting::BOTH, "received: {received:?}");
            }),
        ]
    }

    /// Its name, which is a test's.
    pub fn name(&self) -> &'static str {
        let (Self::Script(name, _) | Self::Other(name, _)) = self;
        name
    }

    /// Explores, within `bounds` and not the model's own, until an execution fails of the
    /// code as the hooks have changed it.
    pub fn find(&self, payload: Payload, bounds: Bounds) -> Option<Found> {
        match self {
            Self::Script(_, model) => Model { bounds, ..model.clone() }.find(payload, None),
            Self::Other(_, run) => {
                let run = *run;
                find_bug(bounds, move || run(payload))
            }
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

/// Some net catches what a seeded bug makes of the code.
///
/// # Panics
/// If none does.
pub fn is_caught(bug: Bug, nets: &[Net]) {
    seed(Some(bug));
    let caught = first_catch(nets, Bounds::preemptions(1));
    seed(None);
    println!("{bug:?}: {}", caught.as_ref().map_or("survives".to_owned(), ToString::to_string));
    assert!(caught.is_some());
}

/// A model catches what a lie or a forgery makes of its threads.
///
/// # Panics
/// If it does not.
pub fn is_caught_by(model: fn() -> Model, bug: Wrap) {
    let model = model();
    let find = |payload| model.find(payload, Some(bug));
    let found = find(Payload::Words).or_else(|| find(Payload::Cells));
    println!("{found:?}");
    assert!(found.is_some());
}
