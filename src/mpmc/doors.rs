//! A door for models, which know no time and can't refuse four thousand times.
//!
//! Imports: nothing.

use super::{Receiver, Sender};
use crate::payload::{Payload, Trust};

impl<M: Payload + ?Sized, A: Trust> Sender<M, A> {
    /// The next refusal looks for the dead, as every 4096th in a row does.
    #[doc(hidden)]
    pub fn lose_patience(&mut self) {
        self.post.lose_patience();
    }
}

impl<M: Payload + ?Sized, A: Trust> Receiver<M, A> {
    /// The next refusal looks for the dead, as every 4096th in a row does.
    #[doc(hidden)]
    pub fn lose_patience(&mut self) {
        self.post.lose_patience();
    }
}
