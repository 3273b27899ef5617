//! `cargo xtask`: everything that is done to this repository by a command.

fn main() {}
