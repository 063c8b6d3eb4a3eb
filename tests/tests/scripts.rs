//! The scripts of `tests/scripts`: what nodes do, command by command, as it was last looked at.
//!
//! `UPDATE_SCRIPTS=1 cargo test -p dynamo-tests --test scripts` writes down what they do now. Read
//! what changed as you would read code: a trace is a claim about the protocol.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use dynamo_tests::script;

const UPDATE: &str = "UPDATE_SCRIPTS";

fn scripts() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let entries = fs::read_dir(&directory).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|kind| kind == "txt"));
    paths.sort();
    paths
}

#[test]
fn every_script_does_what_is_written_there() {
    let scripts = scripts();
    assert!(!scripts.is_empty(), "no scripts");
    let is_update = env::var_os(UPDATE).is_some();
    let mut faults = String::new();
    for path in scripts {
        let name = Path::new("tests/scripts").join(path.file_name().unwrap());
        let name = name.display();
        let written = fs::read_to_string(&path).unwrap();
        match script::rewrite(&written) {
            Err(error) => writeln!(faults, "{name}:{error}\n").unwrap(),
            Ok(now) if now == written => {}
            Ok(now) if is_update => {
                println!("{name}: rewritten");
                fs::write(&path, now).unwrap();
            }
            Ok(now) => writeln!(faults, "{name}:\n{}", difference(&written, &now)).unwrap(),
        }
    }
    assert!(
        faults.is_empty(),
        "scripts do something else than is written there (-), namely this (+):\n\n{faults}\
         If that is right: {UPDATE}=1 cargo test -p dynamo-tests --test scripts"
    );
}

/// The lines in which two texts differ, each stretch with its place in the first.
fn difference(old: &str, new: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
    // The length of the longest common rest, from each pair of places on.
    let mut common = vec![vec![0; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = if old[i] == new[j] {
                1 + common[i + 1][j + 1]
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut is_same) = (0, 0, true);
    let mut out = String::new();
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j, is_same) = (i + 1, j + 1, true);
            continue;
        }
        if is_same {
            writeln!(out, "@ line {}", i + 1).unwrap();
            is_same = false;
        }
        if j == new.len() || i < old.len() && common[i + 1][j] >= common[i][j + 1] {
            writeln!(out, "-{}", old[i]).unwrap();
            i += 1;
        } else {
            writeln!(out, "+{}", new[j]).unwrap();
            j += 1;
        }
    }
    out
}

#[test]
fn a_difference_names_the_lines_that_differ() {
    assert_eq!(
        difference("a\nb\nc\nd\n", "a\nc\nx\nd\n"),
        "@ line 2\n-b\n@ line 4\n+x\n"
    );
}
