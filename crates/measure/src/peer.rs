//! The peer process: does as the control segment says.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use crate::control::{Control, Op, Request};
use crate::ends::{Proof, Runs};
use crate::lane::{Kind, Lane, Tickets};
use crate::raw::{self, Lines};
use crate::spin::Spin;
use crate::transport::{Shape, Ticket};
use crate::{Error, child, cores};

/// Becomes the peer if this process was started as one, and then never returns.
/// To be called first in `main` of every binary that measures.
pub fn enter() {
    let Ok(description) = std::env::var(child::PEER) else { return };
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

/// A lane as the peer reads it: `kind,size,capacity,polling,sender,receiver`.
pub(crate) fn write_lane(lane: &Lane, tickets: &Tickets, fds: &mut Vec<RawFd>) -> String {
    let mut ticket = |ticket: &Option<Ticket>| match ticket {
        None => "none".to_owned(),
        Some(Ticket { name: Some(name), .. }) => name.clone(),
        Some(Ticket { fd: Some(fd), .. }) => {
            fds.push(fd.as_raw_fd());
            fd.as_raw_fd().to_string()
        }
        Some(_) => "none".to_owned(),
    };
    let (sender, receiver) = (ticket(&tickets.sender), ticket(&tickets.receiver));
    let Lane { kind, size, shape: Shape { capacity, polling }, .. } = lane;
    format!("{kind},{size},{capacity},{polling},{sender},{receiver}")
}

fn read_lane(text: &str, control: &Arc<Control>) -> Result<Box<dyn Runs>, Error> {
    let mut fields = text.split(',');
    let kind =
        fields.next().and_then(|name| Kind::ALL.into_iter().find(|kind| kind.name() == name));
    let kind = kind.ok_or_else(|| Error::Spec(text.to_owned()))?;
    let (size, capacity) = (number(fields.next())?, number(fields.next())?);
    let polling = fields.next() == Some("true");
    let mut ticket = || match fields.next() {
        None | Some("none") => None,
        Some(field) => Some(match field.parse::<RawFd>() {
            Ok(fd) => Ticket::inherited(child::inherited(fd)),
            Err(_) => Ticket::named(field),
        }),
    };
    let tickets = Tickets { sender: ticket(), receiver: ticket() };
    let both_ways = tickets.sender.is_some();
    Lane { kind, size, shape: Shape { capacity, polling }, both_ways }.take(tickets, control)
}

fn number<T: std::str::FromStr>(field: Option<&str>) -> Result<T, Error> {
    field
        .and_then(|field| field.parse().ok())
        .ok_or_else(|| Error::Spec(format!("not a number: {field:?}")))
}
