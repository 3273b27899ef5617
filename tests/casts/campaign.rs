//! The campaign: a sender and three receivers, each a process, killed at random moments
//! and succeeded at once, until there were enough kills or something is wrong.

use std::thread::sleep;
use std::time::{Duration, Instant};

use annulus::TryRecvError;
use annulus::broadcast::{Ring, Start};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::LONG;
use super::lives::{self, Journals, RECEIVERS, Random, Told};
use super::site::{Place, Site};

/// How long receivers may go without a message: a hang.
const HANG: Duration = Duration::from_secs(10);

/// Most kills on one ring.
const ROUND: u64 = 250;

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// On which kind of segment.
    pub place: Place,
    /// Whether the slowest holds the sender back.
    pub lossless: bool,
    /// How often to kill.
    pub kills: u64,
    /// For the moments.
    pub seed: u64,
}

/// What has happened, for people.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Kills of senders, and of receivers.
    pub kills: [u64; 2],
    /// Messages sent.
    pub sent: u64,
    /// Messages got, by all receivers.
    pub got: u64,
    /// Positions missed, each told.
    pub missed: u64,
    /// Messages committed that the dead sender did not know to be.
    pub unawares: u64,
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kills: [senders, receivers], sent, got, missed, unawares } = self;
        write!(
            f,
            "{} kills ({senders} senders, {receivers} receivers), {sent} messages sent \
             ({unawares} by a death unawares), {got} got whole and in order, {missed} missed \
             and told so",
            senders + receivers
        )
    }
}

struct Campaign<'a, T: Told> {
    open: &'a dyn Fn() -> Ring<T>,
    journals: Journals,
    random: Random,
    lives: [Option<Pid>; 1 + RECEIVERS],
    /// The tail lies between these.
    tail: (u64, u64),
    totals: Totals,
}

impl<T: Told> Campaign<'_, T> {
    fn begin(&mut self, number: usize) {
        let random = Random(self.random.next());
        let notes = &self.journals.all()[number];
        self.lives[number] = Some(lives::begin(number, self.open, notes, random));
    }

    /// Kills some lives at once, and settles the account.
    fn kill(&mut self, numbers: &[usize]) {
        let lives: Vec<_> =
            numbers.iter().map(|number| self.lives[*number].take().unwrap()).collect();
        for life in &lives {
            kill(*life, Signal::SIGKILL).unwrap();
        }
        for (number, life) in numbers.iter().zip(lives) {
            let ended = waitpid(life, None).unwrap();
            assert!(matches!(ended, WaitStatus::Signaled(_, Signal::SIGKILL, _)), "{ended:?}");
            let notes = &self.journals.all()[*number];
            assert_eq!(notes.failed.get(), 0);
            self.totals.kills[usize::from(*number > 0)] += 1;
            if *number == 0 && notes.attached.get() == 1 {
                let (start, reached, most) =
                    (notes.start.get(), notes.reached.get(), notes.may_reach.get());
                self.began(start);
                self.tail = (reached, reached.max(most));
            }
        }
    }

    /// A sender has begun there.
    fn began(&mut self, start: u64) {
        let (low, high) = self.tail;
        assert!((low..=high).contains(&start), "began at {start}; {low}..={high} was committed");
        self.totals.unawares += start - low;
        self.tail = (start, start);
    }

    /// Waits until every receiver has got messages.
    fn see_progress(&self) {
        let journals = self.journals.all();
        let got = || journals[1..].iter().map(|notes| notes.got.get()).collect::<Vec<_>>();
        let (first, start) = (got(), Instant::now());
        while got().iter().zip(&first).any(|(now, first)| *now < first + 4) {
            assert!(journals.iter().all(|notes| notes.failed.get() == 0), "something was wrong");
            assert!(start.elapsed() < HANG, "a hang: {journals:#?}");
            sleep(Duration::from_micros(50));
        }
    }

    fn run(&mut self, kills: u64) {
        for number in 0..=RECEIVERS {
            self.begin(number);
        }
        while self.totals.kills.iter().sum::<u64>() < kills {
            let most = [0, 60, 200, 1000, 2000, 4000, 10_000][self.random.below(7) as usize];
            if most > 0 {
                sleep(Duration::from_micros(self.random.below(most)));
            }
            if self.random.below(8) == 0 {
                self.see_progress();
            }
            let all = [0, 1, 2, 3];
            let one = self.random.below(4) as usize;
            let numbers: &[usize] = match self.random.below(8) {
                0 => &all,
                1 => &all[one..],
                2 => &all[..1],
                _ => &all[one..=one],
            };
            self.kill(numbers);
            for number in numbers {
                self.begin(*number);
            }
        }
        self.see_progress();
        self.kill(&[0, 1, 2, 3]);
    }

    /// Takes every seat, and everything that is left.
    fn finish(&mut self, ring: &Ring<T>) {
        let mut sender = ring.sender().unwrap();
        let tail = sender.position();
        self.began(tail);
        // Nobody has noticed the last deaths: they do not hold it back.
        for position in tail..tail + 3 * ring.capacity() {
            sender.send_timeout(T::told(position), LONG).unwrap();
        }
        let end = sender.position();
        let start = |_| ring.receiver_from(Start::Oldest).unwrap();
        let mut receivers: Vec<_> = (1..ring.seats()).map(start).collect();
        sender.try_send(T::told(end)).ok();
        for receiver in &mut receivers {
            for position in receiver.position()..sender.position() {
                match receiver.try_recv() {
                    Ok(message) => assert_eq!(message, T::told(position)),
                    Err(TryRecvError::Lagged(_)) if !ring.is_lossless() => break,
                    other => panic!("{other:?}"),
                }
            }
        }
        self.totals.sent = tail;
        for notes in &self.journals.all()[1..] {
            self.totals.got += notes.got.get();
            self.totals.missed += notes.missed.get();
        }
    }
}

