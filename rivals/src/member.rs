//! One member of a team: a process of its own, or a thread of the team's process. Waits for
//! orders, works, says what came of it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use annulus_measure::cores;
use anyhow::{Context, Result, bail};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::getppid;

use crate::board::{Board, Order, Outcome};
use crate::rival::{Blocks, Place, Processes, Receiving, Sending, Shape, Threads};
use crate::roster::{self, Between, Case, Part, Skill, Subject};
use crate::task::{self, Hands, Task, end};
use crate::{
    annulus, disruptor, iceoryx2, ipc_channel, queues, raw, ringbuf, ringfire, rtrb, shaq,
    shmem_ipc, thingbuf,
};

/// Where a child finds its role: `parent|folder|subject|case|core,core..|member`.
pub const ROLE: &str = "ANNULUS_RIVALS_ROLE";

/// Plays the role that this process was started with, if any.
pub fn enter() -> Option<ExitCode> {
    let text = std::env::var(ROLE).ok()?;
    let code = match Role::read(&text) {
        Ok(role) => role.play(),
        Err(error) => {
            eprintln!("a team's member: {error:#}");
            ExitCode::FAILURE
        }
    };
    Some(code)
}

struct Role {
    folder: PathBuf,
    subject: &'static Subject,
    case: &'static Case,
    cores: Vec<usize>,
    /// All of them in threads.
    me: usize,
}

impl Role {
    fn read(text: &str) -> Result<Role> {
        let parts: Vec<&str> = text.split('|').collect();
        let &[parent, folder, subject, case, cores, me] = &parts[..] else {
            bail!("cannot read {text:?}");
        };
        set_pdeathsig(Signal::SIGKILL)?;
        // It may have ended before the line above: then nobody would send the signal.
        if getppid().to_string() != parent {
            bail!("the measuring process is gone");
        }
        Ok(Role {
            folder: folder.into(),
            subject: roster::subject(subject).context("no such subject")?,
            case: roster::case(case).context("no such case")?,
            cores: cores.split(',').map(str::parse).collect::<Result<_, _>>()?,
            me: me.parse()?,
        })
    }

    fn play(&self) -> ExitCode {
        let board = match Board::open(&board_path(&self.folder)) {
            Ok(board) => board,
            Err(error) => {
                eprintln!("a team's member has no board: {error:#}");
                return ExitCode::FAILURE;
            }
        };
        match self.dispatch(&board) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                board.fail(&format!("{error:#}"));
                ExitCode::FAILURE
            }
        }
    }

    fn dispatch(&self, board: &Board) -> Result<()> {
        match self.case.size {
            _ if self.case.skill == Skill::Block => self.blocks_of(board),
            _ if self.subject.part == Part::Raw => {
                self.process::<raw::Raw, { raw::CHUNK / 8 }>(board)
            }
            8 => self.words_of::<1>(board),
            64 => self.words_of::<8>(board),
            1024 => self.words_of::<128>(board),
            size => bail!("no messages of {size} bytes"),
        }
    }

    fn words_of<const W: usize>(&self, board: &Board) -> Result<()> {
        let many = matches!(self.case.skill, Skill::Many | Skill::ManyBatch);
        match (self.subject.name, many) {
            ("annulus", false) => self.process::<annulus::Spsc, W>(board),
            ("annulus", true) => self.process::<annulus::Mpmc, W>(board),
            ("annulus-threads", false) => self.threads::<annulus::Spsc, W>(board),
            ("annulus-threads", true) => self.threads::<annulus::Mpmc, W>(board),
            ("rtrb", _) => self.threads::<rtrb::Rtrb, W>(board),
            ("crossbeam-channel", _) => self.threads::<queues::Crossbeam, W>(board),
            ("ArrayQueue", _) => self.threads::<queues::Array, W>(board),
            ("kanal", _) => self.threads::<queues::Kanal, W>(board),
            ("shaq", false) => self.process::<shaq::Spsc, W>(board),
            ("shaq", true) => self.process::<shaq::Mpmc, W>(board),
            ("iceoryx2", _) => self.process::<iceoryx2::Iceoryx2, W>(board),
            ("ringbuf", _) => self.threads::<ringbuf::Ringbuf, W>(board),
            ("disruptor", _) => self.threads::<disruptor::Disruptor, W>(board),
            ("thingbuf", _) => self.threads::<thingbuf::Thingbuf, W>(board),
            ("ringfire", false) => self.process::<ringfire::Spmc, W>(board),
            ("ringfire", true) => self.process::<ringfire::Mpmc, W>(board),
            ("shmem-ipc", _) => self.process::<shmem_ipc::ShmemIpc, W>(board),
            ("ipc-channel", _) => self.process::<ipc_channel::IpcChannel, W>(board),
            (other, _) => bail!("{other} sends no words"),
        }
    }

    fn blocks_of(&self, board: &Board) -> Result<()> {
        match self.subject.name {
            "raw" => self.blocks::<raw::Raw>(board),
            "annulus" => self.blocks::<annulus::Lent>(board),
            "annulus-copied" => self.blocks::<annulus::Copied>(board),
            "iceoryx2" => self.blocks::<iceoryx2::Iceoryx2>(board),
            "shmem-ipc" => self.blocks::<shmem_ipc::ShmemIpc>(board),
            "ipc-channel" => self.blocks::<ipc_channel::IpcChannel>(board),
            other => bail!("{other} sends no blocks"),
        }
    }

    fn hands<'a>(&self, board: &'a Board, me: usize) -> Hands<'a> {
        let Case { senders, receivers, .. } = *self.case;
        Hands { board, me, senders, receivers }
    }

    fn shape(&self) -> Shape {
        let Case { senders, receivers, capacity, .. } = *self.case;
        Shape { capacity, senders, receivers }
    }

    fn place(&self, lane: usize, index: usize) -> Place {
        Place { folder: self.folder.clone(), lane, shape: self.shape(), index }
    }

    fn core(&self, me: usize) -> usize {
        self.cores[me % self.cores.len()]
    }

    fn process<P: Processes, const W: usize>(&self, board: &Board) -> Result<()> {
        cores::pin(self.core(self.me))?;
        let hands = self.hands(board, self.me);
        let trip = self.case.skill == Skill::Trip;
        let (mut sender, mut receiver) = (None, None);
        if hands.sends() {
            sender = Some(P::sender::<W>(&self.place(0, self.me))?);
            if trip {
                receiver = Some(P::receiver::<W>(&self.place(1, 0))?);
            }
        } else {
            receiver = Some(P::receiver::<W>(&self.place(0, self.me - hands.senders))?);
            if trip {
                sender = Some(P::sender::<W>(&self.place(1, 0))?);
            }
        }
        serve(hands, self.core(self.me), words(hands, sender, receiver))
    }

    fn threads<T: Threads, const W: usize>(&self, board: &Board) -> Result<()> {
        let (senders, receivers) = T::make::<W>(self.shape())?;
        let mut back = (None, None);
        if self.case.skill == Skill::Trip {
            let (mut senders, mut receivers) = T::make::<W>(self.shape())?;
            back = (senders.pop(), receivers.pop());
        }
        std::thread::scope(|scope| {
            let start = |me, sender: Option<T::Sender<W>>, receiver: Option<T::Receiver<W>>| {
                let (hands, core) = (self.hands(board, me), self.core(me));
                scope.spawn(move || {
                    if let Err(error) = serve(hands, core, words(hands, sender, receiver)) {
                        hands.board.fail(&format!("{error:#}"));
                    }
                });
            };
            let (mut back_sender, mut back_receiver) = back;
            for (me, sender) in senders.into_iter().enumerate() {
                start(me, Some(sender), back_receiver.take());
            }
            for (me, receiver) in (self.case.senders..).zip(receivers) {
                start(me, back_sender.take(), Some(receiver));
            }
        });
        Ok(())
    }

    fn blocks<B: Blocks>(&self, board: &Board) -> Result<()> {
        let (hands, size, core) = (self.hands(board, self.me), self.case.size, self.core(self.me));
        cores::pin(core)?;
        if hands.sends() {
            let mut sender = B::sender(&self.place(0, 0), size)?;
            let mut block = vec![0; size];
            serve(hands, core, |_, order| task::send_blocks(hands, order, &mut block, &mut sender))
        } else {
            let mut receiver = B::receiver(&self.place(0, 0), size)?;
            serve(hands, core, |_, order| task::receive_blocks(hands, order, size, &mut receiver))
        }
    }
}

