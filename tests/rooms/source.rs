//! A source file, its code and its comments apart, line by line.

use std::fs;
use std::path::Path;

/// One file below src/.
pub struct Source {
    /// `src/…`, for complaints.
    pub path: String,
    /// The room it belongs to: its folder below src/, or its own name.
    pub room: String,
    /// How many modules it lies below the crate's root; 0 for lib.rs.
    pub depth: usize,
    /// Each line without comments, and with the contents of literals blanked.
    pub code: Vec<String>,
    /// What each line has of comments.
    pub comments: Vec<String>,
}

impl Source {
    /// The file `path`, relative to src/.
    pub fn new(path: &str, text: &str) -> Self {
        let modules = path.trim_end_matches(".rs").trim_end_matches("/mod");
        let room = modules.split('/').next().unwrap_or(modules);
        let depth = if room == "lib" { 0 } else { modules.split('/').count() };
        let (code, comments) = split(text);
        Self { path: format!("src/{path}"), room: room.into(), depth, code, comments }
    }

    /// Its identifiers and punctuation marks (`::` is one), each with its line's index.
    pub fn tokens(&self) -> Vec<(usize, &str)> {
        let mut tokens = Vec::new();
        for (number, line) in self.code.iter().enumerate() {
            let mut rest = line.trim_start();
            while let Some(first) = rest.chars().next() {
                let is_word = |c: char| c.is_alphanumeric() || c == '_';
                let length = if is_word(first) {
                    rest.find(|c| !is_word(c)).unwrap_or(rest.len())
                } else if rest.starts_with("::") {
                    2
                } else {
                    first.len_utf8()
                };
                tokens.push((number, &rest[..length]));
                rest = rest[length..].trim_start();
            }
        }
        tokens
    }
}

/// All files below a folder.
pub fn read(folder: &Path) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap_or_else(|error| panic!("{next:?}: {error}")) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a text");
                let relative = path.strip_prefix(folder).expect("below it").to_str();
                sources.push(Source::new(relative.expect("a name in UTF-8"), &text));
            }
        }
    }
    sources
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Code,
    LineComment,
    BlockComment {
        depth: usize,
    },
    /// Up to `"` and as many `#`; escapes count if `raw` is `None`.
    Text {
        raw: Option<usize>,
    },
}

fn split(text: &str) -> (Vec<String>, Vec<String>) {
    let (mut code, mut comments) = (vec![String::new()], vec![String::new()]);
    let mut state = State::Code;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == '\n' {
            if state == State::LineComment {
                state = State::Code;
            }
            code.push(String::new());
            comments.push(String::new());
            rest = &rest[1..];
            continue;
        }
        let (next, length) = step(state, rest, code.last().expect("a line"));
        // The marks that begin and end a comment belong to it; those of a literal to code.
        let (to_code, to_comments) = match (state, next) {
            (State::Code, State::Code) => (true, false),
            (State::Code, State::Text { .. }) | (State::Text { .. }, State::Code) => (true, false),
            (State::Text { .. }, _) => (false, false),
            _ => (false, true),
        };
        if to_code {
            code.last_mut().expect("a line").push_str(&rest[..length]);
        }
        if to_comments {
            comments.last_mut().expect("a line").push_str(&rest[..length]);
        }
        state = next;
        rest = &rest[length..];
    }
    (code, comments)
}

