//! The models of the spsc ring: what is done, and how far it is explored.
//!
//! The floors are half of the executions that there were when a model was written, at CI
//! bounds and with the kind of payload that had fewer.

use crate::Bounds;
use crate::spec::Do::{self, *};
use crate::spec::Role::{Receiver, Sender};
use crate::spec::{Script, Thread};
use crate::spsc::Model;

/// What is left, for one who comes when all have ended.
const DRAIN: &[Do] = &[Attach(Receiver), RecvMany(8), Recv];

fn model(
    name: &'static str,
    (bounds, floor): (Bounds, usize),
    capacity: u64,
    threads: &[Thread],
    last: &[Do],
) -> Model {
    let script = Script { capacity, threads: threads.to_vec(), last: last.to_vec() };
    Model { name, script, bounds, floor, words: 1 }
}

/// Models in which nobody dies.
pub fn of_the_living() -> Vec<Model> {
    vec![
        model(
            "a message is there or not",
            (Bounds::none(), 1),
            1,
            &[Thread::receiver(&[Recv, Recv]), Thread::sender(&[Send(1)])],
            DRAIN,
        ),
        model(
            "one slot laps without overwriting",
            (Bounds::none(), 1),
            1,
            &[Thread::receiver(&[Recv; 3]), Thread::sender(&[Send(1), Send(2), Send(3)])],
            DRAIN,
        ),
        model(
            "two slots lap without overwriting",
            (Bounds::ci(3), 1),
            2,
            &[Thread::receiver(&[Recv; 3]), Thread::sender(&[Send(1), Send(2), Send(3), Send(4)])],
            DRAIN,
        ),
        Model {
            words: 2,
            ..model(
                "no message is torn",
                (Bounds::none(), 1),
                1,
                &[Thread::receiver(&[Recv; 2]), Thread::sender(&[Send(1), Send(2)])],
                DRAIN,
            )
        },
        model(
            "a batch is received in order, in parts",
            (Bounds::ci(3), 1),
            2,
            &[
                Thread::receiver(&[RecvMany(3), RecvMany(3)]),
                Thread::sender(&[SendMany(&[1, 2, 3]), SendMany(&[4, 5])]),
            ],
            DRAIN,
        ),
        model(
            "a reservation is sent or not, whole",
            (Bounds::none(), 1),
            1,
            &[
                Thread::receiver(&[Recv; 2]),
                Thread::sender(&[Abort(1), Commit(2), Abort(3), Commit(4)]),
            ],
            DRAIN,
        ),
        model(
            "a guard keeps its slot",
            (Bounds::none(), 1),
            1,
            &[Thread::receiver(&[Guard; 2]), Thread::sender(&[Send(1), Send(2), Send(3)])],
            DRAIN,
        ),
        model(
            "a forgotten guard keeps its slot until the next operation",
            (Bounds::none(), 1),
            1,
            &[Thread::receiver(&[Forget, Recv]), Thread::sender(&[Send(1), Send(2), Send(3)])],
            DRAIN,
        ),
        model(
            "a forgotten guard is settled by leaving",
            (Bounds::none(), 1),
            1,
            &[Thread::receiver(&[Forget, Leave]), Thread::sender(&[Send(1), Send(2), Send(3)])],
            DRAIN,
        ),
        model(
            "all that was sent is received before Closed",
            (Bounds::none(), 1),
            2,
            &[Thread::receiver(&[Recv; 3]), Thread::sender(&[Send(1), Send(2), Leave])],
            DRAIN,
        ),
        model(
            "a batch is received before Closed",
            (Bounds::none(), 1),
            2,
            &[Thread::receiver(&[RecvMany(2); 2]), Thread::sender(&[SendMany(&[1, 2]), Leave])],
            DRAIN,
        ),
        model(
            "room is seen before Closed",
            (Bounds::none(), 1),
            1,
            &[Thread::sender(&[Send(1), Send(2), Send(3)]), Thread::receiver(&[Recv, Leave])],
            DRAIN,
        ),
        model(
            "a sender follows another",
            (Bounds::ci(2), 1),
            2,
            &[
                Thread::receiver(&[Recv; 2]),
                Thread::sender(&[Send(1), Leave]),
                Thread::comer(&[Attach(Sender), Send(2)]),
            ],
            DRAIN,
        ),
        model(
            "a sender follows another into the slot that was received from",
            (Bounds::ci(2), 1),
            1,
            &[
                Thread::receiver(&[Recv]),
                Thread::sender(&[Send(1), Leave]),
                Thread::comer(&[Attach(Sender), Send(2)]),
            ],
            DRAIN,
        ),
        model(
            "a receiver follows another",
            (Bounds::ci(2), 1),
            1,
            &[
                Thread::sender(&[Send(1), Send(2)]),
                Thread::receiver(&[Recv, Leave]),
                Thread::comer(&[Attach(Receiver), Recv]),
            ],
            DRAIN,
        ),
    ]
}

