//! The house keeps its order: what lies in src/ is read and compared with the rules of
//! docs/ that no compiler checks.
//!
//! Each rule is a function from sources to complaints, and has beside it a test that
//! plants a violation and one that plants its lawful neighbour.

mod layers;
mod rules;
mod source;

use std::path::Path;

use source::Source;

/// A broken rule: `src/file.rs:line: what is wrong`.
fn complaint(source: &Source, line: usize, what: impl std::fmt::Display) -> String {
    format!("{}:{}: {what}", source.path, line + 1)
}

fn assert_kept(rule: fn(&Source) -> Vec<String>) {
    let sources = source::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(sources.len() > 10, "src/ was not found");
    let complaints: Vec<_> = sources.iter().flat_map(rule).collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn rooms_import_lower_layers_alone() {
    assert_kept(layers::imports);
}

#[test]
fn system_calls_stay_in_sys() {
    assert_kept(rules::system_calls);
}

#[test]
fn atomics_stay_in_atomic() {
    assert_kept(rules::atomics);
}

#[test]
fn relaxed_accesses_give_their_reason() {
    assert_kept(rules::relaxed);
}

#[test]
fn seq_cst_is_a_fence() {
    assert_kept(rules::seq_cst);
}

#[test]
fn unsafe_files_say_so_at_their_head() {
    assert_kept(rules::unsafe_files);
}

#[test]
fn safety_comments_cite_an_invariant() {
    assert_kept(rules::safety_comments);
}
