//! What a rival must be able to do: a few verbs, and one small file for each.
//!
//! ```text
//!   Threads    both ends are made at once, then each goes to its thread
//!   Processes  each end is taken by its own process, at a place that both know
//!   Blocks     large messages: copied into their place once, read where they lie
//! ```
//!
//! Nobody blocks in the kernel: `try_*` that fails is tried again, after a `pause`. Who has
//! a way of its own to wait actively overrides `send` and `recv`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::board::{Board, Waiter};

/// The sending end, for messages of `W` words.
pub trait Sending<const W: usize> {
    /// Sends it if there is room.
    fn try_send(&mut self, message: &[u64; W]) -> Result<bool>;

    /// Sends the first of these messages: how many.
    fn try_send_many(&mut self, messages: &[[u64; W]]) -> Result<usize>;

    /// Sends it, once there is room.
    #[inline(always)]
    fn send(&mut self, message: &[u64; W], board: &Board) -> Result<()> {
        let mut waiter = Waiter::new(board);
        while !self.try_send(message)? {
            waiter.pause()?;
        }
        Ok(())
    }

    /// Sends all of them.
    #[inline(always)]
    fn send_many(&mut self, mut messages: &[[u64; W]], board: &Board) -> Result<()> {
        let mut waiter = Waiter::new(board);
        while !messages.is_empty() {
            match self.try_send_many(messages)? {
                0 => drop(waiter.pause()?),
                sent => messages = &messages[sent..],
            }
        }
        Ok(())
    }
}

/// The receiving end.
pub trait Receiving<const W: usize> {
    /// Copies the next message out, if there is one.
    fn try_recv(&mut self, message: &mut [u64; W]) -> Result<bool>;

    /// Copies out as many as there are and have room: how many.
    fn try_recv_many(&mut self, messages: &mut [[u64; W]]) -> Result<usize>;

    /// Copies the next message out, once there is one; `false` when `over` says that none
    /// will come.
    #[inline(always)]
    fn recv(
        &mut self,
        message: &mut [u64; W],
        board: &Board,
        mut over: impl FnMut() -> bool,
    ) -> Result<bool> {
        let mut waiter = Waiter::new(board);
        while !self.try_recv(message)? {
            if waiter.pause()? && over() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Copies out at least one; none when `over` says that none will come.
    #[inline(always)]
    fn recv_many(
        &mut self,
        messages: &mut [[u64; W]],
        board: &Board,
        mut over: impl FnMut() -> bool,
    ) -> Result<usize> {
        let mut waiter = Waiter::new(board);
        loop {
            match self.try_recv_many(messages)? {
                0 if waiter.pause()? && over() => return Ok(0),
                0 => {}
                got => return Ok(got),
            }
        }
    }
}

/// Between threads.
pub trait Threads {
    type Sender<const W: usize>: Sending<W> + Send + 'static;
    type Receiver<const W: usize>: Receiving<W> + Send + 'static;

    /// Makes so many ends of one direction.
    #[expect(clippy::type_complexity, reason = "just the ends")]
    fn make<const W: usize>(shape: Shape)
    -> Result<(Vec<Self::Sender<W>>, Vec<Self::Receiver<W>>)>;
}

/// How a direction is built.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub capacity: usize,
    pub senders: usize,
    pub receivers: usize,
}

/// Between processes.
pub trait Processes {
    type Sender<const W: usize>: Sending<W>;
    type Receiver<const W: usize>: Receiving<W>;

    fn sender<const W: usize>(place: &Place) -> Result<Self::Sender<W>>;
    fn receiver<const W: usize>(place: &Place) -> Result<Self::Receiver<W>>;
}

/// Between processes, for messages so large that nobody wants them copied twice.
pub trait Blocks {
    type Sender: BlockSending;
    type Receiver: BlockReceiving;

    fn sender(place: &Place, size: usize) -> Result<Self::Sender>;
    fn receiver(place: &Place, size: usize) -> Result<Self::Receiver>;
}

/// The sending end of blocks.
pub trait BlockSending {
    /// Copies the bytes to where the receiver will read them, and hands them over: whether
    /// there was room.
    fn try_send(&mut self, block: &[u8]) -> Result<bool>;
}

/// The receiving end of blocks.
pub trait BlockReceiving {
    /// Lets the next block be looked at where it lies, if there is one, then frees it.
    fn try_recv(&mut self, look: impl FnOnce(&[u8])) -> Result<bool>;
}

/// Where the processes find one direction: a folder of their own in shared memory. The
/// first sender makes what is needed there; the others wait until it is published.
#[derive(Clone, Debug)]
pub struct Place {
    pub folder: PathBuf,
    /// There, or back.
    pub lane: usize,
    pub shape: Shape,
    /// Which of its kind this end is.
    pub index: usize,
}

/// How long an end waits for another one's making.
const PATIENCE: Duration = Duration::from_secs(20);

impl Place {
    /// Whether this end, if it is a sender's, makes what both need.
    pub fn first(&self) -> bool {
        self.index == 0
    }

    /// A name for this direction that no other on the machine has.
    pub fn name(&self) -> String {
        let folder = self.folder.file_name().unwrap_or_default().to_string_lossy();
        format!("{folder}-{}", self.lane)
    }

    /// A path in the folder.
    pub fn path(&self, what: &str) -> PathBuf {
        self.folder.join(format!("{what}-{}", self.lane))
    }

    /// Tells the others something under a name, complete or not at all.
    pub fn publish(&self, what: &str, text: &str) -> Result<()> {
        let making = self.path(&format!("{what}.new"));
        fs::write(&making, text)?;
        fs::rename(making, self.path(what))?;
        Ok(())
    }

    /// What was published under this name, once it is there.
    pub fn published(&self, what: &str) -> Result<String> {
        wait_for(&self.path(what))?;
        Ok(fs::read_to_string(self.path(what))?)
    }
}

fn wait_for(path: &Path) -> Result<()> {
    let start = Instant::now();
    while !path.exists() {
        if start.elapsed() > PATIENCE {
            bail!("nobody made {path:?}");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
