//! ipc-channel: its channel of bytes, over a Unix socket; large messages too.

use ::ipc_channel::TryRecvError;
use ::ipc_channel::ipc::{
    IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, IpcSender, bytes_channel,
};
use anyhow::{Result, anyhow};

use crate::rival::{BlockReceiving, BlockSending, Blocks, Place, Processes, Receiving, Sending};

/// The channel.
pub struct IpcChannel;

/// The sending end: blocks in the kernel while there is no room.
pub struct Sender(IpcBytesSender);

/// The receiving end.
pub struct Receiver(IpcBytesReceiver);

fn refused(error: impl std::fmt::Debug) -> anyhow::Error {
    anyhow!("ipc-channel: {error:?}")
}

/// The sender makes the channel and hands its other end to the receiver's one-shot server.
fn make(place: &Place) -> Result<Sender> {
    let (sender, receiver) = bytes_channel().map_err(refused)?;
    let server = IpcSender::connect(place.published("server")?).map_err(refused)?;
    server.send(receiver).map_err(refused)?;
    Ok(Sender(sender))
}

fn find(place: &Place) -> Result<Receiver> {
    let (server, name) = IpcOneShotServer::<IpcBytesReceiver>::new().map_err(refused)?;
    place.publish("server", &name)?;
    let (_, receiver) = server.accept().map_err(refused)?;
    Ok(Receiver(receiver))
}

impl Receiver {
    fn next(&self) -> Result<Option<Vec<u8>>> {
        match self.0.try_recv() {
            Ok(bytes) => Ok(Some(bytes)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(other) => Err(refused(other)),
        }
    }
}

impl Processes for IpcChannel {
    type Sender<const W: usize> = Sender;
    type Receiver<const W: usize> = Receiver;

    fn sender<const W: usize>(place: &Place) -> Result<Sender> {
        make(place)
    }

    fn receiver<const W: usize>(place: &Place) -> Result<Receiver> {
        find(place)
    }
}

impl<const W: usize> Sending<W> for Sender {
    fn try_send(&mut self, message: &[u64; W]) -> Result<bool> {
        let bytes = message.map(u64::to_ne_bytes);
        self.0.send(bytes.as_flattened()).map_err(refused)?;
        Ok(true)
    }

    fn try_send_many(&mut self, messages: &[[u64; W]]) -> Result<usize> {
        Ok(usize::from(Sending::<W>::try_send(self, &messages[0])?))
    }
}

impl<const W: usize> Receiving<W> for Receiver {
    fn try_recv(&mut self, message: &mut [u64; W]) -> Result<bool> {
        let Some(bytes) = self.next()? else { return Ok(false) };
        *message = [0; W];
        for (word, bytes) in message.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_ne_bytes(*bytes);
        }
        Ok(true)
    }

    fn try_recv_many(&mut self, messages: &mut [[u64; W]]) -> Result<usize> {
        Ok(usize::from(Receiving::<W>::try_recv(self, &mut messages[0])?))
    }
}

impl Blocks for IpcChannel {
    type Sender = Sender;
    type Receiver = Receiver;

    fn sender(place: &Place, _: usize) -> Result<Sender> {
        make(place)
    }

    fn receiver(place: &Place, _: usize) -> Result<Receiver> {
        find(place)
    }
}

impl BlockSending for Sender {
    fn try_send(&mut self, block: &[u8]) -> Result<bool> {
        self.0.send(block).map_err(refused)?;
        Ok(true)
    }
}

impl BlockReceiving for Receiver {
    fn try_recv(&mut self, look: impl FnOnce(&[u8])) -> Result<bool> {
        Ok(self.next()?.map(|bytes| look(&bytes)).is_some())
    }
}
