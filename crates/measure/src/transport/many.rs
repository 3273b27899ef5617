//! Several packets by one system call: `sendmmsg(2)` and `recvmmsg(2)`.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

/// At most so many packets a call.
const MOST: usize = 64;

/// What the kernel reads and writes about each packet; made once.
pub(crate) struct Many {
    parts: Vec<libc::iovec>,
    heads: Vec<libc::mmsghdr>,
}

impl Many {
    pub(crate) fn new() -> Many {
        let part = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        // SAFETY: null pointers and zeroes are an empty header.
        let head: libc::mmsghdr = unsafe { std::mem::zeroed() };
        Many { parts: vec![part; MOST], heads: vec![head; MOST] }
    }

    /// Sends the first packets of `size` bytes each: how many.
    pub(crate) fn send(
        &mut self,
        fd: BorrowedFd<'_>,
        packets: &[u8],
        size: usize,
    ) -> nix::Result<usize> {
        // The kernel only reads what it is to send.
        let count = self.point_at(packets.as_ptr().cast_mut(), packets.len(), size);
        let (fd, heads) = (fd.as_raw_fd(), self.heads.as_mut_ptr());
        // SAFETY: so many headers point at so many packets inside the slice.
        let sent = unsafe { libc::sendmmsg(fd, heads, count as u32, libc::MSG_NOSIGNAL as _) };
        Errno::result(sent).map(|sent| sent as usize)
    }

    /// Receives packets that are there, waiting for the first; they should have `size`
    /// bytes each: how many.
    pub(crate) fn recv(
        &mut self,
        fd: BorrowedFd<'_>,
        packets: &mut [u8],
        size: usize,
    ) -> nix::Result<usize> {
        let count = self.point_at(packets.as_mut_ptr(), packets.len(), size);
        let (fd, heads, forever) = (fd.as_raw_fd(), self.heads.as_mut_ptr(), std::ptr::null_mut());
        let flags = libc::MSG_WAITFORONE;
        // SAFETY: so many headers point at so many places inside the slice.
        let got = unsafe { libc::recvmmsg(fd, heads, count as u32, flags as _, forever) };
        Errno::result(got).map(|got| got as usize)
    }

    /// The lengths that the first packets of the last [`recv`](Self::recv) have.
    pub(crate) fn lengths(&self, count: usize) -> impl Iterator<Item = usize> {
        self.heads[..count].iter().map(|head| head.msg_len as usize)
    }

    /// Points the headers at packets that lie one behind the other; says at how many.
    fn point_at(&mut self, first: *mut u8, len: usize, size: usize) -> usize {
        let count = (len / size).min(MOST);
        for (index, (part, head)) in self.parts.iter_mut().zip(&mut self.heads).enumerate() {
            part.iov_base = first.wrapping_add(index * size).cast();
            part.iov_len = size;
            head.msg_hdr.msg_iov = part;
            head.msg_hdr.msg_iovlen = 1;
        }
        count
    }
}
