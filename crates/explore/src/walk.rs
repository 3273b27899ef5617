//! Random runs of the model, as records: what a recorder of real runs would write.
//!
//! Imports: search, world, replay.

use crate::access::Access;
use crate::replay::{Event, Kind};
use crate::search::events;
use crate::world::{self, Config, World};

/// A run of up to `steps` moves, chosen by `seed`; about one in a hundred is a kill, as
/// long as the configuration has some.
pub fn walk(config: &Config, seed: u64, steps: usize) -> Vec<Event> {
    let mut random = seed | 1;
    let mut draw = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    let mut world = World::new(config);
    let (mut record, mut next) = (Vec::new(), Vec::new());
    while record.len() < steps {
        next.clear();
        events(config, &world, &mut next);
        let kill = draw(100) == 0;
        next.retain(|(_, event)| match event {
            world::Event::Step(_) => !kill,
            world::Event::Crash => kill,
            world::Event::Stop => false,
        });
        if next.is_empty() {
            if kill {
                continue;
            }
            break;
        }
        let (who, event) = next[draw(next.len())];
        // The seeded mistakes that break promises here end the run.
        let Ok(after) = world.next(&config.setup, who, event) else { break };
        let mut made = said(&world, who, event);
        let Some(after) = after else {
            // It changed nothing; but for a lock asked for in vain it may be recorded.
            continue;
        };
        if let (world::Event::Step(step), true) = (event, made.seat == crate::machine::NOBODY) {
            made.seat = step.choice;
        }
        record.push(made);
        world = after;
    }
    record
}

fn said(world: &World, who: usize, event: world::Event) -> Event {
    let seat = world.locals[who].seat;
    let world::Event::Step(step) = event else {
        return Event { seat, kind: Kind::Killed, word: None, value: 0 };
    };
    let (kind, word, value) = match step.access {
        Access::Load(word) => (Kind::Load, Some(word), world.load(word)),
        Access::Store(word, new) => (Kind::Store, Some(word), new),
        Access::Cas(word, old, new) => {
            let kind = if world.load(word) == old { Kind::Won } else { Kind::Lost };
            (kind, Some(word), new)
        }
        Access::Lock(s) => (Kind::Locked, None, s.into()),
        Access::Query(s) => {
            let kind = if world.locked(s, Some(who)) { Kind::Held } else { Kind::Unheld };
            (kind, None, s.into())
        }
        Access::Unlock(s) => (Kind::Unlocked, None, s.into()),
    };
    Event { seat, kind, word, value }
}
