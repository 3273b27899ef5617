//! The ring that people would write today: memory from `shared_memory`, a mutex and two
//! events from `raw_sync`, which are POSIX threads' mutexes and condition variables.
//!
//! ```text
//!   [ mutex | 128: filled | 256: emptied | 384: tail, head ]   a page, then the slots
//! ```
//!
//! Under the mutex a message is copied and a count moves; an event is set when the ring
//! was empty, or full. Polling, the events are `raw_sync`'s busy ones. A ring whose maker is
//! killed before both ends are open leaves its name.
#![allow(unsafe_code)]

use std::time::Duration;

use raw_sync::Timeout;
use raw_sync::events::{BusyEvent, Event, EventImpl, EventInit, EventState};
use raw_sync::locks::{LockImpl, LockInit, Mutex};
use shared_memory::{Shmem, ShmemConf};

use crate::Error;
use crate::spin::Spin;
use crate::transport::whole::{Mechanism, Receives, Sends};
use crate::transport::{Route, Shape, Site, Ticket, name};

/// A mutex, two events, two counts and slots.
pub struct RawSync;

const NAME: &str = "ring of shared_memory and raw_sync";

const FILLED: usize = 128;
const EMPTIED: usize = 256;
const COUNTS: usize = 384;
const DATA: usize = 4096;

/// How long to wait for a peer that may have been killed, before looking. Whole seconds: of
/// anything less `raw_sync` makes a time with more than 10^9 nanoseconds, now and then,
/// which the C library refuses.
const SLICE: Duration = Duration::from_secs(1);
/// The same for busy events, which hold the processor.
const BUSY_SLICE: Duration = Duration::from_micros(20);

impl Mechanism for RawSync {
    fn create(size: usize, shape: Shape) -> Result<Route, Error> {
        let name = format!("/{}", name::random());
        let conf = ShmemConf::new().os_id(&name).size(DATA + shape.capacity * size);
        let memory = conf.create().map_err(|error| lacking(&error))?;
        // SAFETY: new memory, all zero, that nobody else knows of yet: a page and more.
        let made = unsafe { Mutex::new(memory.as_ptr(), memory.as_ptr()) };
        made.map_err(|error| lacking(&*error))?;
        for at in [FILLED, EMPTIED] {
            let place = memory.as_ptr().wrapping_add(at);
            let make = if shape.polling { BusyEvent::new } else { Event::new };
            // SAFETY: as above; 128 bytes each.
            let made = unsafe { make(place, true) };
            made.map_err(|error| lacking(&*error))?;
        }
        let ticket = || Ticket::named(&name);
        // Its maker's handle removes the name.
        Ok(Route { send: ticket(), recv: ticket(), keep: Some(Box::new(memory)) })
    }

    fn sender(ticket: Ticket, site: &Site, size: usize) -> Result<Box<dyn Sends>, Error> {
        Ok(Box::new(End::attach(ticket, site, size)?))
    }

    fn receiver(ticket: Ticket, site: &Site, size: usize) -> Result<Box<dyn Receives>, Error> {
        Ok(Box::new(End::attach(ticket, site, size)?))
    }
}

fn lacking(error: &dyn std::error::Error) -> Error {
    Error::Unavailable(format!("{NAME}: {error}"))
}

fn failed(error: Box<dyn std::error::Error>) -> Error {
    Error::Transport { transport: NAME, reason: error.to_string() }
}

/// Either end.
struct End {
    mutex: Box<dyn LockImpl>,
    filled: Box<dyn EventImpl>,
    emptied: Box<dyn EventImpl>,
    capacity: u64,
    size: usize,
    polling: bool,
    spin: Spin,
    /// Unmapped last.
    _memory: Shmem,
}

/// Messages sent and received; read and written under the mutex.
#[derive(Clone, Copy)]
#[repr(C)]
struct Counts {
    tail: u64,
    head: u64,
}

