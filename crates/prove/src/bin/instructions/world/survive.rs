//! What the survivors do, and whether they can.
//!
//! Imports: ends, ledger, site, verbs.

use std::time::{Duration, Instant};

use annulus::Error;

use super::{SOON, World, expect};
use crate::ends::{Got, Rx, Tx};
use crate::ledger::{id, source};
use crate::site::SLICE;
use crate::verbs::{CAPACITY, Company, Kind, Verb};

impl World<'_> {
    /// The survivors go on, and the account is made. `newcomer_first`: before the survivors
    /// have looked.
    pub fn survive(mut self, newcomer_first: bool) -> Result<(), String> {
        if self.waiter.is_some() {
            return self.survive_with_a_waiter();
        }
        if self.cell.kind == Kind::Stream {
            return self.survive_a_pipe();
        }
        if !newcomer_first {
            self.drain()?;
        }
        let (sends, many) = (self.cell.verb.sends(), self.cell.kind == Kind::Mpmc);
        let mut tx = match self.tx.take() {
            Some(tx) if !(sends && many) => tx,
            other => {
                // Its own seat too is still good.
                let tx = soon(|| self.site.ring.sender())?;
                self.tx = other;
                tx
            }
        };
        let mut heir = None;
        if self.rx.is_none() {
            self.rx = Some(soon(|| self.site.ring.receiver())?);
        } else if !sends {
            heir = Some(soon(|| self.site.ring.receiver())?);
        }
        self.drain()?;
        let through = 2 * CAPACITY + 3;
        for n in 0..through {
            self.pass(&mut *tx, id(source::SUCCESSOR, n), &mut heir)?;
        }
        self.rival_send()?;
        self.settle(&mut heir)?;
        if self.cell.kind.casts() {
            let sent = tx.position() - self.began;
            let got = self.ledger.got.get(&0).map_or(0, Vec::len) as u64 + self.ledger.lags;
            // Whoever came late has not seen the beginning.
            if !self.ledger.got.is_empty() && got != sent && self.saw_all() {
                return Err(format!("{sent} positions, but {got} got or missed"));
            }
        }
        if !self.saw_all() {
            return Ok(());
        }
        self.ledger.judge(self.cell.kind, false)
    }

    /// Whether the survivors' receiver was there from the beginning.
    fn saw_all(&self) -> bool {
        !self.cell.kind.casts() || !matches!(self.cell.company, Company::Second(Verb::NoticeRx))
    }

    /// One message more: sent, and what there is received. Of an mpmc ring what a dead one held
    /// can take up the room until a receiver has waited.
    fn pass(
        &mut self,
        tx: &mut dyn Tx,
        id: u64,
        heir: &mut Option<Box<dyn Rx>>,
    ) -> Result<(), String> {
        let began = Instant::now();
        let mut time = Duration::ZERO;
        loop {
            match tx.send(id, 2 * time)? {
                Got::Message(..) => break,
                Got::Nothing if began.elapsed() < SOON => {}
                other => return Err(format!("wedged: no room for {id:#x}: {other:?}")),
            }
            // The dead are looked for once a slice.
            time = SLICE;
            if let Some(heir) = heir
                && !self.cell.kind.casts()
            {
                let got = heir.recv(time)?;
                self.note_heir(got);
            }
            self.take(time)?;
        }
        self.ledger.must.insert(id);
        if let Some(heir) = heir
            && (self.cell.kind.casts() || id.is_multiple_of(2))
        {
            let got = heir.recv(Duration::ZERO)?;
            self.note_heir(got);
            if got == Got::Nothing && self.cell.kind.casts() {
                return Err(format!("wedged: nothing for a newcomer after {id:#x}"));
            }
        }
        self.drain()
    }

    fn note_heir(&mut self, got: Got) {
        if let Got::Message(id, marked) = got
            && !self.cell.kind.casts()
        {
            self.ledger.got.entry(1).or_default().push((id, marked));
        }
    }

    /// Receives what is there now.
    pub(super) fn drain(&mut self) -> Result<(), String> {
        loop {
            match self.take(Duration::ZERO)? {
                Got::Message(..) | Got::Lag(_) => {}
                Got::Nothing | Got::Closed | Got::Died => return Ok(()),
            }
        }
    }

    /// Receives what is there, and what comes of the dead within some slices.
    pub(super) fn settle(&mut self, heir: &mut Option<Box<dyn Rx>>) -> Result<(), String> {
        let many = self.cell.kind == Kind::Mpmc;
        let time = if many { 4 * SLICE } else { Duration::ZERO };
        let began = Instant::now();
        while began.elapsed() < SOON {
            let mut more = false;
            if let Some(heir) = heir {
                let got = heir.recv(Duration::ZERO)?;
                more = matches!(got, Got::Message(..) | Got::Lag(_));
                self.note_heir(got);
            }
            let got = self.take(if more { Duration::ZERO } else { time })?;
            more |= matches!(got, Got::Message(..) | Got::Lag(_));
            if !more && (self.cell.kind.casts() || !self.ledger.lacks()) {
                return Ok(());
            }
        }
        // The account says what is missing.
        Ok(())
    }

    /// A stream ends with the death of either side, once it was seen there.
    fn survive_a_pipe(mut self) -> Result<(), String> {
        let sends = self.cell.verb.sends();
        let dead = self.ledger.dead.first().is_some_and(|dead| dead.attached());
        let came = !self.cell.verb.comes();
        let began = Instant::now();
        let until = |what: &str| match began.elapsed() > SOON {
            true => Err(format!("hang: {what}")),
            false => Ok(()),
        };
        // A newcomer who died before he had the seat has not been there.
        let again = if sends {
            self.site.ring.sender().map(|tx| self.tx = Some(tx))
        } else {
            self.site.ring.receiver().map(|rx| self.rx = Some(rx))
        };
        let over = match again {
            Ok(()) if came || dead => return Err("a stream's seat was taken twice".into()),
            Ok(()) => false,
            Err(Error::Over { .. }) => true,
            Err(error) => return Err(format!("a stream's seat: {error}")),
        };
        if !over {
            for n in 0..2 * CAPACITY + 3 {
                let id = id(source::SUCCESSOR, n);
                let tx = self.tx.as_mut().ok_or("nobody sends")?;
                expect("wedged", tx.send(id, SOON))?;
                self.ledger.must.insert(id);
                expect("wedged", self.take(SOON))?;
            }
            return self.ledger.judge(self.cell.kind, false);
        }
        if sends {
            let end = loop {
                let got = self.take(2 * SLICE)?;
                if got.is_over() {
                    break got;
                }
                until("a receiver is not told of the end")?;
            };
            if end == Got::Closed && self.cell.verb != Verb::LeaveTx {
                return Err("a receiver is told that this was all, though the sender died".into());
            }
            return self.ledger.judge(self.cell.kind, false);
        }
        let mut n = self.rivals;
        let tx = self.tx.as_mut().ok_or("nobody sends")?;
        while !tx.send(id(source::RIVAL, n), 2 * SLICE)?.is_over() {
            n += 1;
            until("a sender is not told of the end")?;
        }
        self.ledger.judge(self.cell.kind, true)
    }
}

/// A seat that a dead one had is to be had soon.
pub(super) fn soon<T>(mut take: impl FnMut() -> Result<T, Error>) -> Result<T, String> {
    let began = Instant::now();
    loop {
        match take() {
            Ok(taken) => return Ok(taken),
            Err(Error::SeatTaken { .. } | Error::NoSeat { .. }) if began.elapsed() < SOON => {
                std::thread::sleep(Duration::from_micros(200));
            }
            Err(error) => return Err(format!("a dead one's seat: {error}")),
        }
    }
}
