//! A ring is a queue wherever on the number line it begins, up to its last position.

mod oracles;
mod scale;
mod support;

use annulus::spsc::Ring;
use annulus::{Fault, RecvError, SeatState, SendError, TryRecvError, TrySendError};
use oracles::place::{PLACES, Site};
use oracles::{Align16, a_ring_is_a_queue};

/// No message has this position or a higher one.
const LIMIT: u64 = 1 << 62;

macro_rules! queues {
    ($($name:ident: $message:ty, $starts:expr;)*) => {$(
        #[test]
        fn $name() {
            a_ring_is_a_queue::<$message>($starts, |start| Ring::options().start(start));
        }
    )*};
}

queues! {
    words_pass_2_to_the_32: u64, (1 << 32) - 80..(1u64 << 32) + 80;
    messages_of_57_bytes_pass_2_to_the_32: [u8; 57], (1 << 32) - 80..(1u64 << 32) + 80;
    aligned_messages_pass_2_to_the_31: Align16, (1 << 31) - 80..(1u64 << 31) + 80;
    words_begin_anywhere: u64, 0..LIMIT - 200;
    words_come_to_the_limit: u64, LIMIT - 80..LIMIT + 1;
    messages_of_300_bytes_come_to_the_limit: [u8; 300], LIMIT - 80..LIMIT + 1;
    nothings_come_to_the_limit: (), LIMIT - 80..LIMIT + 1;
}

#[test]
fn the_last_message_has_position_2_to_the_62_less_one() {
    for place in PLACES {
        let site = Site::<u64>::new(place, &Ring::options().capacity(4).start(LIMIT - 2));
        let (mut sender, mut receiver) =
            (site.one.sender().unwrap(), site.other.receiver().unwrap());
        sender.try_send(1).unwrap();
        assert_eq!(sender.position(), LIMIT - 1);
        sender.try_send(2).unwrap();
        assert_eq!(sender.position(), LIMIT);
        let fault = Fault::PositionLimit;
        for _ in 0..2 {
            assert_eq!(sender.try_send(3), Err(TrySendError::Fault(3, fault)));
            assert_eq!(sender.send(3), Err(SendError::Fault(3, fault)));
            assert_eq!(sender.try_send_many(&[3, 4]), Err(TrySendError::Fault((), fault)));
            let refused = sender.send_many(&[3, 4]).unwrap_err();
            assert_eq!((refused.sent, refused.reason), (0, SendError::Fault((), fault)));
            assert_eq!(sender.try_reserve().unwrap_err(), TrySendError::Fault((), fault));
            assert_eq!(sender.reserve().unwrap_err(), SendError::Fault((), fault));
        }
        assert_eq!(receiver.try_recv(), Ok(1));
        assert_eq!(receiver.position(), LIMIT - 1);
        let guard = receiver.try_recv_ref().unwrap();
        assert_eq!((guard.position(), guard.read()), (LIMIT - 1, 2));
        drop(guard);
        assert_eq!(receiver.position(), LIMIT);
        for _ in 0..2 {
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Fault(fault)));
            assert_eq!(receiver.recv(), Err(RecvError::Fault(fault)));
            assert_eq!(receiver.try_recv_many(&mut [0; 2]), Err(TryRecvError::Fault(fault)));
            assert_eq!(receiver.recv_many(&mut [0; 2]), Err(RecvError::Fault(fault)));
            assert_eq!(receiver.try_recv_ref().unwrap_err(), TryRecvError::Fault(fault));
            assert_eq!(receiver.recv_ref().unwrap_err(), RecvError::Fault(fault));
        }
        // Everybody else comes to the same end.
        drop((sender, receiver));
        let (mut sender, mut receiver) =
            (site.other.sender().unwrap(), site.one.receiver().unwrap());
        assert_eq!((sender.position(), receiver.position()), (LIMIT, LIMIT));
        assert_eq!(sender.peer().unwrap(), SeatState::Live);
        assert_eq!(sender.try_send(3), Err(TrySendError::Fault(3, fault)));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Fault(fault)));
    }
}

#[test]
fn a_batch_across_the_limit_is_sent_up_to_it() {
    for place in PLACES {
        let site = Site::<u64>::new(place, &Ring::options().capacity(8).start(LIMIT - 3));
        let (mut sender, mut receiver) =
            (site.one.sender().unwrap(), site.other.receiver().unwrap());
        let refused = sender.send_many(&[1, 2, 3, 4, 5]).unwrap_err();
        let fault = Fault::PositionLimit;
        assert_eq!((refused.sent, refused.reason), (3, SendError::Fault((), fault)));
        let mut out = [0; 5];
        assert_eq!(receiver.recv_many(&mut out), Ok(3));
        assert_eq!(out, [1, 2, 3, 0, 0]);
        assert_eq!(receiver.recv_many(&mut out), Err(RecvError::Fault(fault)));
    }
}
