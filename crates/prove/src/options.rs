//! What every campaign is told: how deep, which bug, which seed.

use std::process;

/// How much of a campaign is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// About a minute: a sample of the cells, which the campaign names.
    Quick,
    /// All of it.
    Full,
}

/// The command line of a campaign.
#[derive(Clone, Debug)]
pub struct Options {
    /// How much is run.
    pub depth: Depth,
    /// The seeded bug's name, if one is on. The campaign then stops at the first finding.
    pub bug: Option<String>,
    /// Where random choices start; printed with every finding.
    pub seed: u64,
    /// Run only the cells whose name contains this.
    pub only: Option<String>,
}

const USAGE: &str = "[--quick | --full] [--bug NAME] [--seed N] [--only CELL]";

impl Options {
    /// Reads the command line; ends the process with code 2 if it is wrong.
    pub fn from_args() -> Self {
        match Self::parse(std::env::args().skip(1)) {
            Ok(options) => options,
            Err(what) => {
                eprintln!("{what}\nusage: {USAGE}");
                process::exit(2);
            }
        }
    }

    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { depth: Depth::Quick, bug: None, seed: random(), only: None };
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(format!("{arg} needs a value"));
            match arg.as_str() {
                "--quick" => options.depth = Depth::Quick,
                "--full" => options.depth = Depth::Full,
                "--bug" => options.bug = Some(value()?),
                "--seed" => {
                    let text = value()?;
                    options.seed = text.parse().map_err(|_| format!("not a number: {text}"))?;
                }
                "--only" => options.only = Some(value()?),
                other => return Err(format!("unknown: {other}")),
            }
        }
        Ok(options)
    }

    /// Whether a cell of this name is to be run.
    pub fn wants(&self, cell: &str) -> bool {
        self.only.as_deref().is_none_or(|only| cell.contains(only))
    }

    /// One of two numbers, by depth.
    pub fn pick<T>(&self, quick: T, full: T) -> T {
        match self.depth {
            Depth::Quick => quick,
            Depth::Full => full,
        }
    }
}

/// A seed that no other run is likely to have.
fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_command_line_is_read() {
        let options = parse("--full --bug NoClaim --seed 7 --only spsc").unwrap();
        assert_eq!((options.depth, options.seed), (Depth::Full, 7));
        assert_eq!(options.bug.as_deref(), Some("NoClaim"));
        assert!(options.wants("spsc/send") && !options.wants("mpmc/send"));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in ["--seed", "--seed x", "--fast", "spsc"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
