//! What may stand where, and what must be said beside it.

use super::complaint;
use super::source::Source;

/// The four reasons for a relaxed access: the constants of `atomic::relaxed`.
const REASONS: &[&str] = &["SOLE_WRITER", "HINT", "VALIDATED", "FENCED"];

/// `libc`, `nix`, `memmap2` and assembly outside their rooms.
pub fn system_calls(source: &Source) -> Vec<String> {
    let has = |line: &str, name: &str| words(line).any(|word| word == name);
    let mut complaints = Vec::new();
    for (number, line) in source.code.iter().enumerate() {
        let calls = ["libc", "nix", "memmap2"].into_iter().find(|name| has(line, name));
        if let Some(name) = calls.filter(|_| source.room != "sys") {
            complaints.push(complaint(source, number, format!("`{name}` belongs in src/sys")));
        }
        let assembly = ["asm", "global_asm", "naked_asm"].iter().any(|name| has(line, name));
        if assembly && source.room != "copy" {
            complaints.push(complaint(source, number, "assembly belongs in src/copy"));
        }
    }
    complaints
}

/// Atomics, fences and orderings outside src/atomic.
pub fn atomics(source: &Source) -> Vec<String> {
    if source.room == "atomic" {
        return Vec::new();
    }
    let orderings = ["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"];
    let refuse = |line: &str| {
        let dense: String = line.split_whitespace().collect();
        if ["sync::atomic", "crossbeam_utils::atomic", "crossbeam_utils::sync", "loom::"]
            .iter()
            .any(|path| dense.contains(path))
        {
            return Some("atomics belong in src/atomic".to_string());
        }
        if dense.replace("cmp::Ordering::", "").contains("Ordering::") {
            return Some("orderings have names in src/atomic".to_string());
        }
        let found = words(line).find(|word| {
            orderings.contains(word) || word.starts_with("Atomic") && word.len() > "Atomic".len()
        });
        found.map(|word| format!("`{word}` belongs in src/atomic"))
    };
    let lines = source.code.iter().enumerate();
    lines.filter_map(|(number, line)| Some(complaint(source, number, refuse(line)?))).collect()
}

/// Relaxed accesses without one of the four reasons: outside src/atomic by the
/// constant, inside it (where the orderings themselves are named) by a comment.
pub fn relaxed(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    let tokens = source.tokens();
    for window in tokens.windows(3) {
        let [(line, first), (_, "::"), (_, reason)] = *window else { continue };
        if first == "relaxed" && *reason != *"{" && !REASONS.contains(&reason) {
            let what = format!("`relaxed::{reason}` is none of {}", REASONS.join(", "));
            complaints.push(complaint(source, line, what));
        }
    }
    for (line, token) in &tokens {
        // Each constant of `edges!` is its own reason.
        let is_constant = REASONS
            .iter()
            .any(|reason| source.code[*line].trim() == format!("{reason} = Relaxed;"));
        // What the ordering campaign does to an edge under test hooks is meant to be wrong.
        let is_mutant = line.checked_sub(1).is_some_and(|l| source.code[l].contains("is_weakened"));
        if source.room != "atomic" || *token != "Relaxed" || is_constant || is_mutant {
            continue;
        }
        let beside = comments_above(source, *line).to_lowercase();
        let named = REASONS.iter().any(|reason| beside.contains(&spoken(reason)));
        if !named {
            complaints.push(complaint(source, *line, "`Relaxed` without one of the four reasons"));
        }
    }
    complaints
}

/// `SOLE_WRITER` as one says it.
fn spoken(reason: &str) -> String {
    reason.to_lowercase().replace('_', " ")
}

