//! The campaign: kills at random moments, until there were enough or something is wrong.

use std::thread::sleep;
use std::time::{Duration, Instant};

use annulus::WaitMethod;
use annulus::spsc::Ring;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::Random;
use super::account::{Account, Totals, Violation};
use super::journal::Journals;
use super::life::{self, Side};
use super::traffic::Traffic;
use crate::ground::{Ground, Kind};

/// How long two lives may go without a message: a hang.
const HANG: Duration = Duration::from_secs(10);

/// How often progress is told.
const NEWS: Duration = Duration::from_secs(5);

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// On which kind of segment.
    pub kind: Kind,
    /// How its participants sleep.
    pub method: WaitMethod,
    /// How often to kill.
    pub kills: u64,
    /// For the moments.
    pub seed: u64,
}

struct Campaign<'a, M: Traffic + ?Sized> {
    open: &'a dyn Fn() -> Ring<M>,
    journals: Journals,
    account: Account,
    random: Random,
    lives: [Pid; 2],
}

impl<M: Traffic + ?Sized> Campaign<'_, M> {
    /// Kills some lives at once, settles accounts and lets their successors begin.
    fn kill(&mut self, sides: &[Side]) -> Result<(), Violation> {
        for side in sides {
            kill(self.lives[*side as usize], Signal::SIGKILL).unwrap();
        }
        for side in sides {
            self.bury(*side)?;
        }
        for side in sides {
            self.begin(*side);
        }
        Ok(())
    }

    fn begin(&mut self, side: Side) {
        let notes = match side {
            Side::Sends => self.journals.sender(),
            Side::Receives => self.journals.receiver(),
        };
        let random = Random::new(self.random.next());
        self.lives[side as usize] = life::begin(side, self.open, notes, random);
    }

    /// Waits for an end and settles the account.
    fn bury(&mut self, side: Side) -> Result<(), Violation> {
        let life = self.lives[side as usize];
        match waitpid(life, None).unwrap() {
            WaitStatus::Signaled(_, Signal::SIGKILL, _) => {}
            other => return Err(format!("{side:?} ended otherwise: {other:?}")),
        }
        let (sender, receiver) = (self.journals.sender(), self.journals.receiver());
        let notes = if side == Side::Sends { sender } else { receiver };
        if notes.failed.get() != 0 {
            return Err(format!("{side:?} found something wrong"));
        }
        match side {
            Side::Sends => self.account.sender_died(sender),
            Side::Receives => self.account.receiver_died(receiver),
        }
        .map_err(|what| format!("{what}\n  sender: {sender:?}\n  receiver: {receiver:?}"))
    }

    /// Waits until messages have gone through.
    fn see_progress(&self) -> Result<(), Violation> {
        let (sender, receiver) = (self.journals.sender(), self.journals.receiver());
        let (first, start) = (receiver.got.get(), Instant::now());
        while receiver.got.get() < first + 8 || sender.attached.get() == 0 {
            if sender.failed.get() + receiver.failed.get() > 0 {
                return Err("somebody found something wrong".to_owned());
            }
            if start.elapsed() > HANG {
                return Err(format!("a hang\n  sender: {sender:?}\n  receiver: {receiver:?}"));
            }
            sleep(Duration::from_micros(50));
        }
        Ok(())
    }

    fn run(
        &mut self,
        kills: u64,
        told: &mut Instant,
        news: &mut dyn FnMut(&Totals),
    ) -> Result<(), Violation> {
        self.begin(Side::Sends);
        self.begin(Side::Receives);
        while self.account.totals.kills() < kills {
            let most = [0, 60, 200, 1000, 2000, 4000, 4000, 10_000][self.random.below(8) as usize];
            if most > 0 {
                sleep(Duration::from_micros(self.random.below(most)));
            }
            if self.random.once_in(8) {
                self.see_progress()?;
            }
            let sides: &[Side] = match self.random.below(7) {
                0..3 => &[Side::Sends],
                3..6 => &[Side::Receives],
                _ => &[Side::Receives, Side::Sends],
            };
            self.kill(sides)?;
            if told.elapsed() > NEWS {
                *told = Instant::now();
                self.account.totals.messages = self.account.tail();
                news(&self.account.totals);
            }
        }
        self.see_progress()?;
        for side in [Side::Sends, Side::Receives] {
            kill(self.lives[side as usize], Signal::SIGKILL).unwrap();
            self.bury(side)?;
        }
        Ok(())
    }

    /// Takes both seats and everything that is left.
    fn finish(&mut self, ring: &Ring<M>) -> Result<(), Violation> {
        let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
        let (head, tail) = (receiver.position(), sender.position());
        self.account.sender_came(tail)?;
        let marked = (head..=tail).rev().find(|position| receiver.is_redelivered(*position));
        self.account.receiver_came(head, marked.map_or(0, |last| last + 1))?;
        let end = tail + sender.capacity();
        for lap_end in [tail, end] {
            for position in receiver.position()..lap_end {
                M::take(&mut receiver, position);
            }
            for position in sender.position()..receiver.position() + sender.capacity() {
                M::put(&mut sender, position);
            }
        }
        self.account.totals.messages = tail;
        Ok(())
    }
}

/// Most kills on one ring.
const ROUND: u64 = 250;

/// Runs a campaign, on one ring after the other; the accounts must fit all along.
pub fn run<M: Traffic + ?Sized>(
    plan: &Plan,
    news: &mut dyn FnMut(&Totals),
) -> Result<Totals, Violation> {
    let (mut totals, mut random) = (Totals::default(), Random::new(plan.seed));
    let mut told = Instant::now();
    while totals.kills() < plan.kills {
        let kills = ROUND.min(plan.kills - totals.kills());
        let so_far = totals;
        let mut news = |ring: &Totals| news(&so_far.with(ring));
        totals = so_far.with(&round::<M>(
            plan,
            kills,
            Random::new(random.next()),
            &mut told,
            &mut news,
        )?);
    }
    Ok(totals)
}

/// A new ring, of any small capacity, and its kills.
fn round<M: Traffic + ?Sized>(
    plan: &Plan,
    kills: u64,
    mut random: Random,
    told: &mut Instant,
    news: &mut dyn FnMut(&Totals),
) -> Result<Totals, Violation> {
    let slice = Duration::from_millis(2);
    let options = M::options()
        .capacity(1 << random.below(4))
        .wait_method(plan.method)
        .spin(Duration::from_nanos(200))
        .yielding(Duration::from_micros(5))
        .slice(slice);
    let (ground, ring) = Ground::new(plan.kind, &options);
    let mut campaign = Campaign {
        open: &|| ground.open(&options),
        journals: Journals::new(),
        account: Account::default(),
        random,
        lives: [Pid::from_raw(0); 2],
    };
    let outcome = campaign.run(kills, told, news).and_then(|()| campaign.finish(&ring));
    if outcome.is_err() {
        for life in campaign.lives {
            // One of them may have been waited for.
            let _ = kill(life, Signal::SIGKILL);
            let _ = waitpid(life, None);
        }
    }
    if plan.method == WaitMethod::Semaphore {
        // Of this ring alone: others have theirs.
        let id = format!("sem.annulus-{:016x}-", ground.observe().creation_id());
        annulus::unlink(ground.address()).unwrap();
        let entries = std::fs::read_dir("/dev/shm").unwrap();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let left: Vec<_> = names.filter(|name| name.starts_with(&id)).collect();
        assert!(left.is_empty(), "semaphores left: {left:?}");
    }
    outcome.map(|()| campaign.account.totals)
}
