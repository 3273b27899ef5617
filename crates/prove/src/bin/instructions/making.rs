//! Killed while a ring is made, opened or removed: a name has a whole ring or nothing.
//!
//! Imports: ends, plan, site, verbs, world; step.
#![allow(unsafe_code)]

use std::time::Duration;

use annulus::Error;
use annulus_prove::step::{Led, marker};

use crate::ends::Got;
use crate::plan::Course;
use crate::site::{Site, address};
use crate::verbs::{Before, CAPACITY, Cell, Kind, Verb};
use crate::world::Point;

const SOON: Duration = Duration::from_secs(10);

/// What is there before, and one who stands before his verb.
fn prepare(cell: Cell, tag: &str) -> Result<(Option<Site>, Led), String> {
    let Cell { kind, verb, place, .. } = cell;
    let site = match cell.before {
        Before::Nobody | Before::Left => None,
        Before::Died | Before::Midway => {
            let site = Site::new(kind, place, false, tag).map_err(|error| error.to_string())?;
            let role = || {
                let ring = site.ring.sender().expect("a seat");
                marker();
                drop(ring);
            };
            // SAFETY: a worker has one thread.
            unsafe { Led::fork(role) }.kill();
            Some(site)
        }
    };
    let role = || {
        let address = address(place, tag);
        let address = address.as_deref().unwrap_or_default();
        marker();
        match verb {
            Verb::Create => drop(Site::new(kind, place, false, tag).map(core::mem::forget)),
            Verb::OpenOrCreate => {
                drop(Site::open_or_create(kind, address).map(core::mem::forget));
            }
            Verb::Open => drop(Site::open_at(kind, address)),
            Verb::Unlink => drop(annulus::unlink(address)),
            Verb::UnlinkUnused => drop(annulus::unlink_unused(address)),
            other => unreachable!("{other:?} is about messages"),
        }
        marker();
    };
    // SAFETY: a worker has one thread.
    Ok((site, unsafe { Led::fork(role) }))
}

/// The course of the verb.
pub fn course(cell: Cell, tag: &str) -> Result<Course, String> {
    let (site, mut led) = prepare(cell, tag)?;
    let image = site.as_ref().map(Site::image);
    let hash = || image.as_ref().map_or(0, crate::site::Image::hash);
    let course = Course::of(&mut led, hash, || Err("a maker sleeps".into()))?;
    led.kill();
    survive(cell, tag, site)?;
    if cell.verb == Verb::Open && course.images.len() > 1 {
        return Err("opening has written to the segment".into());
    }
    Ok(course)
}

/// One death.
pub fn attempt(cell: Cell, tag: &str, course: &Course, point: Point) -> Result<(), String> {
    let (site, mut led) = prepare(cell, tag)?;
    course.lead(&mut led, 0, point.after)?;
    led.kill();
    survive(cell, tag, site)
}

fn survive(cell: Cell, tag: &str, site: Option<Site>) -> Result<(), String> {
    let Some(address) = address(cell.place, tag) else { return Ok(()) };
    // The survivor holds no handle: only the dead one might be in the way.
    let still_there = site.map(|mut site| {
        site.forget_name();
        drop(site);
    });
    let whole = match Site::open_at(cell.kind, &address) {
        Ok(_) => true,
        Err(Error::NotFound { .. }) => false,
        Err(error) => return Err(format!("neither a ring nor nothing: {error}")),
    };
    let removes = matches!(cell.verb, Verb::Unlink | Verb::UnlinkUnused);
    if still_there.is_some() && !whole && !removes {
        return Err("the ring is gone".into());
    }
    for round in ["the one that is there, or a new one", "a new one"] {
        let site = Site::open_or_create(cell.kind, &address);
        let site = site.map_err(|error| format!("{round}: {error}"))?;
        works(cell, &site, whole && round != "a new one")
            .map_err(|what| format!("{round}: {what}"))?;
        let mut site = site;
        site.forget_name();
        drop(site);
        // Nobody has it open any more, the dead one included.
        annulus::unlink_unused(&address).map_err(|error| format!("{round}: removing: {error}"))?;
        if !matches!(Site::open_at(cell.kind, &address), Err(Error::NotFound { .. })) {
            return Err(format!("{round}: it is still there"));
        }
    }
    Ok(())
}

/// A ring through which messages go.
fn works(cell: Cell, site: &Site, used: bool) -> Result<(), String> {
    let (tx, rx) = (site.ring.sender(), site.ring.receiver());
    if cell.kind == Kind::Stream && used && matches!(tx, Err(Error::Over { .. })) {
        // Its sender has come and died.
        return Ok(());
    }
    let (mut tx, mut rx) =
        (tx.map_err(|error| error.to_string())?, rx.map_err(|error| error.to_string())?);
    for n in 0..2 * CAPACITY + 1 {
        match tx.send(n, SOON)? {
            Got::Message(..) => {}
            other => return Err(format!("not sent: {other:?}")),
        }
        match rx.recv(SOON)? {
            Got::Message(got, false) if got == n => {}
            other => return Err(format!("sent {n}, got {other:?}")),
        }
    }
    Ok(())
}
