//! shuttle by loom's names, as much of them as annulus uses, so that the facade of the
//! shipped crate needs no third face.
//!
//! ```text
//!   annulus, --cfg loom ──▶ loom::sync, ::cell, ::thread ──▶ shuttle's, or a cell below
//! ```
//!
//! Promise: each access to an atomic, and each cell, is a place where another thread may go
//! on. Every ordering is sequentially consistent here: what a weak one lets pass is for
//! loom to see.

pub use shuttle::{thread, thread_local};

/// As `std::sync`.
pub mod sync {
    pub use shuttle::sync::{Arc, Condvar, Mutex, atomic};
}

/// Memory that is no atomic.
pub mod cell {
    use shuttle::sync::atomic::{AtomicI32, Ordering::SeqCst};

    /// What `users` is, at most, while somebody writes.
    const WRITTEN: i32 = i32::MIN / 2;

    /// A cell that says so if two use it at a time, and one of them writes.
    ///
    /// Its count of users is an atomic of shuttle's: others can go on in the middle of each
    /// use, and are caught.
    #[derive(Debug)]
    pub struct UnsafeCell<T> {
        value: std::cell::UnsafeCell<T>,
        users: AtomicI32,
    }

    impl<T> UnsafeCell<T> {
        /// A cell.
        pub fn new(value: T) -> Self {
            Self { value: std::cell::UnsafeCell::new(value), users: AtomicI32::new(0) }
        }

        /// Reads by way of `f`.
        ///
        /// # Panics
        /// If somebody writes.
        pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            assert!(self.users.fetch_add(1, SeqCst) >= 0, "read while it is written");
            let result = f(self.value.get());
            self.users.fetch_sub(1, SeqCst);
            result
        }

        /// Writes by way of `f`.
        ///
        /// # Panics
        /// If somebody reads or writes.
        pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            assert!(self.users.fetch_add(WRITTEN, SeqCst) == 0, "written while it is in use");
            let result = f(self.value.get());
            self.users.fetch_sub(WRITTEN, SeqCst);
            result
        }
    }
}