/// The team's board.
pub fn board_path(folder: &Path) -> PathBuf {
    folder.join("board")
}

/// A member's work with messages of words.
fn words<const W: usize>(
    hands: Hands<'_>,
    mut sender: Option<impl Sending<W>>,
    mut receiver: Option<impl Receiving<W>>,
) -> impl FnMut(Task, Order) -> Result<Outcome> {
    move |task, order| match task {
        Task::RoundTrip => task::round_trip(hands, order, end(&mut sender)?, end(&mut receiver)?),
        _ if hands.sends() => task::send(hands, order, task == Task::Batch, end(&mut sender)?),
        _ => task::receive(hands, order, task == Task::Batch, end(&mut receiver)?),
    }
}

/// Works until it is told to quit.
fn serve(
    hands: Hands<'_>,
    core: usize,
    mut work: impl FnMut(Task, Order) -> Result<Outcome>,
) -> Result<()> {
    cores::pin(core)?;
    let Hands { board, me, .. } = hands;
    board.be_ready();
    let mut round = 0;
    loop {
        let (now, order) = board.next(round);
        round = now;
        let task = Task::from_word(order.task)?;
        match task {
            Task::Quit => return Ok(()),
            // Not asked; but the next order may be written only when all have read this one.
            Task::Line if me >= 2 => {
                board.finish(me, round, Outcome::default());
                continue;
            }
            _ => {}
        }
        board.line_up(order.arrivals)?;
        let (begin, before) = (now_nanos(), switches());
        let outcome = match task {
            Task::Line => task::line(hands, order)?,
            _ => work(task, order)?,
        };
        let end = now_nanos();
        let switches = switches() - before;
        board.finish(me, round, Outcome { begin, end, switches, ..outcome });
    }
}

/// The monotonic clock, the same in all processes.
fn now_nanos() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC);
    time.map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

/// How often this thread had to leave its core to another.
fn switches() -> u64 {
    let usage = getrusage(UsageWho::RUSAGE_THREAD);
    usage.map_or(0, |usage| usage.involuntary_context_switches().unsigned_abs())
}

/// Where the members of a subject live.
pub fn children(subject: &Subject, case: &Case) -> usize {
    match subject.between {
        Between::Processes => case.senders + case.receivers,
        Between::Threads => 1,
    }
}
