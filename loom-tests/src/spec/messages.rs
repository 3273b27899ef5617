//! What is done with messages, by the seats' successive occupants.

use super::world::{Stage, World};
use super::{Do, Got, Memory, Role, Saw, Script, Seat, Why};

impl World {
    /// One step of an operation, in every way that it may go.
    pub(super) fn act_on_messages(
        &self,
        who: usize,
        step: (Do, Stage),
        script: &Script,
        memory: Memory,
    ) -> Vec<Self> {
        let mut world = self.clone();
        match step {
            (Do::Attach(role), Stage::Begin) => {
                if self.held[role as usize] {
                    return Vec::new();
                }
                world.held[role as usize] = true;
                let mut known = self.threads[who].known;
                known.join(self.left[role as usize]);
                world.note_seat(role, Seat::Live, &mut known);
                world.threads[who].known = known;
                world.threads[who].role = Some(role);
                vec![world.at(who, Stage::Seated)]
            }
            (Do::Attach(role), _) => {
                let position = match role {
                    Role::Sender => self.sent.len() as u64,
                    Role::Receiver => self.head(),
                };
                vec![world.done(who, Some(Saw::Attached(position)))]
            }
            (Do::Send(message) | Do::Commit(message), _) => {
                self.with_room(who, script, memory, |mut world, _| {
                    world.commit(who, [message]);
                    world.told(who, Saw::Sent(1))
                })
            }
            (Do::Abort(_), _) => {
                self.with_room(who, script, memory, |world, _| world.done(who, Some(Saw::Aborted)))
            }
            (Do::SendMany(messages), Stage::Begin) => {
                self.with_room(who, script, memory, |world, room| {
                    let all = messages.len().min(room);
                    world.send_one_of(who, messages, 0, all)
                })
            }
            (Do::SendMany(messages), Stage::Sending(sent, all)) => {
                vec![world.send_one_of(who, messages, sent, all)]
            }
            (Do::Recv, _) => self.with_messages(who, 1, memory, |mut world, count| {
                let got = world.got(count as u64);
                world.retire(who, count as u64);
                world.told(who, got)
            }),
            (Do::RecvMany(most), _) => self.with_messages(who, most, memory, |mut world, count| {
                let got = world.got(count as u64);
                world.retire(who, count as u64);
                world.told(who, got)
            }),
            (Do::Guard | Do::Forget, Stage::Begin) => {
                self.with_messages(who, 1, memory, |world, _| world.at(who, Stage::Exposed))
            }
            (Do::Guard, Stage::Exposed) => {
                let got = self.got(1);
                world.threads[who].saw.push(got);
                vec![world.at(who, Stage::Read)]
            }
            (Do::Guard, _) => {
                world.retire(who, 1);
                vec![world.done(who, None)]
            }
            (Do::Forget, _) => {
                let got = self.got(1);
                world.threads[who].forgotten = true;
                vec![world.done(who, Some(got))]
            }
            (operation, stage) => unreachable!("{operation:?} in {stage:?}"),
        }
    }

    fn send_one_of(mut self, who: usize, messages: &[u64], sent: usize, all: usize) -> Self {
        self.commit(who, [messages[sent]]);
        if sent + 1 == all {
            self.told(who, Saw::Sent(all))
        } else {
            self.at(who, Stage::Sending(sent + 1, all))
        }
    }

    fn got(&self, count: u64) -> Saw {
        let head = self.head();
        let got = |position: u64| Got {
            position,
            message: self.sent[position as usize],
            again: position < self.in_doubt_until,
        };
        Saw::Got((head..head + count).map(got).collect())
    }

    /// Looks for room, and goes on with it if there is some.
    fn with_room(
        &self,
        who: usize,
        script: &Script,
        memory: Memory,
        go_on: impl Fn(Self, usize) -> Self,
    ) -> Vec<Self> {
        let look = |world: &Self| world.look_for_room(who, script, memory);
        self.look_twice((who, Role::Receiver, memory), Why::Full, look, go_on)
    }

    /// Looks for at most `most` messages, and goes on with them if there are some.
    fn with_messages(
        &self,
        who: usize,
        most: usize,
        memory: Memory,
        go_on: impl Fn(Self, usize) -> Self,
    ) -> Vec<Self> {
        let head = self.head() as usize;
        // Each message is a commit, and is looked at by itself: who takes it has learnt of
        // no later one.
        let look = |world: &Self| {
            let waiting = (world.sent.len() - head).min(most);
            let least = match memory {
                Memory::Sequential => waiting,
                Memory::Late => world.threads[who].known.tails.saturating_sub(head).min(most),
            };
            (least..=waiting)
                .map(|count| {
                    let mut world = world.clone();
                    if count > 0 {
                        let known = world.tails[head + count].known;
                        world.threads[who].known.join(known);
                    }
                    (world, count)
                })
                .collect()
        };
        self.look_twice((who, Role::Sender, memory), Why::Empty, look, go_on)
    }
}
