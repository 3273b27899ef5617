//! What processes do in a history: every verb of each ring that ends by itself.

use std::time::Duration;

use annulus::{RecvError, SendError, TryRecvError, TrySendError, broadcast, mpmc, spsc, stream};
use annulus_prove::fleet::mix;

use crate::log::{BATCH, Part, Said, Verb};

/// A message: its value, its history, and words told by both.
pub type Message = [u64; WORDS];

/// How long most are.
const WORDS: usize = 6;

const WAIT: Duration = Duration::from_micros(50);

/// Of one word where that is all there is room for: then a value has 32 bits.
fn message<const N: usize>(value: u64, history: u64) -> [u64; N] {
    let check = mix(value ^ history << 48);
    std::array::from_fn(|at| match at {
        0 if N == 1 => value & 0xffff_ffff | history << 32,
        0 => value,
        1 => history,
        2 => check,
        at => !check ^ value.rotate_left(at as u32),
    })
}

fn value<const N: usize>(got: &[u64; N], history: u64) -> u64 {
    let (told, of) = if N == 1 { (got[0] & 0xffff_ffff, got[0] >> 32) } else { (got[0], got[1]) };
    assert!(*got == message(told, of), "torn: {got:x?}");
    assert_eq!(of, history, "value {told:x} is of another history");
    told
}

/// A process in a history.
pub trait Player {
    /// Does its part.
    fn play(&mut self, part: &mut Part<'_>);
    /// Receives all that is left, if it receives.
    fn drain(&mut self, part: &mut Part<'_>);
    /// Where it has come to, if every message comes to every receiver.
    fn position(&self) -> u64 {
        0
    }
    /// Receives what was sent before that position, and is nobody's business.
    fn catch_up(&mut self, _: u64) {}
}

/// A process that leaves now and then, and comes again.
pub struct Guest<'a, E> {
    come: &'a dyn Fn() -> E,
    end: Option<E>,
}

impl<'a, E: Player> Guest<'a, E> {
    /// One who is there.
    pub fn new(come: &'a dyn Fn() -> E) -> Self {
        Self { come, end: Some(come()) }
    }

    fn end(&mut self) -> &mut E {
        self.end.as_mut().expect("it has come again")
    }
}

impl<E: Player> Player for Guest<'_, E> {
    fn play(&mut self, part: &mut Part<'_>) {
        if !part.random.once_in(2) {
            return self.end().play(part);
        }
        let (all, first) = (part.ops, part.random.below(part.ops));
        let began = self.end().position();
        part.ops = first;
        self.end().play(part);
        let entry = part.log.call(Verb::Leave, 0);
        self.end = None;
        entry.done(Said::Nothing);
        part.dally();
        let entry = part.log.call(Verb::Join, 0);
        let mut end = (self.come)();
        end.catch_up(began);
        entry.value(0, end.position().saturating_sub(began));
        entry.done(Said::Nothing);
        self.end = Some(end);
        part.ops = all - first;
        self.end().play(part);
    }

    fn drain(&mut self, part: &mut Part<'_>) {
        self.end().drain(part);
    }
}

fn refused<T>(error: &TrySendError<T>) -> Said {
    match error {
        // Nobody of the other side is there any more, and there is no room.
        TrySendError::Full(_) | TrySendError::Closed(_) | TrySendError::Died(_) => Said::Full,
        TrySendError::Fault(_, fault) => panic!("a send met {fault}"),
        _ => panic!("a send failed otherwise"),
    }
}

fn late<T>(error: &SendError<T>) -> Said {
    match error {
        SendError::Timeout(_) => Said::Nothing,
        SendError::Closed(_) | SendError::Died(_) => Said::Full,
        SendError::Fault(_, fault) => panic!("a send met {fault}"),
        _ => panic!("a send failed otherwise"),
    }
}

fn none(error: TryRecvError) -> Said {
    match error {
        TryRecvError::Empty | TryRecvError::Closed | TryRecvError::Died => Said::Empty,
        TryRecvError::Stalled => Said::Stalled,
        TryRecvError::Lagged(missed) => Said::Lagged(missed),
        other => panic!("a receive met {other}"),
    }
}

fn not_in_time(error: RecvError) -> Said {
    match error {
        RecvError::Timeout => Said::Nothing,
        RecvError::Closed | RecvError::Died => Said::Empty,
        RecvError::Lagged(missed) => Said::Lagged(missed),
        other => panic!("a receive met {other}"),
    }
}

