//! The spsc ring does what the specification permits, all of it, and nothing else.

#![cfg(loom)]

use annulus_loom_tests::models;

#[test]
fn the_living_do_what_is_permitted() {
    models::of_the_living().iter().for_each(|model| model.check());
}