/// The state after the next few bytes, and how many they are. `line` is the code before.
fn step(state: State, rest: &str, line: &str) -> (State, usize) {
    let one = rest.chars().next().map_or(1, char::len_utf8);
    match state {
        State::LineComment => (state, one),
        State::BlockComment { depth } => match () {
            () if rest.starts_with("/*") => (State::BlockComment { depth: depth + 1 }, 2),
            () if rest.starts_with("*/") && depth == 1 => (State::Code, 2),
            () if rest.starts_with("*/") => (State::BlockComment { depth: depth - 1 }, 2),
            () => (state, one),
        },
        State::Text { raw: None } if rest.starts_with('\\') => {
            // An escaped line end stays a line end.
            let escaped = rest[1..].chars().next().filter(|c| *c != '\n');
            (state, 1 + escaped.map_or(0, char::len_utf8))
        }
        State::Text { raw } => {
            let end = format!("\"{}", "#".repeat(raw.unwrap_or(0)));
            if rest.starts_with(&end) { (State::Code, end.len()) } else { (state, one) }
        }
        State::Code if rest.starts_with("//") => (State::LineComment, 2),
        State::Code if rest.starts_with("/*") => (State::BlockComment { depth: 1 }, 2),
        State::Code if rest.starts_with('"') => (State::Text { raw: None }, 1),
        State::Code if rest.starts_with('\'') => (State::Code, character(rest)),
        State::Code => raw_text(rest, line).unwrap_or((state, one)),
    }
}

/// The length of a character literal, or of the mark that begins a lifetime.
fn character(rest: &str) -> usize {
    if rest.starts_with("'\\") {
        // The character after the backslash may be a quote itself.
        return rest[3..].find('\'').map_or(1, |end| end + 4);
    }
    let length = rest[1..].chars().next().map_or(0, char::len_utf8);
    if rest[1 + length..].starts_with('\'') { length + 2 } else { 1 }
}

/// A raw literal's beginning (`r"`, `br#"`), unless it is the end of a name.
fn raw_text(rest: &str, line: &str) -> Option<(State, usize)> {
    let in_a_name = line.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    let prefix = ["r", "br", "cr"].into_iter().find(|prefix| {
        let after = rest.strip_prefix(prefix);
        after.is_some_and(|after| after.trim_start_matches('#').starts_with('"'))
    });
    let prefix = prefix.filter(|_| !in_a_name)?;
    let hashes = rest[prefix.len()..].chars().take_while(|c| *c == '#').count();
    Some((State::Text { raw: Some(hashes) }, prefix.len() + hashes + 1))
}

#[test]
fn code_comments_and_literals_come_apart() {
    let text = "let a = \"// no\"; // yes\n\
                let b = r#\"/* \" no\"#; /* yes\n yes /* nested */ */ let c = '\"';\n\
                fn d<'a>(e: &'a str) {} // '\n\
                let f = '\\''; let g = br\"\\\"; // h\n\
                let i = \"j\\\n k\"; l";
    let source = Source::new("room/file.rs", text);
    assert_eq!(
        source.code,
        [
            "let a = \"\"; ",
            "let b = r#\"\"#; ",
            " let c = '\"';",
            "fn d<'a>(e: &'a str) {} ",
            "let f = '\\''; let g = br\"\"; ",
            "let i = \"",
            "\"; l",
        ]
    );
    assert_eq!(source.comments[..3], ["// yes", "/* yes", " yes /* nested */ */"]);
    assert_eq!(source.comments[3..5], ["// '", "// h"]);
}

#[test]
fn files_know_their_room_and_depth() {
    let of = |path| {
        let source = Source::new(path, "");
        (source.room, source.depth)
    };
    assert_eq!(of("lib.rs"), ("lib".into(), 0));
    assert_eq!(of("copy.rs"), ("copy".into(), 1));
    assert_eq!(of("sys/mod.rs"), ("sys".into(), 1));
    assert_eq!(of("spsc/sender.rs"), ("spsc".into(), 2));
}

#[test]
fn tokens_keep_paths_apart() {
    let source = Source::new("copy.rs", "use crate::atomic::{Word};\na:b");
    let words: Vec<_> = source.tokens().into_iter().map(|(_, token)| token).collect();
    let expected = "use crate :: atomic :: { Word } ; a : b";
    assert_eq!(words, expected.split(' ').collect::<Vec<_>>());
    assert_eq!(source.tokens()[9], (1, "a"));
}
