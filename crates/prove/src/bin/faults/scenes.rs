//! Situations that no answer to a single call makes: each in a process of its own, which says
//! what went otherwise than it should.
//!
//! ```text
//!   full      a file system with 0, 1, 2, … pages left ── create ──▶ an error, and nothing
//!             is left; or a ring that can be filled
//!   stopped   receiver ‖ SIGSTOP in the middle of whatever it does ── the others go on, what
//!             they are refused comes back, nothing is lost
//! ```

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use annulus_prove::{Options, Report, child};

use crate::cell::Home;
use crate::{full, pulse, stopped};

/// Which one, in the environment, and the token of its names.
pub const TOLD: &str = "ANNULUS_PROVE_SCENE";

/// Seconds after which it hangs.
const HANGS: u32 = 20;

/// What is played, under names of its own; it says what it saw.
type Scene = fn(&Home) -> Vec<String>;

/// All of them.
const SCENES: &[(&str, Scene)] = &[("full", full::run), ("stopped", stopped::run)];

/// The role.
pub fn run() {
    let told = std::env::var(TOLD).expect("what to do");
    let (name, token) = told.split_once(' ').expect("two words");
    let home = std::mem::ManuallyDrop::new(Home { token: token.to_owned() });
    let scene = SCENES.iter().find(|(scene, _)| *scene == name).expect("a scene");
    for line in scene.1(&home) {
        println!("{line}");
    }
}

/// Plays those that are wanted.
pub fn play(options: &Options, report: &Report) {
    for (name, _) in SCENES.iter().filter(|(name, _)| options.wants(name)) {
        let words = pulse::steadily(
            || one(name, options),
            |words| words.iter().all(|word| word.starts_with("figure: ")),
        );
        for word in words {
            match word.split_once(": ") {
                Some(("figure", what)) => {
                    let (figure, value) = what.split_once(" = ").unwrap_or((what, "?"));
                    report.figure(figure, value);
                }
                Some(("skipped", why)) => report.skipped(name, why),
                _ => report.found(format_args!("{name}: {word}")),
            }
        }
    }
}

fn one(name: &str, options: &Options) -> Vec<String> {
    let home = Home { token: crate::run::token() };
    let told = format!("{name} {}", home.token);
    let mut command = child::command("scene", options, HANGS);
    let command = command.env(TOLD, told).stdin(Stdio::null());
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return vec![format!("could not run: {error}")],
    };
    let (mut said, mut cried) = (String::new(), String::new());
    // What can't be read was not said.
    let _ = child.stdout.take().map(|mut out| out.read_to_string(&mut said));
    let _ = child.stderr.take().map(|mut out| out.read_to_string(&mut cried));
    let mut words: Vec<String> = said.lines().map(str::to_owned).collect();
    match child.wait() {
        Ok(status) if status.success() => {}
        Ok(status) if status.signal() == Some(libc::SIGALRM) => words.push("hang".to_owned()),
        Ok(status) => words.push(format!("ended by {status}: {cried}")),
        Err(error) => words.push(format!("its end: {error}")),
    }
    words.extend(home.leftovers().iter().map(|name| format!("leak: {name}")));
    words
}
