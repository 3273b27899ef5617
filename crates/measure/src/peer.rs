//! The peer process: does as the control segment says.

use std::os::fd::RawFd;
use std::sync::Arc;

use annulus::WaitMethod;

use crate::control::{Control, Op, Request};
use crate::ends::{Proof, Runs};
use crate::lane::{Kind, Lane, Tickets};
use crate::raw::{self, Lines};
use crate::spin::Spin;
use crate::transport::{Shape, Ticket};
use crate::{Error, child, cores, crowd};

/// Becomes the peer if this process was started as one, and then never returns.
/// To be called first in `main` of every binary that measures.
pub fn enter() {
    let Ok(description) = std::env::var(child::PEER) else { return };
    if let Some(member) = description.strip_prefix("crowd;") {
        std::process::exit(crowd::serve(member).into());
    }
    let mut parts = description.split(';');
    let control = number(parts.next()).and_then(|fd| Control::attach(child::inherited(fd)));
    let failed = match control {
        Ok(control) => serve(&Arc::new(control), parts),
        // Nowhere to leave the reason.
        Err(error) => {
            eprintln!("peer process: {error}");
            true
        }
    };
    std::process::exit(failed.into());
}

/// Works until told to quit. Whether it failed; then it has left the reason.
fn serve<'a>(control: &Arc<Control>, parts: impl Iterator<Item = &'a str>) -> bool {
    let result = set_up_and_work(control, parts);
    if let Err(error) = &result {
        control.fail(&error.to_string());
    }
    result.is_err()
}

fn set_up_and_work<'a>(
    control: &Arc<Control>,
    mut parts: impl Iterator<Item = &'a str>,
) -> Result<(), Error> {
    cores::pin(number(parts.next())?)?;
    let mut lanes = parts.map(|lane| read_lane(lane, control)).collect::<Result<Vec<_>, _>>()?;
    // Step 1 is to be there.
    control.finish(1, 0);
    let mut spin = Spin::new(control);
    for step in 2.. {
        control.progress(step, 0);
        let request = loop {
            match control.asked(step) {
                Some(request) => break request,
                None => spin.empty()?,
            }
        };
        if request.op == Op::Quit {
            break;
        }
        let before = cores::processor_time();
        control.ready(step, cores::interruptions());
        let result = work(control, &mut lanes, step, request)?;
        control.finish(step, result);
        control.spend(step, cores::processor_time().saturating_sub(before));
    }
    Ok(())
}

fn work(
    control: &Arc<Control>,
    lanes: &mut [Box<dyn Runs>],
    step: u64,
    Request { op, args: [lane, first, count, batch, proof] }: Request,
) -> Result<u64, Error> {
    let spin = || Spin::new(control);
    let lane = lanes.get_mut(lane as usize).ok_or_else(|| Error::Spec("no such lane".into()));
    match op {
        Op::Quit => {}
        Op::TwoLine => raw::answer(control, Lines::Two, spin(), first..first + count)?,
        Op::OneLine => raw::answer(control, Lines::One, spin(), first..first + count)?,
        Op::FetchAdd => raw::increment(control, count),
        Op::Receive => lane?.receive(step, count, batch as usize)?,
        Op::Echo => lane?.echo(step, count)?,
        Op::ReceiveFile => {
            return lane?.receive_file(step, count as usize, Proof::from_word(proof));
        }
    }
    Ok(0)
}

/// A lane as the peer reads it: `kind,size,capacity,polling,wait,sender,receiver`.
pub(crate) fn write_lane(lane: &Lane, tickets: &Tickets, fds: &mut Vec<RawFd>) -> String {
    let mut ticket = |ticket: &Option<Ticket>| Ticket::write(ticket.as_ref(), fds);
    let (sender, receiver) = (ticket(&tickets.sender), ticket(&tickets.receiver));
    let Lane { kind, size, shape: Shape { capacity, polling, wait }, .. } = lane;
    format!("{kind},{size},{capacity},{polling},{wait:?},{sender},{receiver}")
}

fn read_lane(text: &str, control: &Arc<Control>) -> Result<Box<dyn Runs>, Error> {
    let fields: Vec<&str> = text.split(',').collect();
    let unreadable = || Error::Spec(text.to_owned());
    let &[kind, size, capacity, polling, wait, sender, receiver] = &fields[..] else {
        return Err(unreadable());
    };
    let kind = Kind::ALL.into_iter().find(|known| known.name() == kind).ok_or_else(unreadable)?;
    let (size, capacity) = (number(Some(size))?, number(Some(capacity))?);
    let methods = [WaitMethod::Spin, WaitMethod::Futex, WaitMethod::Semaphore];
    let wait = methods.into_iter().find(|known| format!("{known:?}") == wait);
    let wait = wait.ok_or_else(unreadable)?;
    let tickets = Tickets { sender: Ticket::read(sender)?, receiver: Ticket::read(receiver)? };
    let shape = Shape { capacity, polling: polling == "true", wait };
    Lane { kind, size, shape, both_ways: tickets.sender.is_some() }.take(tickets, control)
}

fn number<T: std::str::FromStr>(field: Option<&str>) -> Result<T, Error> {
    field
        .and_then(|field| field.parse().ok())
        .ok_or_else(|| Error::Spec(format!("not a number: {field:?}")))
}