/// Sends by copy: one, several, or one with some patience.
macro_rules! copies {
    ($sender:expr, $part:expr, $words:expr) => {{
        let (sender, part) = (&mut *$sender, &mut *$part);
        let way = part.random.below(4);
        let count = if way == 0 { 2 + part.random.below(BATCH as u64 - 1) } else { 1 };
        let entry = part.log.call(Verb::Send, count);
        part.values(entry, count);
        let batch: [[u64; $words]; BATCH] =
            std::array::from_fn(|at| message(part.value + at as u64, part.history));
        let said = match way {
            0 => match sender.try_send_many(&batch[..count as usize]) {
                Ok(sent) => Said::Some(sent as u64),
                Err(error) => refused(&error),
            },
            1 => match sender.send_timeout(batch[0], WAIT) {
                Ok(()) => Said::Some(1),
                Err(error) => late(&error),
            },
            _ => match sender.try_send(batch[0]) {
                Ok(()) => Said::Some(1),
                Err(error) => refused(&error),
            },
        };
        entry.done(said);
        if let Said::Some(sent) = said {
            part.value += sent;
        }
    }};
}

/// Receives by copy: one, several, or one with some patience.
macro_rules! copied {
    ($receiver:expr, $part:expr, $way:expr, $marked:expr, $words:expr) => {{
        let (receiver, part) = (&mut *$receiver, &mut *$part);
        let way = $way;
        let count = if way == 0 { 1 + part.random.below(BATCH as u64) } else { 1 };
        let entry = part.log.call(Verb::Recv, count);
        let mut out = [[0_u64; $words]; BATCH];
        let said = match way {
            0 => match receiver.try_recv_many(&mut out[..count as usize]) {
                Ok(got) => Said::Some(got as u64),
                Err(error) => none(error),
            },
            1 => match receiver.recv_timeout(WAIT) {
                Ok(got) => {
                    out[0] = got;
                    Said::Some(1)
                }
                Err(error) => not_in_time(error),
            },
            _ => match receiver.try_recv() {
                Ok(got) => {
                    out[0] = got;
                    Said::Some(1)
                }
                Err(error) => none(error),
            },
        };
        let marked = matches!(said, Said::Some(_)) && $marked(&*receiver);
        if let Said::Some(got) = said {
            for (at, got) in out[..got as usize].iter().enumerate() {
                entry.value(at, value(got, part.history));
            }
        }
        let said = if marked { Said::Again } else { said };
        entry.done(said);
        said
    }};
}

