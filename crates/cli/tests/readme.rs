//! README's example from the shell, as it stands there, and what docs/command.md says of
//! the command.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{expect_nothing_left, random_name, run};

/// A file of the house.
fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

/// The first block of shell under a heading.
fn block(text: &str, heading: &str) -> String {
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).expect("the heading");
    let (_, block) = section.split_once("```sh\n").expect("a block");
    block.split_once("```").expect("its end").0.to_owned()
}

#[test]
fn the_example_from_the_shell_copies_a_tree_and_passes_lines_on() {
    let (name, jobs) = (random_name(), random_name());
    let script = block(&text("README.md"), "From the shell");
    assert!(script.contains("shm:tree") && script.contains("shm:jobs"), "{script}");
    let script = script.replace("shm:tree", &name.shm()).replace("shm:jobs", &jobs.shm());

    let folder = tempfile::tempdir().unwrap();
    let (tree, copy) = (folder.path().join("tree"), folder.path().join("copy"));
    fs::create_dir_all(tree.join("deep/er")).unwrap();
    fs::create_dir(&copy).unwrap();
    let mut random = support::Random::new();
    let files = [("empty", 0), ("deep/some", 5_000), ("deep/er/more", 3_000_000)];
    for (file, len) in files {
        fs::write(tree.join(file), random.bytes(len)).unwrap();
    }

    let binary = Path::new(env!("CARGO_BIN_EXE_annulus"));
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("sh");
    shell.args(["-euc", &script]).current_dir(folder.path());
    shell.env("PATH", format!("{}:{path}", binary.parent().unwrap().display()));
    support::start(shell).end().expect_quiet(0);

    for (file, _) in files {
        assert!(fs::read(tree.join(file)).unwrap() == fs::read(copy.join(file)).unwrap(), "{file}");
    }
    let lines: String = (1..=100).map(|number| format!("{number}\n")).collect();
    assert_eq!(fs::read_to_string(folder.path().join("done")).unwrap(), lines);
    expect_nothing_left(&name);
    expect_nothing_left(&jobs);
}

#[test]
fn the_page_has_each_subcommand_with_each_of_its_options() {
    let page = text("docs/command.md");
    let (_, synopsis) = page.split_once("```text\n").expect("a synopsis");
    let (synopsis, _) = synopsis.split_once("```").expect("its end");
    let (_, help) = run(&["--help"]);
    // A subcommand's other lines are indented.
    let calls: Vec<_> = synopsis.split("annulus ").filter(|call| !call.is_empty()).collect();
    for line in &calls {
        let command = line.split_whitespace().next().expect("a subcommand");
        assert!(help.contains(&format!("\n  {command} ")), "{command} in {help}");
        let (_, help) = run(&[command, "--help"]);
        let options = |text: &str| -> Vec<String> {
            let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
            let mut options: Vec<_> = words.filter(|word| word.starts_with("--")).collect();
            options.retain(|option| *option != "--help");
            options.sort_unstable();
            options.dedup();
            options.into_iter().map(str::to_owned).collect()
        };
        let (_, listed) = help.split_once("\nOptions:").expect("options");
        let (listed, _) = listed.split_once("\nExit codes:").unwrap_or((listed, ""));
        assert_eq!(options(line), options(listed), "{command}");
    }
    assert_eq!(calls.len(), 7);
}
