//! docs/failure.md names the tests that show its rows: they exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The names of all tests in tests/*.rs.
fn tests() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = fs::read_to_string(path).unwrap();
        // The function that follows the attribute, past further attributes.
        for part in text.split("#[test]").skip(1) {
            let (_, rest) = part.split_once("fn ").expect("a test is a function");
            names.insert(rest.split('(').next().unwrap().to_owned());
        }
    }
    names
}

/// What stands between backticks in a text.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Names of tests are sentences.
fn is_a_sentence(word: &str) -> bool {
    word.matches('_').count() >= 3 && word.bytes().all(|c| c.is_ascii_lowercase() || c == b'_')
}

#[test]
fn every_test_that_the_failure_table_names_exists() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/failure.md");
    let (text, tests) = (fs::read_to_string(path).unwrap(), tests());
    let named: BTreeSet<_> = quoted(&text).filter(|word| is_a_sentence(word)).collect();
    assert!(named.len() > 30, "{named:?}");
    let missing: Vec<_> = named.iter().filter(|name| !tests.contains(**name)).collect();
    assert!(missing.is_empty(), "no tests are called {missing:?}");
}

#[test]
fn every_row_of_the_failure_table_names_a_test() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/failure.md");
    let text = fs::read_to_string(path).unwrap();
    let rows = text.lines().filter(|line| line.starts_with('|'));
    let rows = rows.filter(|line| !line.starts_with("|---"));
    let headings = ["| killed |", "| what |"];
    let rows: Vec<_> = rows.filter(|line| !headings.iter().any(|h| line.starts_with(h))).collect();
    assert!(rows.len() > 30);
    let bare: Vec<_> = rows.iter().filter(|row| !quoted(row).any(is_a_sentence)).collect();
    assert!(bare.is_empty(), "{bare:#?}");
}
