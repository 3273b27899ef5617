//! Streams, one after the other, two at a time: each ends with its first death.
//!
//! Each byte is told by its position. What a killed sender committed is a prefix that reaches
//! at least to where it knew of, and at most to the end of its verb; the receiver gets all of
//! it, then is told. The sender to a killed receiver is told.
#![allow(unsafe_code)]

use std::thread::sleep;
use std::time::{Duration, Instant};

use annulus::stream::Ring;
use annulus::{RecvError, SendError};
use annulus_prove::fleet::{LastWords, Life, Note, Random, Shareable, Shared, mix};
use annulus_prove::ground::{Place, Site};

use crate::Plan;
use crate::totals::Totals;
use crate::work::take;

const LIFETIME: u32 = 60;

#[derive(Debug, Default)]
struct Notes {
    seated: Note,
    may: Note,
    reached: Note,
    /// 1: it was told of the other's death; 2: of its end.
    told: Note,
    taken: Note,
    refused: Note,
}

// SAFETY: notes alone, of which zeros are a value.
unsafe impl Shareable for Notes {}

struct Lane {
    notes: Shared<Notes>,
    words: [LastWords; 2],
    lives: [Option<Life>; 2],
    site: Site<Ring>,
}

/// Streams, their kills and accounts.
pub fn turn(plan: &Plan, random: &mut Random) -> Result<Totals, String> {
    let mut totals = Totals::default();
    while totals.kills() < plan.kills && Instant::now() < plan.deadline {
        let mut lanes = [Lane::new(random)?, Lane::new(random)?];
        lanes.iter_mut().for_each(|lane| lane.begin(random));
        sleep(Duration::from_micros(500 + random.below(8000)));
        for lane in &mut lanes {
            lane.end(plan, random.below(5), &mut totals)?;
        }
    }
    Ok(totals)
}

impl Lane {
    fn new(random: &mut Random) -> Result<Self, String> {
        let options = Ring::options().capacity(*random.pick(&[8, 64, 4096, 1 << 16]));
        let options = options.spin(Duration::from_nanos(200)).yielding(Duration::from_micros(5));
        let options = options.slice(Duration::from_millis(2));
        let site = Site::new(*random.pick(&Place::ALL), &options, random.next());
        Ok(Self {
            notes: Shared::new(2),
            words: Default::default(),
            lives: [None, None],
            site: site.map_err(|error| error.to_string())?,
        })
    }

    fn begin(&mut self, random: &mut Random) {
        for side in [0, 1] {
            let (site, own, random) = (&self.site, &self.notes[side], Random::new(random.next()));
            self.lives[side] = Some(Life::begin(LIFETIME, &self.words[side], || {
                let ring = site.open().unwrap_or_else(|error| panic!("no ring: {error}"));
                if side == 0 { send(&ring, own, random) } else { receive(&ring, own, random) }
            }));
        }
    }

    fn kill(&mut self, side: usize, totals: &mut Totals) -> Result<(), String> {
        let Some(life) = self.lives[side].take() else { return Ok(()) };
        life.kill();
        let buried = life.bury();
        self.words[side].get().map_or(Ok(()), Err)?;
        buried?;
        let own = &self.notes[side];
        totals.early += 1 - own.seated.get();
        *[&mut totals.senders, &mut totals.receivers][side] += 1;
        Ok(())
    }

    /// Waits until a survivor was told.
    fn told(&mut self, side: usize, plan: &Plan) -> Result<(), String> {
        let start = Instant::now();
        while self.notes[side].told.get() == 0 {
            self.words[side].get().map_or(Ok(()), Err)?;
            if start.elapsed() > plan.hang {
                return Err(format!("side {side} is not told: {:?}", &self.notes[..]));
            }
            sleep(Duration::from_micros(50));
        }
        self.words[side].get().map_or(Ok(()), Err)
    }

    fn end(&mut self, plan: &Plan, how: u64, totals: &mut Totals) -> Result<(), String> {
        totals.rings += 1;
        match how {
            0 | 1 => self.sender_dies(plan, totals)?,
            2 | 3 => self.receiver_dies(plan, totals)?,
            _ => {
                self.kill(1, totals)?;
                self.kill(0, totals)?;
            }
        }
        let [sender, receiver] = [0, 1].map(|side| &self.notes[side]);
        let (got, most) = (receiver.reached.get(), sender.may.get().max(sender.reached.get()));
        if got > most {
            return Err(format!("{got} bytes came, {most} were sent: {:?}", &self.notes[..]));
        }
        totals.bytes += got;
        totals.unawares += got.saturating_sub(sender.reached.get());
        totals.taken += sender.taken.get() + receiver.taken.get();
        Ok(())
    }

