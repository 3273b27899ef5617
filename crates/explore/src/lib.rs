//! Exhaustive exploration of the MPMC protocol of docs/mpmc.md, and replay of recorded
//! runs against the same model.
//!
//! ```text
//!   words ─▶ access ─▶ machine + recover ─┬─▶ world ─▶ search     cargo run -p annulus-explore
//!                     (one participant)   └─▶ replay              replay(&setup, &events)
//! ```
//!
//! `machine` and `recover` are the numbered steps, one shared access each. `world` puts
//! participants and memory together and checks every change; `search` visits every
//! reachable state, with kills and stops anywhere, and then asks from which of them a good
//! one can still be reached. `bugs` are mistakes that it must find.
//!
//! # Records
//!
//! A record is a list of [`replay::Event`]s in the order in which they took effect, from a
//! new ring on. Each has
//!
//! - `seat`: the participant's own seat (senders count from 0, receivers from
//!   `setup.senders`), or the one he is about to take: a participant begins with `Locked`
//!   of his own seat and ends with `Unlocked` of it, or `Killed`;
//! - `kind`: `Load`, `Store`, `Won` and `Lost` (a compare-and-exchange), `Locked`,
//!   `Refused`, `Held`, `Unheld` and `Unlocked` (a seat's kernel lock), `Killed`;
//! - `word`: `Tail`, `Head`, `Slot(index)`, `Claim(seat)` or `State(seat)`, as laid out in
//!   [`words`]; `None` for locks and kills;
//! - `value`: what was loaded or stored, or was to be; for locks the seat's number.
//!
//! Between two operations a participant may look at anything; such loads and lock queries
//! are recorded, checked against memory, and decide nothing. Taking and leaving may exchange
//! a state word (`Won`) where the model stores it. Message bytes, events and process ids
//! are not recorded. Batches of up to 31.

pub mod access;
pub mod bugs;
pub mod configs;
pub mod machine;
mod pack;
mod recover;
pub mod replay;
pub mod search;
pub mod walk;
pub mod words;
pub mod world;
