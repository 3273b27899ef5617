//! The one skip policy for what a machine lacks.
//!
//! A skipped test prints `skipped NAME: REASON` and appends `NAME: REASON` to the file
//! that `ANNULUS_SKIP_LOG` names; `cargo xtask test` lists that file at its end. With
//! `ANNULUS_REQUIRE=all` a skip fails the test.

use std::fs::OpenOptions;
use std::io::Write;

/// Records that the test in which `here` is an inner function is left out.
///
/// # Panics
///
/// If `ANNULUS_REQUIRE` is `all` (or anything else but unset or empty), and if the log
/// can't be written: a skip must not be lost.
pub fn record_skip(here: &str, reason: &str) {
    let name = here.strip_suffix("::here").unwrap_or(here);
    let name = name.trim_end_matches("::{{closure}}");
    match std::env::var("ANNULUS_REQUIRE").as_deref() {
        Err(_) | Ok("") => {}
        Ok("all") => panic!("{name}: {reason}; ANNULUS_REQUIRE=all lets nothing be skipped"),
        Ok(other) => panic!("ANNULUS_REQUIRE is `{other}`; it may be `all`"),
    }
    println!("skipped {name}: {reason}");
    let Some(log) = std::env::var_os("ANNULUS_SKIP_LOG") else {
        return;
    };
    // One write, in append mode: tests of several processes don't mix within a line.
    let line = format!("{name}: {}\n", reason.replace('\n', " "));
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(&log)
        .and_then(|mut file| file.write_all(line.as_bytes()))
        .unwrap_or_else(|error| panic!("can't record a skip in {log:?}: {error}"));
}
