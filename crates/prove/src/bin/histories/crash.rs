//! Histories of an mpmc ring in which one process is killed, and another is perhaps stopped.
//!
//! A newcomer then receives what is left, and all that has happened must fit one order, in
//! which what was in flight took effect before the death was seen, or never. Those who live
//! rest meanwhile, so that whatever they left undone between two operations stays so.

use std::time::Duration;

use annulus::mpmc::Ring;
use annulus_prove::fleet::{Patience, Random};
use annulus_prove::ground::{Place, Site};
use annulus_prove::wgl::{self, Verdict};
use nix::sys::signal::{Signal, kill};

use crate::log::{Log, Part, Record, Said, stage};
use crate::players::{self, Message, Player};
use crate::queue::Queue;
use crate::stage::{HANG, Scene, Stage, spin};
use crate::stamp;
use crate::tally::Tally;
use crate::{patient, read};

/// Longer than a slice.
const PATIENCE: Duration = Duration::from_millis(2);

/// Some of them, on one ring.
pub fn set(histories: u64, random: &mut Random, tally: &mut Tally) -> Result<(), String> {
    let capacity = *random.pick(&[1, 2, 2, 4, 4, 8]);
    let sides = *random.pick(&[[2, 1], [1, 2], [2, 2], [3, 1], [1, 3]]);
    let options = Ring::<Message>::options().capacity(capacity).seats(4);
    let options = patient(options);
    let site = Site::new(*random.pick(&Place::ALL), &options, random.next());
    let site = site.map_err(|error| error.to_string())?;
    let seating = |who| -> Box<dyn Player> {
        let ring = site.open().expect("the ring");
        if who < sides[0] {
            Box::new(ring.sender().expect("a seat"))
        } else {
            Box::new(ring.receiver().expect("a seat"))
        }
    };
    let scene = Scene { sides, ops: [8, 20], seed: random.next(), stops: false };
    let mut stage = Stage::new(scene, &seating)?;
    let newcomer = Log::new(1 << 12);
    for _ in 0..histories {
        one(&mut stage, &site, &newcomer, random, tally)?;
    }
    Ok(())
}

fn a_while(random: &mut Random) {
    let most = *random.pick(&[1, 1_000, 4_000, 10_000, 20_000]);
    spin(random, most);
}

fn one(
    stage: &mut Stage<'_>,
    site: &Site<Ring<Message>>,
    newcomer: &Log,
    random: &mut Random,
    tally: &mut Tally,
) -> Result<(), String> {
    stage.skip_drain();
    stage.next();
    let all = stage.lives.len() as u64;
    let victim = random.below(all) as usize;
    let other = (victim + 1 + random.below(all - 1) as usize) % all as usize;
    let stops = random.once_in(2);
    stage.see_ready();
    a_while(random);
    let signal = |stage: &Stage<'_>, signal| {
        let life = stage.lives[other].as_ref().expect("it lives");
        kill(life.pid(), signal).map_err(|error| error.to_string())
    };
    if stops {
        signal(stage, Signal::SIGSTOP)?;
        a_while(random);
    }
    let life = stage.lives[victim].take().expect("it lives");
    life.kill();
    life.bury()?;
    let death = stamp::end();
    newcomer.clear();
    let history = stage.go / 2;
    let mut part = Part { log: newcomer, random: random.clone(), value: 0, history, ops: 0 };
    let mut receiver = site.ring.receiver().map_err(|error| error.to_string())?;
    if stops {
        // Long enough to look for the dead while a living one is stopped.
        for _ in 0..3 {
            players::one_in_time(&mut receiver, &mut part, PATIENCE);
        }
        signal(stage, Signal::SIGCONT)?;
    }
    stage.finish()?;
    let (mut patience, mut quiet, mut come) = (Patience::new(HANG), 0, 0);
    let settled = |seat| matches!(site.seat(seat).0, 0 | 1 | 3 | 4);
    while quiet < 2 || !(0..2 * site.ring.seats()).all(settled) {
        let got = players::one_in_time(&mut receiver, &mut part, PATIENCE);
        quiet = if got { 0 } else { quiet + 1 };
        come += u64::from(got);
        if !patience.lasts(come) {
            let seats: Vec<_> = (0..2 * site.ring.seats()).map(|seat| site.seat(seat)).collect();
            return Err(format!("the dead are not settled: {seats:x?}"));
        }
    }
    // And then nothing: no position that nobody settles.
    if !(0..64).any(|_| players::try_one(&mut receiver, &mut part) == Said::Empty) {
        return Err("what is left is stalled, and the dead are settled".to_owned());
    }
    drop(receiver);
    let records = stage.records(history);
    let mut lanes: Vec<_> = (0..records.len())
        .map(|who| read::queue(&records[who], (who == victim).then_some(death), true))
        .collect();
    lanes.push(read::queue(&newcomer.records(), None, true));
    let in_flight = |record: &Record| record.stage != stage::DONE;
    tally.kills += 1;
    tally.in_flight += u64::from(records[victim].last().is_some_and(in_flight));
    tally.stopped += u64::from(stops);
    tally.count(&lanes);
    let capacity = site.ring.capacity() as usize;
    match wgl::check(&Queue { capacity }, &lanes) {
        Verdict::Fits => {}
        Verdict::Unknown => tally.unknown += 1,
        Verdict::Refused => {
            return Err(format!(
                "no order fits, capacity {capacity}, the death of {victim} seen at {death}: {}",
                crate::shown(&lanes)
            ));
        }
    }
    stage.begin(victim)
}