/// `SeqCst` other than as `fence(SeqCst)` or `compiler_fence(SeqCst)`.
pub fn seq_cst(source: &Source) -> Vec<String> {
    let tokens = source.tokens();
    let is_fence = |at: usize| {
        let path = tokens[..at].iter().rev().map(|(_, token)| *token);
        let mut before = path.skip_while(|token| *token != "(").skip(1);
        // Nothing but a path stands between the bracket and the ordering.
        let plain = tokens[..at].iter().rev().map(|(_, token)| *token);
        let only_a_path = plain
            .take_while(|token| *token != "(")
            .all(|token| token == "::" || words(token).next().is_some());
        let alone = tokens.get(at + 1).is_some_and(|(_, token)| *token == ")");
        only_a_path && alone && matches!(before.next(), Some("fence" | "compiler_fence"))
    };
    let uses = tokens.iter().enumerate().filter(|(_, (_, token))| *token == "SeqCst");
    uses.filter(|(at, _)| !is_fence(*at))
        .map(|(_, (line, _))| complaint(source, *line, "`SeqCst` is for fences alone"))
        .collect()
}

/// Files with unsafe code that don't opt in before their first item.
pub fn unsafe_files(source: &Source) -> Vec<String> {
    let uses = source.code.iter().position(|line| words(line).any(|word| word == "unsafe"));
    let Some(line) = uses else {
        return Vec::new();
    };
    let head = source.code.iter().map(|line| line.trim());
    let mut head = head.take_while(|line| line.is_empty() || line.starts_with("#!["));
    if head.any(|line| line == "#![allow(unsafe_code)]") {
        return Vec::new();
    }
    vec![complaint(source, line, "unsafe code, and no `#![allow(unsafe_code)]` at the head")]
}

/// Unsafe blocks and impls without a SAFETY comment that cites an invariant: `I` and a
/// number, or `as above` right below one that does.
pub fn safety_comments(source: &Source) -> Vec<String> {
    let tokens = source.tokens();
    let mut complaints = Vec::new();
    for pair in tokens.windows(2) {
        let [(line, "unsafe"), (_, "{" | "impl")] = *pair else { continue };
        let comment = comments_above(source, line);
        let Some((_, reason)) = comment.rsplit_once("SAFETY:") else {
            complaints.push(complaint(source, line, "unsafe code without a SAFETY comment"));
            continue;
        };
        if !cites_an_invariant(reason) && !reason.trim_start().starts_with("as above") {
            complaints.push(complaint(source, line, "a SAFETY comment that cites no invariant"));
        }
    }
    complaints
}

fn cites_an_invariant(text: &str) -> bool {
    words(text).any(|word| {
        let number = word.strip_prefix('I');
        number.is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()))
    })
}

