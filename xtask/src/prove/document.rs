//! The figures as a table, and their place in docs/verification.md.

use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result};

use super::campaigns::{CAMPAIGNS, Campaign};
use super::matrix::{ROWS, Row};
use super::state::State;
use crate::cargo;

/// As many figures as a row shows; the others are below it.
const LEADING: usize = 8;

/// The campaigns' outcomes and the hunts, in Markdown.
pub fn table(state: &State) -> String {
    let mut text = format!("{}.\n\n", state.when());
    text += "| campaign | guarantees | figures | found | s |\n|---|---|---|---|---|\n";
    let (mut more, mut skipped) = (String::new(), String::new());
    for campaign in CAMPAIGNS {
        let Some(outcome) = state.outcome(campaign.name) else {
            continue;
        };
        let found = match (outcome.found.len(), outcome.failures.len()) {
            (0, 0) if outcome.figures.is_empty() && outcome.passed == 0 => "not run".into(),
            (0, 0) => "0".into(),
            (found, failures) => format!("**{found}, and {failures} commands failed**"),
        };
        let Campaign { name, shows, leading, .. } = campaign;
        let mut words = outcome.words(name, leading);
        let rest = words.split_off(words.len().min(LEADING));
        let (shown, seconds) = (words.join(", "), outcome.seconds);
        let at = match outcome.commit == state.commit() {
            true => String::new(),
            false => format!(" ({})", outcome.commit),
        };
        let _ = writeln!(text, "| {name}{at} | {shows} | {shown} | {found} | {seconds} |");
        if !rest.is_empty() {
            let _ = writeln!(more, "- **{name}**: {}", rest.join(", "));
        }
        for cell in &outcome.skipped {
            let _ = writeln!(skipped, "- {name}: {cell}");
        }
    }
    if !more.is_empty() {
        let _ = write!(text, "\n<details><summary>More figures</summary>\n\n{more}\n</details>\n");
    }
    if !skipped.is_empty() {
        let _ = write!(text, "\nLeft out or sampled:\n\n{skipped}");
    }
    text + &hunts(state)
}

fn hunts(state: &State) -> String {
    let mut text = String::new();
    for row in ROWS {
        let of = |campaigns: &[&str], caught: bool| -> Vec<String> {
            let hunts = campaigns.iter().filter_map(|campaign| {
                let hunt = state.hunt(row.bug, campaign).filter(|hunt| hunt.caught == caught)?;
                Some(format!("{campaign} ({:.1} s)", hunt.seconds))
            });
            hunts.collect()
        };
        let caught = [of(row.meant, true), of(row.missed, true)].concat();
        let unawares = of(row.meant, false).into_iter().map(|hunt| format!("**{hunt}**"));
        let missed: Vec<_> = of(row.missed, false).into_iter().chain(unawares).collect();
        if caught.is_empty() && missed.is_empty() {
            continue;
        }
        let author = if row.blind { "blind" } else { "" };
        let caught = if caught.is_empty() { "none of these".into() } else { caught.join(", ") };
        let missed = missed.join(", ");
        let _ = writeln!(text, "| `{}` | {author} | {caught} | {missed} |", row.bug);
    }
    if text.is_empty() {
        return text;
    }
    if let Some((count, commits)) = state.older_hunts() {
        let _ = writeln!(text, "\n{count} of these hunts were had at {commits}.");
    }
    format!("\n| seeded bug | author | caught by | missed by |\n|---|---|---|---|\n{text}")
}

/// The matrix's known misses, in Markdown.
fn missed() -> String {
    let mut text = String::new();
    let list = |bugs: Vec<&Row>| {
        bugs.iter().map(|row| format!("`{}`", row.bug)).collect::<Vec<_>>().join(", ")
    };
    for campaign in CAMPAIGNS {
        let bugs: Vec<_> = ROWS.iter().filter(|row| row.missed.contains(&campaign.name)).collect();
        if !bugs.is_empty() {
            let _ = writeln!(text, "- **{}**: {}", campaign.name, list(bugs));
        }
    }
    let none: Vec<_> = ROWS.iter().filter(|row| row.meant.is_empty()).collect();
    if !none.is_empty() {
        let _ = writeln!(text, "\nNo campaign is known to catch: {}.", list(none));
    }
    text
}

/// Puts the tables between their marks: of all figures, and of each guarantee's.
pub fn write(state: &State) -> Result<()> {
    put("verification.md", &state.depth().to_string(), &table(state))?;
    write_missed()?;
    put("guarantees.md", &format!("campaigns {}", state.depth()), &guarantees(state))
}

/// Puts the matrix's known misses between their marks.
pub fn write_missed() -> Result<()> {
    put("verification.md", "missed", &missed())
}

fn put(document: &str, name: &str, table: &str) -> Result<()> {
    let path = cargo::root().join("docs").join(document);
    let text = fs::read_to_string(&path).with_context(|| format!("can't read {path:?}"))?;
    let text = replaced(&text, name, table)
        .with_context(|| format!("{path:?} has no marks for {name}"))?;
    fs::write(&path, text).with_context(|| format!("can't write {path:?}"))
}

/// The numbered lines of docs/guarantees.md that a campaign can show.
const LINES: [&str; 11] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "11", "12"];

/// For each guarantee the campaigns that show it, each with its first figure.
fn guarantees(state: &State) -> String {
    let mut text = format!("{}.\n\n| line | campaigns |\n|---|---|\n", state.when());
    for line in LINES {
        let shows = |shows: &str| shows.split(", ").any(|shown| shown == line);
        let cells = CAMPAIGNS.iter().filter(|campaign| shows(campaign.shows)).map(|campaign| {
            let outcome = state.outcome(campaign.name);
            let figure = match outcome {
                None => "not run".into(),
                Some(outcome) if !outcome.passed() => "**failed**".into(),
                Some(outcome) => {
                    outcome.first(campaign.name, campaign.leading).unwrap_or("skipped".into())
                }
            };
            format!("{}: {figure}", campaign.name)
        });
        let _ = writeln!(text, "| {line} | {} |", cells.collect::<Vec<_>>().join("; "));
    }
    text
}

fn replaced(text: &str, name: &str, table: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{table}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_the_marks_is_replaced() {
        let text = "a\n<!-- quick: begin -->\nold\n<!-- quick: end -->\nb\n";
        let new = replaced(text, "quick", "new\n").unwrap();
        assert_eq!(new, "a\n<!-- quick: begin -->\nnew\n<!-- quick: end -->\nb\n");
        assert!(replaced(text, "full", "").is_none());
    }

    #[test]
    fn the_documents_list_of_misses_is_the_matrixs() {
        let path = cargo::root().join("docs/verification.md");
        let text = fs::read_to_string(path).unwrap();
        let listed = replaced(&text, "missed", &missed()).unwrap();
        assert!(listed == text, "`cargo xtask prove --list --write` writes the list anew");
    }
}
