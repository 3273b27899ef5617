//! The verbs, the same for messages of a fixed size and for byte messages.

use std::time::Duration;

use annulus::mpmc::{Receiver, RecvRef, Reservation, Ring, Sender};
use annulus::{Fault, Message, Options, RecvError, SendError, TryRecvError, TrySendError};

use super::model::Why;
use super::op::MAX_LEN;

/// Long enough to fall asleep.
const MOMENT: Duration = Duration::from_micros(60);

/// What a ring can carry.
pub trait Carried: annulus::Payload {
    /// Bytes of every message, if it is a constant.
    const FIXED: Option<usize>;

    fn options() -> Options<Ring<Self>>;
    fn send(sender: &mut Sender<Self>, bytes: &[u8], wait: bool) -> Result<(), Why>;
    /// `None`: there is no such verb.
    fn send_many(sender: &mut Sender<Self>, all: &[Vec<u8>]) -> Option<Result<usize, Why>>;
    /// Writes a whole message in place.
    fn write(slot: &mut Reservation<'_, Self>, bytes: &[u8]);
    fn recv(receiver: &mut Receiver<Self>, room: usize, wait: bool) -> Result<Vec<u8>, Why>;
    /// `None`: there is no such verb.
    fn recv_many(receiver: &mut Receiver<Self>, most: usize) -> Option<Result<Vec<Vec<u8>>, Why>>;
    fn read(guard: &RecvRef<'_, Self>) -> Vec<u8>;
}

impl<T: Message + Clone> Carried for T {
    const FIXED: Option<usize> = Some(size_of::<T>());

    fn options() -> Options<Ring<Self>> {
        Ring::options()
    }

    fn send(sender: &mut Sender<Self>, bytes: &[u8], wait: bool) -> Result<(), Why> {
        let message = T::read_from_bytes(bytes).unwrap();
        let refused = if wait {
            sender.send_timeout(message, MOMENT).map_err(not_sent_in_time)
        } else {
            sender.try_send(message).map_err(not_sent)
        };
        refused.map_err(|(why, back)| {
            assert_eq!(back.as_bytes(), bytes, "the message comes back as it was");
            why
        })
    }

    fn send_many(sender: &mut Sender<Self>, all: &[Vec<u8>]) -> Option<Result<usize, Why>> {
        let all: Vec<_> = all.iter().map(|bytes| T::read_from_bytes(bytes).unwrap()).collect();
        Some(sender.try_send_many(&all).map_err(|error| not_sent(error).0))
    }

    fn write(slot: &mut Reservation<'_, Self>, bytes: &[u8]) {
        slot.write(&T::read_from_bytes(bytes).unwrap());
    }

    fn recv(receiver: &mut Receiver<Self>, _: usize, wait: bool) -> Result<Vec<u8>, Why> {
        let got = if wait {
            receiver.recv_timeout(MOMENT).map_err(not_received_in_time)
        } else {
            receiver.try_recv().map_err(not_received)
        };
        got.map(|message| message.as_bytes().to_vec())
    }

    fn recv_many(receiver: &mut Receiver<Self>, most: usize) -> Option<Result<Vec<Vec<u8>>, Why>> {
        let mut out = vec![T::new_zeroed(); most];
        let got = receiver.try_recv_many(&mut out).map_err(not_received);
        Some(got.map(|count| out[..count].iter().map(|one| one.as_bytes().to_vec()).collect()))
    }

    fn read(guard: &RecvRef<'_, Self>) -> Vec<u8> {
        guard.read().as_bytes().to_vec()
    }
}

impl Carried for [u8] {
    const FIXED: Option<usize> = None;

    fn options() -> Options<Ring<Self>> {
        Ring::<[u8]>::options().max_len(MAX_LEN as u64)
    }

    fn send(sender: &mut Sender<Self>, bytes: &[u8], wait: bool) -> Result<(), Why> {
        if wait {
            sender.send_timeout(bytes, MOMENT).map_err(|error| not_sent_in_time(error).0)
        } else {
            sender.try_send(bytes).map_err(|error| not_sent(error).0)
        }
    }

    fn send_many(_: &mut Sender<Self>, _: &[Vec<u8>]) -> Option<Result<usize, Why>> {
        None
    }

    fn write(slot: &mut Reservation<'_, Self>, bytes: &[u8]) {
        slot.append(bytes);
    }

    fn recv(receiver: &mut Receiver<Self>, room: usize, wait: bool) -> Result<Vec<u8>, Why> {
        let mut out = vec![0; room];
        let got = if wait {
            receiver.recv_timeout(&mut out, MOMENT).map_err(not_received_in_time)
        } else {
            receiver.try_recv(&mut out).map_err(not_received)
        };
        got.map(|len| out[..len].to_vec())
    }

    fn recv_many(_: &mut Receiver<Self>, _: usize) -> Option<Result<Vec<Vec<u8>>, Why>> {
        None
    }

    fn read(guard: &RecvRef<'_, Self>) -> Vec<u8> {
        guard.to_vec()
    }
}

/// Takes a slot in place.
pub fn reserve<M: Carried + ?Sized>(
    sender: &mut Sender<M>,
    wait: bool,
) -> Result<Reservation<'_, M>, Why> {
    if wait {
        sender.reserve_timeout(MOMENT).map_err(|error| not_sent_in_time(error).0)
    } else {
        sender.try_reserve().map_err(|error| not_sent(error).0)
    }
}

/// Takes a message in place.
pub fn recv_ref<M: Carried + ?Sized>(
    receiver: &mut Receiver<M>,
    wait: bool,
) -> Result<RecvRef<'_, M>, Why> {
    if wait {
        receiver.recv_ref_timeout(MOMENT).map_err(not_received_in_time)
    } else {
        receiver.try_recv_ref().map_err(not_received)
    }
}

fn not_sent<T>(error: TrySendError<T>) -> (Why, T) {
    match error {
        TrySendError::Full(back) => (Why::Full, back),
        TrySendError::Closed(back) => (Why::Closed, back),
        TrySendError::Died(back) => (Why::Died, back),
        TrySendError::TooLong(back) => (Why::TooLong, back),
        TrySendError::Fault(back, fault) => (limit(fault), back),
        _ => panic!("an unknown reason"),
    }
}

fn not_sent_in_time<T>(error: SendError<T>) -> (Why, T) {
    match error {
        SendError::Timeout(back) => (Why::Timeout, back),
        SendError::Closed(back) => (Why::Closed, back),
        SendError::Died(back) => (Why::Died, back),
        SendError::TooLong(back) => (Why::TooLong, back),
        SendError::Fault(back, fault) => (limit(fault), back),
        _ => panic!("nobody cancels"),
    }
}

fn not_received(error: TryRecvError) -> Why {
    match error {
        TryRecvError::Empty => Why::Empty,
        TryRecvError::Stalled => Why::Stalled,
        TryRecvError::Closed => Why::Closed,
        TryRecvError::Died => Why::Died,
        TryRecvError::TooSmall { needed } => Why::TooSmall(needed),
        TryRecvError::Fault(fault) => limit(fault),
        _ => panic!("{error:?}"),
    }
}

fn not_received_in_time(error: RecvError) -> Why {
    match error {
        RecvError::Timeout => Why::Timeout,
        RecvError::Closed => Why::Closed,
        RecvError::Died => Why::Died,
        RecvError::TooSmall { needed } => Why::TooSmall(needed),
        RecvError::Fault(fault) => limit(fault),
        _ => panic!("{error:?}"),
    }
}

fn limit(fault: Fault) -> Why {
    assert_eq!(fault, Fault::PositionLimit);
    Why::PositionLimit
}