/// Models in which somebody is killed before any one of his accesses.
pub fn of_the_dying() -> Vec<Model> {
    vec![
        model(
            "a dead sender's messages are received, and one says Died",
            (Bounds::none(), 1),
            2,
            &[
                Thread::receiver(&[Recv, Peer, Recv]),
                Thread::sender(&[Send(1), Send(2), Leave]).mortal(),
            ],
            DRAIN,
        ),
        model(
            "a dead sender's batch is received in part",
            (Bounds::none(), 1),
            2,
            &[Thread::receiver(&[RecvMany(2)]), Thread::sender(&[SendMany(&[1, 2])]).mortal()],
            &[Attach(Sender), SendMany(&[3, 4]), Leave, Attach(Receiver), RecvMany(8), Recv],
        ),
        model(
            "a sender takes over from a dead one",
            (Bounds::ci(2), 1),
            2,
            &[
                Thread::receiver(&[Recv; 2]),
                Thread::sender(&[Send(1), Leave]).mortal(),
                Thread::comer(&[Attach(Sender), Send(2)]),
            ],
            DRAIN,
        ),
        model(
            "a sender takes over from a dead one on its second lap",
            (Bounds::ci(2), 1),
            1,
            &[
                Thread::receiver(&[Recv; 2]),
                Thread::sender(&[Send(1), Commit(2), Leave]).mortal(),
                Thread::comer(&[Attach(Sender), Send(3)]),
            ],
            DRAIN,
        ),
        model(
            "a receiver takes over from a dead one",
            (Bounds::ci(2), 1),
            1,
            &[
                Thread::sender(&[Send(1), Send(2)]),
                Thread::receiver(&[Recv, Leave]).mortal(),
                Thread::comer(&[Attach(Receiver), Recv]),
            ],
            DRAIN,
        ),
        model(
            "a receiver takes over a batch from a dead one",
            (Bounds::ci(2), 1),
            2,
            &[
                Thread::sender(&[SendMany(&[1, 2]), Send(3)]),
                Thread::receiver(&[RecvMany(2), Leave]).mortal(),
                Thread::comer(&[Attach(Receiver), RecvMany(2)]),
            ],
            DRAIN,
        ),
        model(
            "what a dead receiver had exposed comes again, marked",
            (Bounds::ci(2), 1),
            2,
            &[
                Thread::sender(&[Send(1), Send(2)]),
                Thread::receiver(&[Guard, Leave]).mortal(),
                Thread::comer(&[Attach(Receiver), Guard, Recv]),
            ],
            DRAIN,
        ),
        model(
            "what a dead receiver had exposed and forgotten comes again, marked",
            (Bounds::ci(2), 1),
            2,
            &[
                Thread::sender(&[Send(1), Send(2)]),
                Thread::receiver(&[Forget, Recv, Leave]).mortal(),
                Thread::comer(&[Attach(Receiver), Recv]),
            ],
            DRAIN,
        ),
        model(
            "a mark outlives receivers who leave without the message",
            (Bounds::ci(2), 1),
            2,
            &[
                Thread::sender(&[Send(1)]),
                Thread::receiver(&[Guard, Leave]).mortal(),
                Thread::comer(&[Attach(Receiver), Leave]),
            ],
            DRAIN,
        ),
        model(
            "a mark outlives two dead receivers",
            (Bounds::ci(2), 1),
            2,
            &[
                Thread::sender(&[Send(1)]),
                Thread::receiver(&[Guard, Leave]).mortal(),
                Thread::comer(&[Attach(Receiver), Guard, Leave]).mortal(),
            ],
            DRAIN,
        ),
        model(
            "two dead senders leave no hole",
            (Bounds::ci(2), 1),
            2,
            &[
                Thread::receiver(&[Recv]),
                Thread::sender(&[Send(1), Leave]).mortal(),
                Thread::comer(&[Attach(Sender), Send(2), Leave]).mortal(),
            ],
            &[Attach(Sender), Send(3), Leave, Attach(Receiver), RecvMany(8), Recv],
        ),
        model(
            "a death is noticed once, while a successor comes",
            (Bounds::ci(2), 1),
            2,
            &[
                Thread::receiver(&[Peer, Recv]),
                Thread::sender(&[Send(1), Leave]).mortal(),
                Thread::comer(&[Attach(Sender), Leave]),
            ],
            DRAIN,
        ),
        model(
            "one who dies while noticing a death changes nothing",
            (Bounds::ci(2), 1),
            2,
            &[
                Thread::comer(&[Attach(Receiver), Peer]),
                Thread::receiver(&[Peer, Leave]).mortal(),
                Thread::sender(&[Send(1), Leave]).mortal(),
            ],
            DRAIN,
        ),
    ]
}
