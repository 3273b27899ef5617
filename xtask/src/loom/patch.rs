//! A patch of several files, applied exactly or not at all.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use diffy::patch_set::{FileOperation, ParseOptions, PatchSet};
use diffy::{Hunk, Line, Patch};

/// One file's new contents.
#[derive(Debug, PartialEq, Eq)]
pub struct Patched {
    /// Where it lies, relative to the patched folder.
    pub path: PathBuf,
    /// What it says after the patch.
    pub text: String,
}

/// Applies a unified diff with `a/` and `b/` prefixes to the files that `read` gives.
///
/// Each hunk must stand where the diff says, to the line, with each context and deleted
/// line as it is there: no offset, no fuzz. Files may only be modified.
pub fn apply(diff: &str, read: impl Fn(&Path) -> Result<String>) -> Result<Vec<Patched>> {
    let mut files: Vec<Patched> = Vec::new();
    for file in PatchSet::parse(diff, ParseOptions::unidiff()) {
        let file = file.context("the patch can't be parsed")?;
        let FileOperation::Modify { original, modified } = file.operation() else {
            bail!("the patch does other than modify: {:?}", file.operation());
        };
        let path = strip_prefix(original, "a/")?;
        ensure!(
            path == strip_prefix(modified, "b/")?,
            "the patch renames {original} to {modified}"
        );
        ensure!(files.iter().all(|earlier| earlier.path != path), "the patch names {path:?} twice");
        let patch = file.patch().as_text().context("a binary patch")?;
        let text = read(&path).with_context(|| format!("can't read {path:?}, to be patched"))?;
        let text = apply_exactly(patch, &text).with_context(|| format!("in {path:?}"))?;
        files.push(Patched { path, text });
    }
    // What the parser took for a trailer must not have been a file of its own.
    let named = diff.lines().filter(|line| line.starts_with("--- ")).count();
    ensure!(!files.is_empty(), "the patch changes nothing");
    ensure!(
        files.len() == named,
        "the patch names {named} files and {} were understood",
        files.len()
    );
    Ok(files)
}

fn strip_prefix(path: &str, prefix: &str) -> Result<PathBuf> {
    let stripped = path
        .strip_prefix(prefix)
        .with_context(|| format!("{path} does not start with {prefix}"))?;
    let path = PathBuf::from(stripped);
    let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
    ensure!(inside, "{stripped} leads out of the patched folder");
    Ok(path)
}

fn apply_exactly(patch: &Patch<'_, str>, text: &str) -> Result<String> {
    let base: Vec<_> = text.split_inclusive('\n').collect();
    for (index, hunk) in patch.hunks().iter().enumerate() {
        expect_at_its_place(hunk, &base).with_context(|| format!("hunk {}", index + 1))?;
    }
    // Every hunk matches where it says, so diffy, which looks there first, looks nowhere else.
    Ok(diffy::apply(text, patch)?)
}

fn expect_at_its_place(hunk: &Hunk<'_, str>, base: &[&str]) -> Result<()> {
    let old = hunk.lines().iter().filter_map(|line| match line {
        Line::Context(text) | Line::Delete(text) => Some(*text),
        Line::Insert(_) => None,
    });
    let first = hunk.old_range().start();
    for (number, expected) in (first..).zip(old) {
        let found = number.checked_sub(1).and_then(|index| base.get(index));
        ensure!(
            found == Some(&expected),
            "line {number} is {:?}, the patch expects {expected:?}",
            found.copied().unwrap_or("past the end")
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_FILES: &str = "\
diff -ru a/src b/src
--- a/src/one
+++ b/src/one
@@ -1,3 +1,4 @@
 first
-second
+2nd
+2nd and a half
 third
@@ -8,2 +9,2 @@
 eighth
-ninth
+9th
diff -ru a/src b/src
--- a/two
+++ b/two
@@ -1 +1 @@
-alone
+all alone
";
    const ONE: &str = "first\nsecond\nthird\n4\n5\n6\n7\neighth\nninth\n";

    fn read(one: &'static str) -> impl Fn(&Path) -> Result<String> {
        move |path| match path.to_str() {
            Some("src/one") => Ok(one.into()),
            Some("two") => Ok("alone\n".into()),
            _ => bail!("no such file"),
        }
    }

    #[test]
    fn each_file_gets_its_hunks() {
        let files = apply(TWO_FILES, read(ONE)).unwrap();
        assert_eq!(files.len(), 2);
        assert_eq!(files[0].path, Path::new("src/one"));
        let expected = "first\n2nd\n2nd and a half\nthird\n4\n5\n6\n7\neighth\n9th\n";
        assert_eq!(files[0].text, expected);
        assert_eq!(files[1].path, Path::new("two"));
        assert_eq!(files[1].text, "all alone\n");
    }

    #[test]
    fn a_hunk_that_stands_elsewhere_is_refused() {
        let shifted = "zeroth\nfirst\nsecond\nthird\n4\n5\n6\n7\neighth\nninth\n";
        let error = format!("{:#}", apply(TWO_FILES, read(shifted)).unwrap_err());
        assert!(error.contains("hunk 1: line 1 is \"zeroth"), "{error}");
    }

    #[test]
    fn a_context_line_that_differs_is_refused() {
        let edited = "first\nsecond\nthird\n4\n5\n6\n7\nEighth\nninth\n";
        let error = format!("{:#}", apply(TWO_FILES, read(edited)).unwrap_err());
        assert!(error.contains("hunk 2: line 8 is \"Eighth"), "{error}");
    }

    #[test]
    fn a_file_that_ends_early_is_refused() {
        let error = format!("{:#}", apply(TWO_FILES, read("first\n")).unwrap_err());
        assert!(error.contains("past the end"), "{error}");
    }

    #[test]
    fn a_file_that_is_not_there_is_refused() {
        let missing = TWO_FILES.replace("/two", "/three");
        let error = format!("{:#}", apply(&missing, read(ONE)).unwrap_err());
        assert!(error.contains("\"three\""), "{error}");
    }

    #[test]
    fn a_path_that_leads_out_is_refused() {
        let outside = TWO_FILES.replace("/two", "/../two");
        let error = format!("{:#}", apply(&outside, read(ONE)).unwrap_err());
        assert!(error.contains("leads out"), "{error}");
    }

    #[test]
    fn a_patch_of_nothing_is_refused() {
        assert!(apply("", read(ONE)).is_err());
    }
}
