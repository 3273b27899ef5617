//! That the net of tests/stream_kills_hooks.rs catches fish: a seeded bug is noticed.

mod stream_worlds;
mod streams;
mod support;

use std::panic::catch_unwind;

use annulus::hooks::{Bug, seed};
use stream_worlds::{RecvVerb, SendVerb, World};
use streams::site::Place;

/// Kills a receiver of some bytes before each of the first accesses of a receive.
fn killed_receives() {
    for k in 1..6 {
        let mut world = World::new(Place::Heap, 16);
        world.attach_sender(None);
        world.attach_receiver(None);
        world.send(SendVerb::Try(1), None);
        world.recv(RecvVerb::Try(1), Some(k));
        world.finish();
    }
}

#[test]
fn a_streams_receive_that_retires_before_it_copies_is_noticed() {
    killed_receives();
    seed(Some(Bug::RetireBeforeCopy));
    let noticed = catch_unwind(killed_receives).is_err();
    seed(None);
    assert!(noticed);
}