macro_rules! rings_of_slots {
    ($room:ident, $marked:expr) => {
        impl Player for $room::Sender<Message> {
            fn play(&mut self, part: &mut Part<'_>) {
                for _ in 0..part.ops {
                    part.dally();
                    let commits = match part.random.below(6) {
                        0 => true,
                        1 => false,
                        _ => {
                            copies!(self, part, WORDS);
                            continue;
                        }
                    };
                    let verb = if commits { Verb::Reserve } else { Verb::Abort };
                    let entry = part.log.call(verb, 1);
                    part.values(entry, 1);
                    match self.try_reserve() {
                        Err(error) => entry.done(refused(&error)),
                        Ok(mut slot) => {
                            entry.taken();
                            slot.write(&message(part.value, part.history));
                            part.dally();
                            entry.ending();
                            if commits {
                                slot.commit();
                            } else {
                                drop(slot);
                            }
                            entry.done(Said::Some(1));
                            part.value += 1;
                        }
                    }
                }
            }

            fn drain(&mut self, _: &mut Part<'_>) {}
        }

        impl Player for $room::Receiver<Message> {
            fn play(&mut self, part: &mut Part<'_>) {
                for _ in 0..part.ops {
                    part.dally();
                    let way = part.random.below(6);
                    if way < 4 {
                        copied!(self, part, way, $marked, WORDS);
                        continue;
                    }
                    let entry = part.log.call(Verb::Guard, 1);
                    match self.try_recv_ref() {
                        Err(error) => entry.done(none(error)),
                        Ok(guard) => {
                            let marked = guard.redelivered();
                            entry.value(0, value(&guard.read(), part.history));
                            entry.taken();
                            part.dally();
                            entry.ending();
                            guard.release();
                            entry.done(if marked { Said::Again } else { Said::Some(1) });
                        }
                    }
                }
            }

            fn drain(&mut self, part: &mut Part<'_>) {
                while copied!(self, part, 2, $marked, WORDS) != Said::Empty {}
            }
        }
    };
}

rings_of_slots!(mpmc, |receiver: &mpmc::Receiver<Message>| receiver.last().redelivered);
// Nobody dies there.
rings_of_slots!(spsc, |_: &spsc::Receiver<Message>| false);

impl<const N: usize> Player for broadcast::Sender<[u64; N]> {
    fn play(&mut self, part: &mut Part<'_>) {
        for _ in 0..part.ops {
            part.dally();
            copies!(self, part, N);
        }
    }

    fn drain(&mut self, _: &mut Part<'_>) {}
}

impl<const N: usize> Player for broadcast::Receiver<[u64; N]> {
    fn play(&mut self, part: &mut Part<'_>) {
        for _ in 0..part.ops {
            part.dally();
            let way = part.random.below(4);
            copied!(self, part, way, |_: &Self| false, N);
        }
    }

    fn drain(&mut self, part: &mut Part<'_>) {
        while copied!(self, part, 2, |_: &Self| false, N) != Said::Empty {}
    }

    fn position(&self) -> u64 {
        Self::position(self)
    }

    fn catch_up(&mut self, first: u64) {
        while Self::position(self) < first {
            let _ = self.try_recv();
        }
    }
}

/// Bytes: the low ones of values.
impl Player for stream::Sender {
    fn play(&mut self, part: &mut Part<'_>) {
        for _ in 0..part.ops {
            part.dally();
            let count = 1 + part.random.below(BATCH as u64);
            let bytes: [u8; BATCH] = std::array::from_fn(|at| (part.value + at as u64) as u8);
            let bytes = &bytes[..count as usize];
            let reserves = part.random.once_in(3);
            let entry = part.log.call(if reserves { Verb::Reserve } else { Verb::Send }, count);
            part.values(entry, count);
            let said = if reserves {
                match self.try_reserve(bytes.len()) {
                    Err(error) => refused(&error),
                    Ok(mut place) => {
                        assert_eq!(place.append(bytes), bytes.len());
                        part.dally();
                        Said::Some(place.commit() as u64)
                    }
                }
            } else {
                match self.try_send(bytes) {
                    Err(error) => refused(&error),
                    Ok(sent) => Said::Some(sent as u64),
                }
            };
            // No room for all is not no room.
            let said = if reserves && said == Said::Full { Said::Nothing } else { said };
            entry.done(said);
            if let Said::Some(sent) = said {
                part.value += sent;
            }
        }
    }

    fn drain(&mut self, _: &mut Part<'_>) {}
}

/// Receives bytes; their values are those of one sender, in order.
fn bytes(receiver: &mut stream::Receiver, part: &mut Part<'_>, guard: bool) -> Said {
    let count = 1 + part.random.below(BATCH as u64) as usize;
    let entry = part.log.call(Verb::Recv, count as u64);
    let mut out = [0; BATCH];
    let said = if guard {
        match receiver.try_recv_ref() {
            Err(error) => none(error),
            Ok(guard) => {
                let count = guard.len().min(count);
                assert_eq!(guard.read_at(0, &mut out[..count]), count);
                part.dally();
                guard.release_first(count);
                Said::Some(count as u64)
            }
        }
    } else {
        match receiver.try_recv(&mut out[..count]) {
            Err(error) => none(error),
            Ok(got) => Said::Some(got as u64),
        }
    };
    if let Said::Some(got) = said {
        out[..got as usize].iter().enumerate().for_each(|(at, byte)| {
            entry.value(at, u64::from(*byte));
        });
    }
    entry.done(said);
    said
}

impl Player for stream::Receiver {
    fn play(&mut self, part: &mut Part<'_>) {
        for _ in 0..part.ops {
            part.dally();
            let guard = part.random.once_in(3);
            bytes(self, part, guard);
        }
    }

    fn drain(&mut self, part: &mut Part<'_>) {
        while bytes(self, part, false) != Said::Empty {}
    }
}

/// One receive with some patience; whether there was a message.
pub fn one_in_time(
    receiver: &mut mpmc::Receiver<Message>,
    part: &mut Part<'_>,
    time: Duration,
) -> bool {
    let entry = part.log.call(Verb::Recv, 1);
    let said = match receiver.recv_timeout(time) {
        Ok(got) => {
            entry.value(0, value(&got, part.history));
            if receiver.last().redelivered { Said::Again } else { Said::Some(1) }
        }
        Err(error) => not_in_time(error),
    };
    entry.done(said);
    matches!(said, Said::Some(_) | Said::Again)
}

/// One receive without waiting.
pub fn try_one(receiver: &mut mpmc::Receiver<Message>, part: &mut Part<'_>) -> Said {
    let marked = |receiver: &mpmc::Receiver<Message>| receiver.last().redelivered;
    copied!(receiver, part, 2, marked, WORDS)
}