impl<T: Told> Drop for Campaign<'_, T> {
    fn drop(&mut self) {
        for life in self.lives.iter_mut().filter_map(Option::take) {
            let _ = kill(life, Signal::SIGKILL);
            let _ = waitpid(life, None);
        }
    }
}

/// A new ring of any small capacity, and its kills.
fn round<T: Told>(plan: &Plan, kills: u64, mut random: Random) -> Totals {
    let options = Ring::<T>::options()
        .capacity(2 << random.below(6))
        .lossless(plan.lossless)
        .seats(1 + RECEIVERS as u64)
        .spin(Duration::from_nanos(200))
        .yielding(Duration::from_micros(5))
        .slice(Duration::from_millis(2));
    let site = Site::new(plan.place, &options);
    let open = || site.open();
    let mut campaign = Campaign {
        open: &open,
        journals: Journals::new(),
        random,
        lives: [None; 1 + RECEIVERS],
        tail: (0, 0),
        totals: Totals::default(),
    };
    campaign.run(kills);
    campaign.finish(&site.ring);
    campaign.totals
}

/// Runs a campaign, on one ring after the other; the accounts must fit all along.
pub fn run<T: Told>(plan: &Plan, news: &mut dyn FnMut(&Totals)) -> Totals {
    let (mut all, mut random) = (Totals::default(), Random(plan.seed));
    loop {
        let left = plan.kills.saturating_sub(all.kills.iter().sum());
        if left == 0 {
            return all;
        }
        let round = round::<T>(plan, left.min(ROUND), Random(random.next()));
        all = Totals {
            kills: [all.kills[0] + round.kills[0], all.kills[1] + round.kills[1]],
            sent: all.sent + round.sent,
            got: all.got + round.got,
            missed: all.missed + round.missed,
            unawares: all.unawares + round.unawares,
        };
        news(&all);
    }
}
