//! The two processes, and the steps they take together.

use std::os::fd::{AsRawFd, RawFd};
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::{nanos, ticks};
use crate::control::{Control, Op, Request};
use crate::cores::Cores;
pub use crate::ends::Proof;
use crate::ends::Runs;
use crate::raw::{self, Caller, Lines};
use crate::spin::Spin;
use crate::watchdog::Watchdog;
use crate::{Error, Lane, child, cores, peer};

/// This process and its peer, pinned, with the lanes between them.
///
/// Each method is one step that both take; times are this process's.
pub struct Pair {
    lanes: Vec<Box<dyn Runs>>,
    control: Arc<Control>,
    cores: Cores,
    /// Steps asked for so far.
    step: u64,
    /// Numbers given to raw round trips so far.
    calls: u64,
    /// Nanoseconds of processor time that the last step has cost this process.
    spent: u64,
    _watchdog: Watchdog,
    child: Arc<Mutex<Child>>,
}

/// How a pair is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Arguments for the peer's executable, which must lead to [`peer::enter`].
    pub args: Vec<String>,
    /// How long both may stand still before the watchdog ends it.
    pub limit: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options { args: Vec::new(), limit: Duration::from_secs(5) }
    }
}

impl Pair {
    /// Makes the lanes and starts the peer; pins the calling thread.
    pub fn start(lanes: &[Lane]) -> Result<Pair, Error> {
        Pair::start_with(lanes, &Options::default())
    }

    /// The same with options.
    pub fn start_with(lanes: &[Lane], options: &Options) -> Result<Pair, Error> {
        Pair::start_on(Cores::choose()?, lanes, options)
    }

    /// The same on these cores: whoever starts pairs one after the other chooses once,
    /// since he is pinned from the first one on.
    pub fn start_on(cores: Cores, lanes: &[Lane], options: &Options) -> Result<Pair, Error> {
        let control = Arc::new(Control::create()?);
        let mut fds: Vec<RawFd> = vec![control.fd().as_raw_fd()];
        let mut description = format!("{};{}", control.fd().as_raw_fd(), cores.peer);
        let mut made = lanes.iter().map(Lane::make).collect::<Result<Vec<_>, _>>()?;
        for (lane, made) in lanes.iter().zip(&made) {
            description.push(';');
            description += &peer::write_lane(lane, &made.peer, &mut fds);
        }
        let child = Arc::new(Mutex::new(child::start(&description, &options.args, fds)?));
        cores::pin(cores.lead)?;
        let watchdog = Watchdog::start(Arc::clone(&control), Arc::clone(&child), options.limit);
        let mut pair = Pair {
            lanes: Vec::new(),
            control,
            cores,
            step: 0,
            calls: 0,
            spent: 0,
            _watchdog: watchdog,
            child,
        };
        // The peer's ends are closed here, so that either process notices the other's end.
        let kept: Vec<_> = made.iter_mut().map(|made| std::mem::take(&mut made.keep)).collect();
        for (lane, made) in lanes.iter().zip(made) {
            pair.lanes.push(lane.take(made.lead, &pair.control)?);
        }
        pair.step = 1;
        pair.working(|pair, step| pair.wait(|control| control.finished(step)))?;
        drop(kept);
        Ok(pair)
    }

    /// Where the two run.
    pub fn cores(&self) -> Cores {
        self.cores
    }