/// The comments on a line and on those above it, up to the end of an earlier statement
/// or item.
fn comments_above(source: &Source, line: usize) -> String {
    let mut comments = vec![source.comments[line].as_str()];
    for above in (0..line).rev() {
        let code = source.code[above].trim();
        let ends = code.ends_with([';', '{', '}']);
        let blank = code.is_empty() && source.comments[above].trim().is_empty();
        if ends || blank {
            break;
        }
        comments.push(&source.comments[above]);
    }
    comments.reverse();
    comments.join("\n")
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

#[cfg(test)]
fn check(rule: fn(&Source) -> Vec<String>, violations: &[(&str, &str)], lawful: &[(&str, &str)]) {
    for (path, text) in violations {
        let complaints = rule(&Source::new(path, text));
        assert_eq!(complaints.len(), 1, "{path}: {text}: {complaints:?}");
    }
    for (path, text) in lawful {
        assert_eq!(rule(&Source::new(path, text)), [""; 0], "{path}: {text}");
    }
}

#[test]
fn system_calls_are_found() {
    check(
        system_calls,
        &[
            ("segment/mod.rs", "libc::open(path)"),
            ("seat.rs", "use nix::fcntl;"),
            ("segment/mod.rs", "use memmap2::MmapRaw;"),
            ("sys/mod.rs", "core::arch::asm!(x)"),
        ],
        &[
            ("sys/file.rs", "use nix::fcntl; libc::open(path)"),
            ("copy.rs", "core::arch::asm!(x)"),
            ("seat.rs", "// libc::open\nlet phoenix = \"nix::\";"),
        ],
    );
}

#[test]
fn atomics_are_found() {
    check(
        atomics,
        &[
            ("copy.rs", "use core::sync::atomic::compiler_fence;"),
            ("copy.rs", "use std::sync::{atomic, Arc}; x(atomic::Ordering::Relaxed)"),
            ("copy.rs", "std::sync::atomic::fence(SeqCst)"),
            ("copy.rs", "use loom::cell::Cell;"),
            ("copy.rs", "use crossbeam_utils::sync::Parker;"),
            ("copy.rs", "word.load(Acquire)"),
            ("copy.rs", "let word: AtomicU64;"),
            ("copy.rs", "match order { Ordering::Less => {} }"),
        ],
        &[
            ("atomic/word.rs", "use core::sync::atomic::AtomicU64; Ordering::Relaxed"),
            ("copy.rs", "match order { cmp::Ordering::Less => {} } // Ordering::Relaxed"),
            ("copy.rs", "use crate::atomic::{Word, relaxed}; word.load(relaxed::HINT)"),
            ("endpoint.rs", "use crossbeam_utils::Backoff;"),
        ],
    );
}

#[test]
fn relaxed_without_a_reason_is_found() {
    check(
        relaxed,
        &[
            ("copy.rs", "word.load(relaxed::FAST)"),
            ("atomic/word.rs", "// As fast as can be.\nself.0.load(Ordering::Relaxed)"),
            ("atomic/word.rs", "// A hint.\na();\nself.0.load(Ordering::Relaxed)"),
            ("atomic/edge.rs", "FAST = Relaxed;"),
        ],
        &[
            ("copy.rs", "word.load(relaxed::HINT); use crate::atomic::relaxed;"),
            ("atomic/word.rs", "// Fenced by PUBLISH.\nself.0\n.load(Ordering::Relaxed)"),
            ("atomic/edge.rs", "SOLE_WRITER = Relaxed;"),
        ],
    );
}

#[test]
fn seq_cst_accesses_are_found() {
    check(
        seq_cst,
        &[
            ("atomic/word.rs", "word.load(Ordering::SeqCst)"),
            ("atomic/word.rs", "fence(word.load(SeqCst))"),
            ("atomic/word.rs", "fence(pick(a, SeqCst))"),
            ("atomic/edge.rs", "RELEASE = SeqCst;"),
        ],
        &[
            ("atomic/word.rs", "core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst)"),
            ("atomic/word.rs", "compiler_fence(SeqCst); // SeqCst"),
        ],
    );
}

#[test]
fn unsafe_files_without_a_word_are_found() {
    check(
        unsafe_files,
        &[
            ("copy.rs", "unsafe { f() }"),
            ("copy.rs", "use a::b;\n#![allow(unsafe_code)]\nunsafe { f() }"),
            ("copy.rs", "#[allow(unsafe_code)]\nunsafe fn f() {}"),
        ],
        &[
            ("copy.rs", "//! Copies.\n\n#![allow(unsafe_code)]\nunsafe { f() }"),
            ("copy.rs", "// unsafe\nfn unsafely() {}"),
        ],
    );
}

#[test]
fn safety_comments_without_an_invariant_are_found() {
    check(
        safety_comments,
        &[
            ("copy.rs", "unsafe { f() }"),
            ("copy.rs", "// SAFETY: it works.\nunsafe { f() }"),
            ("copy.rs", "// SAFETY: I4: mapped.\ng();\nunsafe { f() }"),
            ("copy.rs", "// SAFETY: I4: mapped.\n\nunsafe impl Send for A {}"),
            ("copy.rs", "// SAFETY: I: who?\nlet a =\n    unsafe { f() };"),
        ],
        &[
            ("copy.rs", "// SAFETY: I4: mapped,\n// and so on.\nlet a =\n    unsafe { f() };"),
            ("copy.rs", "// SAFETY: I1, I12: in bounds.\n#[rustfmt::skip]\nunsafe { f() }"),
            ("copy.rs", "// SAFETY: as above.\nunsafe impl Sync for A {}"),
            ("copy.rs", "// SAFETY: I4.\nlet a = b.map(|c| unsafe { f(c) });"),
            ("copy.rs", "unsafe fn f() {}"),
        ],
    );
}
