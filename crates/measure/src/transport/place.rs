//! Where annulus's rings lie: in named shared memory, in a file, or in a memfd that the
//! peer inherits; the same for every kind of ring, through annulus's public interface alone.

use std::marker::PhantomData;
use std::os::fd::BorrowedFd;

use annulus::{Options, RingKind};

use crate::Error;
use crate::transport::{Receiving, Route, Sending, Shape, Site, Ticket, Transport, name};

/// A kind of ring.
pub trait Family {
    /// The ring for messages of `W` words.
    type Ring<const W: usize>: RingKind;
    /// Its sending end.
    type Sender<const W: usize>: Sending<W> + 'static;
    /// Its receiving end.
    type Receiver<const W: usize>: Receiving<W> + 'static;

    /// Its name in errors.
    const NAME: &'static str;

    /// How one of this shape is made.
    fn options<const W: usize>(shape: Shape) -> Options<Self::Ring<W>>;
    /// Its segment's descriptor.
    fn segment_fd<const W: usize>(ring: &Self::Ring<W>) -> Option<BorrowedFd<'_>>;
    /// Takes the sender's seat.
    fn sender<const W: usize>(ring: &Self::Ring<W>) -> Result<Self::Sender<W>, annulus::Error>;
    /// Takes the receiver's seat.
    fn receiver<const W: usize>(ring: &Self::Ring<W>) -> Result<Self::Receiver<W>, annulus::Error>;
}

/// A ring in named POSIX shared memory.
pub struct Named<F>(PhantomData<F>);

/// A ring in a file in the folder for temporary files.
pub struct File<F>(PhantomData<F>);

/// A ring in a memfd that the peer inherits.
pub struct Memfd<F>(PhantomData<F>);

impl<F: Family> Transport for Named<F> {
    type Sender<const W: usize> = F::Sender<W>;
    type Receiver<const W: usize> = F::Receiver<W>;

    fn create<const W: usize>(shape: Shape) -> Result<Route, Error> {
        create_at::<F, W>(format!("shm:{}", name::random()), shape)
    }

    fn sender<const W: usize>(ticket: Ticket, site: Site) -> Result<F::Sender<W>, Error> {
        F::sender(&open::<F, W>(ticket, site.shape)?).map_err(refused::<F>)
    }

    fn receiver<const W: usize>(ticket: Ticket, site: Site) -> Result<F::Receiver<W>, Error> {
        F::receiver(&open::<F, W>(ticket, site.shape)?).map_err(refused::<F>)
    }
}

impl<F: Family> Transport for File<F> {
    type Sender<const W: usize> = F::Sender<W>;
    type Receiver<const W: usize> = F::Receiver<W>;

    fn create<const W: usize>(shape: Shape) -> Result<Route, Error> {
        let path = std::env::temp_dir().join(name::random());
        let path = path.to_str().ok_or_else(|| {
            Error::Unavailable("the folder for temporary files has no name in UTF-8".into())
        })?;
        create_at::<F, W>(format!("file:{path}"), shape)
    }

    fn sender<const W: usize>(ticket: Ticket, site: Site) -> Result<F::Sender<W>, Error> {
        Named::<F>::sender(ticket, site)
    }

    fn receiver<const W: usize>(ticket: Ticket, site: Site) -> Result<F::Receiver<W>, Error> {
        Named::<F>::receiver(ticket, site)
    }
}

impl<F: Family> Transport for Memfd<F> {
    type Sender<const W: usize> = F::Sender<W>;
    type Receiver<const W: usize> = F::Receiver<W>;

    fn create<const W: usize>(shape: Shape) -> Result<Route, Error> {
        let ring = options::<F, W>(shape).create_memfd("annulus-measure").map_err(lacking::<F>)?;
        let ticket = || {
            let fd = F::segment_fd(&ring).ok_or_else(|| Error::Spec("a memfd has no fd".into()))?;
            Ok::<_, Error>(Ticket::inherited(fd.try_clone_to_owned().map_err(Error::io("dup"))?))
        };
        Ok(Route { send: ticket()?, recv: ticket()?, keep: None })
    }

    fn sender<const W: usize>(ticket: Ticket, site: Site) -> Result<F::Sender<W>, Error> {
        Named::<F>::sender(ticket, site)
    }

    fn receiver<const W: usize>(ticket: Ticket, site: Site) -> Result<F::Receiver<W>, Error> {
        Named::<F>::receiver(ticket, site)
    }
}

fn options<F: Family, const W: usize>(shape: Shape) -> Options<F::Ring<W>> {
    F::options::<W>(shape).wait_method(shape.wait)
}

fn create_at<F: Family, const W: usize>(address: String, shape: Shape) -> Result<Route, Error> {
    let name = Name(address);
    options::<F, W>(shape).create_new(&name.0).map_err(lacking::<F>)?;
    let (send, recv) = (Ticket::named(&name.0), Ticket::named(&name.0));
    Ok(Route { send, recv, keep: Some(Box::new(name)) })
}

/// The ring behind either kind of ticket.
fn open<F: Family, const W: usize>(ticket: Ticket, shape: Shape) -> Result<F::Ring<W>, Error> {
    let options = options::<F, W>(shape);
    match ticket {
        Ticket { fd: Some(fd), .. } => options.from_fd(fd),
        ticket => options.open(&ticket.into_name()?),
    }
    .map_err(refused::<F>)
}

/// A name that is removed again, at the latest when the measurement fails.
struct Name(String);

impl Drop for Name {
    fn drop(&mut self) {
        // It is there unless creating it failed.
        let _ = annulus::unlink(&self.0);
    }
}

fn refused<F: Family>(error: annulus::Error) -> Error {
    Error::Transport { transport: F::NAME, reason: error.to_string() }
}

/// Why such a ring can't be made here.
fn lacking<F: Family>(error: annulus::Error) -> Error {
    Error::Unavailable(format!("{}: {error}", F::NAME))
}
