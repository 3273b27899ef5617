//! In the place of [`raw_sync`](crate::transport) where this crate was built without it.

use crate::Error;
use crate::transport::whole::{Mechanism, Receives, Sends};
use crate::transport::{Route, Shape, Site, Ticket};

/// Not there: `--features raw-sync`.
pub struct RawSync;

impl Mechanism for RawSync {
    fn create(_: usize, _: Shape) -> Result<Route, Error> {
        Err(absent())
    }

    fn sender(_: Ticket, _: &Site, _: usize) -> Result<Box<dyn Sends>, Error> {
        Err(absent())
    }

    fn receiver(_: Ticket, _: &Site, _: usize) -> Result<Box<dyn Receives>, Error> {
        Err(absent())
    }
}

fn absent() -> Error {
    Error::Unavailable("built without the feature raw-sync of annulus-measure".into())
}
