//! Several senders and receivers: every task ends with all messages accounted for.

use std::time::Duration;

use annulus_measure::crowd::{Crowd, Task};
use annulus_measure::{Error, cores, peer};

/// Eight that poll may share two busy cores.
const LONG: Duration = Duration::from_secs(60);

/// Not a test: where the members of the crowds below enter.
#[test]
fn member_entry() {
    peer::enter();
}

fn start(senders: usize, receivers: usize) -> Result<Crowd, Error> {
    let args = ["member_entry", "--exact", "--nocapture"].map(String::from);
    Crowd::start(senders, receivers, &cores::all().unwrap(), &args, LONG)
}

#[test]
fn every_task_moves_every_message_among_one_or_several() {
    for (senders, receivers) in [(1, 1), (1, 3), (3, 2), (4, 4)] {
        let mut crowd = start(senders, receivers).unwrap();
        assert_eq!(crowd.members(), (senders, receivers));
        for count in [1, 2, 1000, 5003] {
            for task in Task::ALL.into_iter().filter(|task| task.able(senders, receivers)) {
                let sample = crowd.sample(task, count).unwrap_or_else(|error| {
                    panic!("{task:?}, {senders} x {receivers}, {count} messages: {error}")
                });
                assert!(sample.nanos > 0.0, "{task:?}");
                assert!(sample.missed == 0.0 || task == Task::Broadcast, "{task:?}");
            }
            assert!(crowd.line().unwrap() > 0.0);
        }
    }
}

#[test]
fn a_crowd_without_senders_is_refused() {
    assert!(matches!(start(0, 1).err(), Some(Error::Spec(_))));
    assert!(matches!(start(5, 5).err(), Some(Error::Spec(_))));
}

#[test]
fn a_member_that_cannot_start_ends_the_crowd() {
    let args = ["no_such_test", "--exact"].map(String::from);
    let started = Crowd::start(1, 1, &cores::all().unwrap(), &args, LONG);
    assert!(matches!(started.err(), Some(Error::PeerGone(_))));
}
