//! How messages lie in a sequence of bytes.
//!
//! ```text
//!   line   [ bytes .. \n ][ bytes .. \n ]                the newline belongs to the message
//!   u32    [ length: 4, little-endian ][ bytes .. ]      any bytes
//! ```
//!
//! Imports: exit.

use clap::ValueEnum;

use crate::exit::Failure;

/// How messages lie in the input and output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Frame {
    /// A message per line
    #[default]
    Line,
    /// A length of four bytes, little-endian, before each message
    U32,
}

impl Frame {
    /// Makes `out` the bytes by which a message is written.
    pub fn wrap(self, message: &[u8], out: &mut Vec<u8>) {
        out.clear();
        match self {
            Frame::Line => {
                out.extend_from_slice(message);
                // A program's, perhaps: it is to be a line of its own all the same.
                if message.last() != Some(&b'\n') {
                    out.push(b'\n');
                }
            }
            Frame::U32 => {
                let len = u32::try_from(message.len()).expect("a message has at most 2^30 bytes");
                out.extend_from_slice(&len.to_le_bytes());
                out.extend_from_slice(message);
            }
        }
    }
}

/// Cuts bytes, in whatever pieces they come, into messages.
pub struct Cutter {
    frame: Frame,
    longest: usize,
    /// What has come and is in no message yet.
    rest: Vec<u8>,
    /// So much of it was looked through for a newline.
    searched: usize,
}

impl Cutter {
    /// Of messages up to a length.
    pub fn new(frame: Frame, longest: usize) -> Cutter {
        Cutter { frame, longest, rest: Vec::new(), searched: 0 }
    }

    /// Takes bytes in, and gives out each message that is complete with them.
    pub fn feed<E: From<Failure>>(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.rest.extend_from_slice(bytes);
        let mut from = 0;
        while let Some((begin, end)) = self.next(from)? {
            each(&self.rest[begin..end])?;
            from = end;
            self.searched = end;
        }
        self.rest.drain(..from);
        self.searched = self.rest.len();
        Ok(())
    }

    /// The input has ended: a last line may lack its newline.
    pub fn end<E: From<Failure>>(
        &mut self,
        each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        match self.frame {
            _ if self.rest.is_empty() => Ok(()),
            Frame::Line => self.feed(b"\n", each),
            Frame::U32 => Err(Failure::other(
                "standard input ended in the middle of a message; those before it were sent",
            )
            .into()),
        }
    }

    /// Where the next message lies, if it is complete.
    fn next(&self, from: usize) -> Result<Option<(usize, usize)>, Failure> {
        let (begin, end) = match self.frame {
            Frame::Line => {
                let searched = self.searched.max(from);
                let newline = self.rest[searched..].iter().position(|byte| *byte == b'\n');
                let Some(newline) = newline else {
                    // Its newline at least is still to come.
                    let least = self.rest.len() - from + 1;
                    return if least > self.longest { Err(self.too_long(None)) } else { Ok(None) };
                };
                (from, searched + newline + 1)
            }
            Frame::U32 => {
                let Some((len, _)) = self.rest[from..].split_first_chunk() else {
                    return Ok(None);
                };
                let len = u32::from_le_bytes(*len) as usize;
                (from + 4, from + 4 + len)
            }
        };
        if end - begin > self.longest {
            return Err(self.too_long(Some(end - begin)));
        }
        Ok((end <= self.rest.len()).then_some((begin, end)))
    }

    fn too_long(&self, len: Option<usize>) -> Failure {
        let what = match (self.frame, len) {
            (Frame::Line, Some(len)) => format!("a line of {len} bytes, its newline included"),
            (Frame::Line, None) => "a line".to_owned(),
            (Frame::U32, len) => format!("a message of {} bytes", len.unwrap_or_default()),
        };
        Failure::other(format!(
            "{what} is longer than this ring's messages can be, {} bytes; those before it were \
             sent; give whoever makes the ring a larger --max-len",
            self.longest
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is cut from bytes that come in pieces of one length.
    fn cut(
        frame: Frame,
        longest: usize,
        bytes: &[u8],
        piece: usize,
    ) -> (Vec<Vec<u8>>, Result<(), Failure>) {
        let mut cutter = Cutter::new(frame, longest);
        let mut messages = Vec::new();
        let mut each = |message: &[u8]| {
            messages.push(message.to_vec());
            Ok(())
        };
        let fed = bytes.chunks(piece).try_for_each(|piece| cutter.feed(piece, &mut each));
        let ended = fed.and_then(|()| cutter.end(&mut each));
        (messages, ended)
    }

    #[test]
    fn messages_are_the_same_however_their_bytes_come() {
        let lines: Vec<Vec<u8>> = ["a\n", "\n", "1234567\n", "end\n"].map(Into::into).into();
        let mut framed = Vec::new();
        let mut out = Vec::new();
        for line in &lines {
            Frame::U32.wrap(line, &mut out);
            framed.extend_from_slice(&out);
        }
        for piece in 1..30 {
            // The last one lacks its newline.
            let cut_lines = cut(Frame::Line, 8, b"a\n\n1234567\nend", piece);
            assert_eq!(cut_lines, (lines.clone(), Ok(())));
            assert_eq!(cut(Frame::U32, 8, &framed, piece), (lines.clone(), Ok(())));
        }
    }

    #[test]
    fn what_is_too_long_or_cut_off_is_refused_after_what_came_before() {
        for piece in 1..30 {
            for line in [&b"a\n12345678\nb\n"[..], b"a\n12345678", b"a\n1234567890"] {
                let (messages, ended) = cut(Frame::Line, 8, line, piece);
                assert_eq!(messages, [b"a\n"]);
                assert!(ended.unwrap_err().to_string().contains("8 bytes"));
            }
            let (messages, ended) = cut(Frame::U32, 8, b"\x01\0\0\0a\x09\0\0\0b", piece);
            assert_eq!(messages, [b"a"]);
            assert!(ended.unwrap_err().to_string().contains("of 9 bytes"));
            let (messages, ended) = cut(Frame::U32, 8, b"\0\0\0\0\x02\0\0\0b", piece);
            assert_eq!(messages, [b""]);
            assert!(ended.unwrap_err().to_string().contains("middle"));
        }
    }

    #[test]
    fn a_message_without_a_newline_is_a_line_all_the_same() {
        let mut out = Vec::new();
        for message in ["x", "x\n"] {
            Frame::Line.wrap(message.as_bytes(), &mut out);
            assert_eq!(out, b"x\n");
        }
    }
}
