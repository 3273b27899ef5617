//! What is done with a stream of bytes, whose seats are taken once.

use super::world::{Stage, World};
use super::{Do, Memory, Role, Saw, Script, Seat, Why, ended};

impl World {
    /// One step of an operation, in every way that it may go.
    pub(super) fn act_on_bytes(
        &self,
        who: usize,
        step: (Do, Stage),
        script: &Script,
        memory: Memory,
    ) -> Vec<Self> {
        let mut world = self.clone();
        // A quarter of the ring at a time, so that the other side can begin.
        let piece = script.capacity.div_ceil(4) as usize;
        match step {
            (Do::Join(role), Stage::Begin) => {
                if self.held[role as usize] {
                    return Vec::new();
                }
                world.held[role as usize] = true;
                world.threads[who].role = Some(role);
                world.threads[who].known.join(self.left[role as usize]);
                vec![world.at(who, Stage::Locked)]
            }
            (Do::Join(role), Stage::Locked) => vec![world.take_once(who, role)],
            (Do::Join(_), _) => vec![world.done(who, Some(Saw::Attached(0)))],
            (Do::SendBytes(bytes), Stage::Begin) => {
                self.with_room_for(who, 1, script, memory, |world, room| {
                    world.send_piece(who, bytes, piece.min(room))
                })
            }
            (Do::SendBytes(bytes), Stage::Sending(sent, all)) => {
                let go_on = |(world, room): (Self, usize)| match room {
                    0 => world.told(who, Saw::Sent(sent)),
                    room => world.send_piece(who, &bytes[..all], piece.min(room)),
                };
                self.look_for_room(who, script, memory).into_iter().map(go_on).collect()
            }
            (Do::CommitBytes(bytes), _) => {
                self.with_room_for(who, bytes.len(), script, memory, |mut world, _| {
                    world.commit(who, bytes.iter().map(|byte| u64::from(*byte)));
                    world.told(who, Saw::Sent(bytes.len()))
                })
            }
            (Do::AbortBytes(bytes), _) => {
                self.with_room_for(who, bytes.len(), script, memory, |world, _| {
                    world.done(who, Some(Saw::Aborted))
                })
            }
            (Do::RecvBytes(most), Stage::Begin) => {
                self.with_bytes(who, memory, |world, waiting| {
                    world.take_piece(who, most, piece.min(waiting))
                })
            }
            (Do::RecvBytes(most), Stage::Taking(taken)) => {
                let go_on = |(world, waiting): (Self, usize)| match waiting {
                    0 => {
                        let bytes = world.bytes(self.head() as usize - taken, taken);
                        world.told(who, bytes)
                    }
                    waiting => world.take_piece(who, most, piece.min(waiting)),
                };
                self.look_for_bytes(who, memory).into_iter().map(go_on).collect()
            }
            (Do::GuardBytes(_), Stage::Begin) => {
                self.with_bytes(who, memory, |world, waiting| world.at(who, Stage::Lent(waiting)))
            }
            (Do::GuardBytes(release), Stage::Lent(len)) => {
                let bytes = self.bytes(self.head() as usize, len);
                world.threads[who].saw.push(bytes);
                vec![match release.min(len) {
                    0 => world.done(who, None),
                    release => world.at(who, Stage::Releasing(release)),
                }]
            }
            (Do::GuardBytes(_), Stage::Releasing(len)) => {
                world.retire(who, len as u64);
                vec![world.done(who, None)]
            }
            (Do::Finish, Stage::Begin) => {
                let mut known = self.threads[who].known;
                world.note_seat(Role::Sender, Seat::Closed, &mut known);
                world.threads[who].known = known;
                vec![world.at(who, Stage::Ended)]
            }
            (Do::Finish, _) => self.see_received(who, script, memory),
            (Do::Abandon, _) => {
                world.leave(who, Seat::Died);
                vec![world.done(who, None)]
            }
            (operation, stage) => unreachable!("{operation:?} in {stage:?}"),
        }
    }

