//! Exhaustive exploration of the MPMC protocol of docs/mpmc.md.
pub mod access;
pub mod bugs;
pub mod configs;
pub mod machine;
mod pack;
mod recover;
pub mod search;
pub mod words;
pub mod world;