impl End {
    fn attach(ticket: Ticket, site: &Site, size: usize) -> Result<End, Error> {
        let memory = ShmemConf::new().os_id(ticket.into_name()?).open();
        let memory = memory.map_err(|error| failed(error.into()))?;
        let base = memory.as_ptr();
        let Shape { capacity, polling, .. } = site.shape;
        if memory.len() < DATA + capacity * size {
            return Err(Error::Spec("the ring is too short".into()));
        }
        // SAFETY: initialised there when the ring was made; mapped as long as this end.
        let (mutex, _) = unsafe { Mutex::from_existing(base, base) }.map_err(failed)?;
        let event = |at| {
            let find = if polling { BusyEvent::from_existing } else { Event::from_existing };
            // SAFETY: as above.
            unsafe { find(base.wrapping_add(at)) }.map(|(event, _)| event).map_err(failed)
        };
        let (filled, emptied) = (event(FILLED)?, event(EMPTIED)?);
        let (capacity, spin) = (capacity as u64, site.spin());
        Ok(End { mutex, filled, emptied, capacity, size, polling, spin, _memory: memory })
    }

    /// Under the mutex: whether `ready`, and if so what `act` makes of the memory.
    fn attempt(
        &self,
        ready: impl Fn(Counts) -> bool,
        act: impl FnOnce(*mut u8, &mut Counts),
    ) -> Result<Option<Counts>, Error> {
        let guard = loop {
            match self.mutex.try_lock(Timeout::Val(SLICE)) {
                Ok(guard) => break guard,
                // It does not say why; a slice has passed.
                Err(_) => self.spin.interrupted()?,
            }
        };
        let base = *guard;
        let counts = base.wrapping_add(COUNTS).cast::<Counts>();
        // SAFETY: inside the mapping, aligned, any bits are counts, and this process holds
        // the mutex.
        let before = unsafe { counts.read() };
        if !ready(before) {
            return Ok(None);
        }
        let mut after = before;
        act(base, &mut after);
        // SAFETY: as above.
        unsafe { counts.write(after) };
        Ok(Some(before))
    }

    fn slot(&self, base: *mut u8, position: u64) -> *mut u8 {
        base.wrapping_add(DATA + (position % self.capacity) as usize * self.size)
    }

    fn wait(&self, event: &dyn EventImpl) -> Result<(), Error> {
        let slice = if self.polling { BUSY_SLICE } else { SLICE };
        if event.wait(Timeout::Val(slice)).is_err() {
            std::thread::yield_now();
            self.spin.interrupted()?;
        }
        Ok(())
    }
}

impl Sends for End {
    fn send(&mut self, message: &[u8]) -> Result<(), Error> {
        let len = message.len().min(self.size);
        let room = |counts: Counts| counts.tail - counts.head < self.capacity;
        loop {
            let sent = self.attempt(room, |base, counts| {
                let slot = self.slot(base, counts.tail);
                // SAFETY: `size` bytes inside the mapping, free, under the mutex; `message`
                // is private memory.
                unsafe { std::ptr::copy_nonoverlapping(message.as_ptr(), slot, len) };
                counts.tail += 1;
            })?;
            match sent {
                Some(counts) if counts.tail == counts.head => {
                    return self.filled.set(EventState::Signaled).map_err(failed);
                }
                Some(_) => return Ok(()),
                None => self.wait(&*self.emptied)?,
            }
        }
    }
}

impl Receives for End {
    fn recv(&mut self, message: &mut [u8]) -> Result<(), Error> {
        let len = message.len().min(self.size);
        loop {
            let received = self.attempt(
                |counts| counts.tail != counts.head,
                |base, counts| {
                    let slot = self.slot(base, counts.head);
                    // SAFETY: `size` bytes inside the mapping, full, under the mutex;
                    // `message` is private memory.
                    unsafe { std::ptr::copy_nonoverlapping(slot, message.as_mut_ptr(), len) };
                    counts.head += 1;
                },
            )?;
            match received {
                Some(counts) if counts.tail - counts.head == self.capacity => {
                    return self.emptied.set(EventState::Signaled).map_err(failed);
                }
                Some(_) => return Ok(()),
                None => self.wait(&*self.filled)?,
            }
        }
    }
}