    fn sender_dies(&mut self, plan: &Plan, totals: &mut Totals) -> Result<(), String> {
        self.kill(0, totals)?;
        if self.notes[0].seated.get() == 0 {
            // Nobody was there to die; perhaps.
            return Ok(());
        }
        if self.notes[1].seated.get() == 0 {
            // It may come later.
            sleep(Duration::from_millis(5));
        }
        self.told(1, plan)?;
        let (got, sure) = (self.notes[1].reached.get(), self.notes[0].reached.get());
        if got < sure {
            return Err(format!("{got} bytes came, {sure} were sent: {:?}", &self.notes[..]));
        }
        Ok(())
    }

    fn receiver_dies(&mut self, plan: &Plan, totals: &mut Totals) -> Result<(), String> {
        self.kill(1, totals)?;
        if self.notes[1].seated.get() == 1 {
            self.told(0, plan)?;
        }
        Ok(())
    }
}

fn byte(position: u64) -> u8 {
    mix(position >> 3).to_le_bytes()[(position & 7) as usize]
}

fn send(ring: &Ring, own: &Notes, mut random: Random) {
    let mut sender = take(&own.taken, &own.refused, || ring.sender());
    own.seated.set(1);
    let mut bytes = Vec::new();
    loop {
        let p = sender.position();
        let most = *random.pick(&[8, 300, 20_000]);
        let count = 1 + random.below(most);
        bytes.clear();
        bytes.extend((p..p + count).map(byte));
        own.may.set(p + count);
        let said = match random.below(3) {
            0 => {
                let count = bytes.len().min(sender.capacity() as usize);
                sender.reserve(count).map(|mut place| {
                    assert_eq!(place.append(&bytes[..count]), count);
                    place.commit()
                })
            }
            1 => sender.send_timeout(&bytes, Duration::from_millis(3)),
            _ => sender.send(&bytes),
        };
        match said {
            Ok(_) | Err(SendError::Timeout(())) => own.reached.set(sender.position()),
            Err(SendError::Died(())) => break,
            Err(other) => panic!("a send met {other}"),
        }
        if random.once_in(300) {
            std::thread::sleep(Duration::from_micros(random.below(300)));
        }
    }
    own.told.set(1);
    std::thread::sleep(Duration::from_secs(30));
}

fn receive(ring: &Ring, own: &Notes, mut random: Random) {
    let mut receiver = take(&own.taken, &own.refused, || ring.receiver());
    own.seated.set(1);
    let mut out = vec![0; 20_000];
    loop {
        let p = receiver.position();
        let most = *random.pick(&[8, 300, 20_000]);
        let count = 1 + random.below(most) as usize;
        let said = match random.below(3) {
            0 => receiver.recv_ref_timeout(Duration::from_millis(3)).map(|guard| {
                let count = guard.len().min(count);
                assert_eq!(guard.read_at(0, &mut out[..count]), count);
                let whole = out[..count].iter().zip(p..).all(|(got, at)| *got == byte(at));
                assert!(whole, "wrong bytes in {p}..");
                guard.release_first(count);
                count
            }),
            1 => receiver.recv_timeout(&mut out[..count], Duration::from_millis(3)),
            _ => receiver.recv(&mut out[..count]),
        };
        match said {
            Ok(count) => {
                let wrong = out[..count].iter().zip(p..).find(|(got, at)| **got != byte(*at));
                assert!(wrong.is_none(), "wrong bytes in {p}..: {wrong:?}");
                own.reached.set(receiver.position());
            }
            Err(RecvError::Timeout) => {}
            Err(RecvError::Died) => break,
            Err(other) => panic!("a receive met {other}"),
        }
        if random.once_in(300) {
            std::thread::sleep(Duration::from_micros(random.below(300)));
        }
    }
    own.told.set(1);
    std::thread::sleep(Duration::from_secs(30));
}
