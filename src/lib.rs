//! Lock-free ring buffers in shared memory.