    /// Under the seat's lock: takes the seat if nobody ever has.
    fn take_once(mut self, who: usize, role: Role) -> Self {
        let last = *self.seats[role as usize].last().expect("never empty");
        let mut known = self.threads[who].known;
        known.join(last.known);
        if last.value == Seat::Vacant {
            self.note_seat(role, Seat::Live, &mut known);
            self.threads[who].known = known;
            return self.at(who, Stage::Seated);
        }
        if last.value == Seat::Live {
            self.note_seat(role, Seat::Died, &mut known);
        }
        self.threads[who].known = known;
        self.unlock(who);
        // Told at once: he makes no access in between, before which he could be killed.
        self.done(who, Some(Saw::Over))
    }

    /// Sends `count` more of the bytes, of which a part may have been sent.
    fn send_piece(mut self, who: usize, bytes: &[u8], count: usize) -> Self {
        let sent = match self.threads[who].stage {
            Stage::Sending(sent, _) => sent,
            _ => 0,
        };
        let count = count.min(bytes.len() - sent);
        self.commit(who, bytes[sent..sent + count].iter().map(|byte| u64::from(*byte)));
        match sent + count {
            all if all == bytes.len() => self.told(who, Saw::Sent(all)),
            sent => self.at(who, Stage::Sending(sent, bytes.len())),
        }
    }

    /// Receives `count` more bytes, of `most` that were asked for.
    fn take_piece(mut self, who: usize, most: usize, count: usize) -> Self {
        let taken = match self.threads[who].stage {
            Stage::Taking(taken) => taken,
            _ => 0,
        };
        let count = count.min(most - taken);
        self.retire(who, count as u64);
        match taken + count {
            all if all == most => {
                let bytes = self.bytes(self.head() as usize - all, all);
                self.told(who, bytes)
            }
            taken => self.at(who, Stage::Taking(taken)),
        }
    }

    fn bytes(&self, position: usize, count: usize) -> Saw {
        let bytes = self.sent[position..position + count].iter().map(|byte| *byte as u8);
        Saw::Bytes(position as u64, bytes.collect())
    }

    /// If the receiver is not known to be gone, looks for so much room, and goes on with what
    /// there is.
    fn with_room_for(
        &self,
        who: usize,
        need: usize,
        script: &Script,
        memory: Memory,
        go_on: impl Fn(Self, usize) -> Self,
    ) -> Vec<Self> {
        let mut next = Vec::new();
        for (world, seat) in self.look_at_seat(who, Role::Receiver, memory) {
            if let Some(why) = ended(seat) {
                next.push(world.done(who, Some(Saw::Not(why))));
                continue;
            }
            for (world, room) in world.look_for_room(who, script, memory) {
                if room >= need {
                    next.push(go_on(world, room));
                    continue;
                }
                next.extend(world.look_at_seat(who, Role::Receiver, memory).into_iter().map(
                    |(world, seat)| {
                        let why = ended(seat).unwrap_or(Why::Full);
                        world.done(who, Some(Saw::Not(why)))
                    },
                ));
            }
        }
        next
    }

    /// Looks for bytes, and goes on with as many as are seen if there are some.
    fn with_bytes(
        &self,
        who: usize,
        memory: Memory,
        go_on: impl Fn(Self, usize) -> Self,
    ) -> Vec<Self> {
        let look = |world: &Self| world.look_for_bytes(who, memory);
        self.look_twice((who, Role::Sender, memory), Why::Empty, look, go_on)
    }

    /// How many bytes wait, in every way it may be seen.
    fn look_for_bytes(&self, who: usize, memory: Memory) -> Vec<(Self, usize)> {
        let known = self.threads[who].known.tails;
        Self::looks(&self.tails, known, memory)
            .map(|index| {
                let mut world = self.clone();
                let tail = world.tails[index];
                world.threads[who].known.join(tail.known);
                let waiting = tail.value - world.head();
                (world, waiting as usize)
            })
            .collect()
    }

    /// Looks whether all was received by one who is gone.
    fn see_received(&self, who: usize, script: &Script, memory: Memory) -> Vec<Self> {
        let mut next = Vec::new();
        for (world, seat) in self.look_at_seat(who, Role::Receiver, memory) {
            // What it did before it left counts.
            for (mut world, room) in world.look_for_room(who, script, memory) {
                let all = room as u64 == script.capacity;
                let saw = ended(seat).filter(|_| !all).map_or(Saw::Finished, Saw::Not);
                world.unlock(who);
                next.push(world.done(who, Some(saw)));
            }
        }
        next
    }
}