    /// The peer's process id.
    pub fn peer_id(&self) -> u32 {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).id()
    }

    /// How often other programs have taken either core from us, up to this process's
    /// present and the peer's last step.
    pub fn interruptions(&self) -> u64 {
        cores::interruptions() + self.control.peer_interruptions()
    }

    /// Nanoseconds of processor time that the last step has cost this process and the
    /// peer, polling and work in the kernel included.
    pub fn spent(&self) -> Result<[u64; 2], Error> {
        let mut spin = Spin::new(&self.control);
        loop {
            match self.control.spent(self.step) {
                Some(peer) => return Ok([self.spent, peer]),
                None => spin.empty()?,
            }
        }
    }

    /// Raw round trips: `each` of them for each of `batches` figures, in nanoseconds
    /// for one round trip.
    pub fn lines(&mut self, lines: Lines, batches: usize, each: u64) -> Result<Vec<f64>, Error> {
        let (first, count) = (self.calls, batches as u64 * each);
        self.calls += count;
        let op = if lines == Lines::Two { Op::TwoLine } else { Op::OneLine };
        let mut times = vec![0; batches];
        self.together(op, [0, first, count, 0, 0], |pair, _| {
            let mut caller = Caller::new(&pair.control, lines, Spin::new(&pair.control));
            let (mut last, mut number) = (ticks(), first);
            for time in &mut times {
                for _ in 0..each {
                    caller.call(number)?;
                    number += 1;
                }
                let now = ticks();
                *time = now - last;
                last = now;
            }
            Ok(())
        })?;
        Ok(per(&times, each))
    }

    /// Both increment one word `times` times: nanoseconds for one increment of either.
    pub fn fetch_add(&mut self, times: u64) -> Result<f64, Error> {
        self.timed(Op::FetchAdd, [0, 0, times, 0, 0], |pair, _| {
            raw::increment(&pair.control, times);
            Ok(())
        })
        .map(|nanos| nanos / (2 * times) as f64)
    }

    /// `count` messages to the peer, which checks them: nanoseconds for one message,
    /// until the last one is checked. More than one in a `batch` goes by `send_many`.
    pub fn one_way(&mut self, lane: usize, count: u64, batch: usize) -> Result<f64, Error> {
        let args = [lane as u64, 0, count, batch as u64, 0];
        self.timed(Op::Receive, args, |pair, step| pair.lanes[lane].send(step, count, batch))
            .map(|nanos| nanos / count as f64)
    }

    /// Messages there and back: `each` of them for each of `batches` figures, in
    /// nanoseconds for one round trip.
    pub fn round_trips(
        &mut self,
        lane: usize,
        batches: usize,
        each: u64,
    ) -> Result<Vec<f64>, Error> {
        let mut times = vec![0; batches];
        let args = [lane as u64, 0, batches as u64 * each, 0, 0];
        self.together(Op::Echo, args, |pair, step| pair.lanes[lane].call(step, each, &mut times))?;
        Ok(per(&times, each))
    }

    /// Moves these bytes to the peer, cut into the lane's messages: nanoseconds for
    /// all of them, and the receiver's proof that they arrived.
    pub fn file(&mut self, lane: usize, bytes: &[u8], proof: Proof) -> Result<(f64, u64), Error> {
        let args = [lane as u64, 0, bytes.len() as u64, 0, proof as u64];
        let nanos = self
            .timed(Op::ReceiveFile, args, |pair, step| pair.lanes[lane].send_file(step, bytes))?;
        Ok((nanos, self.control.result()))
    }

    /// Sends `intact` messages and then one with a flipped bit in this word. It must
    /// end with [`Error::Peer`]; that it does is what tests ask.
    pub fn send_damaged(&mut self, lane: usize, intact: u64, word: usize) -> Result<(), Error> {
        let args = [lane as u64, 0, intact + 1, 1, 0];
        self.together(Op::Receive, args, |pair, step| {
            pair.lanes[lane].send(step, intact, 1)?;
            pair.lanes[lane].send_damaged(word)
        })
    }

    /// One step: asks the peer, waits until it stands ready, does this side's part,
    /// and waits until the peer has done its own.
    fn together(
        &mut self,
        op: Op,
        args: [u64; 5],
        part: impl FnOnce(&mut Pair, u64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.step += 1;
        self.working(|pair, step| {
            pair.control.ask(step, Request { op, args });
            pair.wait(|control| control.is_ready(step))?;
            let before = cores::processor_time();
            part(pair, step)?;
            pair.spent = cores::processor_time().saturating_sub(before);
            pair.wait(|control| control.finished(step))
        })
    }

    /// A step and its time in nanoseconds, from the peer standing ready to it being done.
    fn timed(
        &mut self,
        op: Op,
        args: [u64; 5],
        part: impl FnOnce(&mut Pair, u64) -> Result<(), Error>,
    ) -> Result<f64, Error> {
        let mut start = 0;
        self.together(op, args, |pair, step| {
            start = ticks();
            part(pair, step)
        })?;
        Ok(nanos(ticks() - start))
    }

    /// Runs this side's part of a step under the watchdog's eyes; the peer's own
    /// reason for a failure wins over what this side saw of it.
    fn working(
        &mut self,
        part: impl FnOnce(&mut Pair, u64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let step = self.step;
        self.control.progress(step, 0);
        self.control.busy(true);
        let result = part(self, step);
        self.control.busy(false);
        result.map_err(|error| {
            // A reset end is seen here sooner than the reason for it.
            let patience = Instant::now() + Duration::from_millis(500);
            while Instant::now() < patience && matches!(error, Error::Disconnected { .. }) {
                if let Err(reason) = self.control.check() {
                    return reason;
                }
                std::thread::yield_now();
            }
            self.control.check().err().unwrap_or(error)
        })
    }

    fn wait(&self, done: impl Fn(&Control) -> bool) -> Result<(), Error> {
        let mut spin = Spin::new(&self.control);
        while !done(&self.control) {
            spin.empty()?;
        }
        Ok(())
    }
}

/// Ticks for `each` round trips as nanoseconds for one.
fn per(times: &[u64], each: u64) -> Vec<f64> {
    times.iter().map(|&ticks| nanos(ticks) / each as f64).collect()
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.control.ask(self.step + 1, Request { op: Op::Quit, args: [0; 5] });
        let patience = Instant::now() + Duration::from_secs(1);
        loop {
            let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            if Instant::now() > patience {
                let _ = child.kill();
                let _ = child.wait();
                return;
            }
            drop(child);
            std::thread::yield_now();
        }
    }
}
