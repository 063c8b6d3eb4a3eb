//! What fuzzing found worth keeping, run again as ordinary tests.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

use dynamo_tests::fuzz;

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus")
}

/// The paths in a directory.
fn list(directory: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("a readable directory").path())
        .collect();
    paths.sort();
    paths
}

fn replay(target: &str, body: fn(&[u8])) {
    let kept = list(&corpora().join(target));
    assert!(!kept.is_empty(), "nothing is kept for {target}");
    for path in kept {
        println!("{}", path.display()); // shown when the next line panics
        body(&fs::read(&path).expect("a readable file"));
    }
}

#[test]
fn what_is_kept_of_contexts_still_holds() {
    replay("contexts", fuzz::contexts);
}

#[test]
fn what_is_kept_of_data_still_holds() {
    replay("data", fuzz::data);
}

#[test]
fn what_is_kept_of_frames_still_holds() {
    replay("frames", fuzz::frames);
}

#[test]
fn what_is_kept_of_http_still_holds() {
    replay("http", fuzz::http);
}

#[test]
fn what_is_kept_of_membership_still_holds() {
    replay("membership", fuzz::membership);
}

#[test]
fn what_is_kept_of_node_still_holds() {
    replay("node", fuzz::node);
}

#[test]
fn what_is_kept_of_placement_still_holds() {
    replay("placement", fuzz::placement);
}

#[test]
fn what_is_kept_of_resp_still_holds() {
    replay("resp", fuzz::resp);
}

#[test]
fn what_is_kept_of_riak_still_holds() {
    replay("riak", fuzz::riak);
}

#[test]
fn what_is_kept_of_schedules_still_holds() {
    replay("schedules", fuzz::schedules);
}

#[test]
fn what_is_kept_of_versions_still_holds() {
    replay("versions", fuzz::versions);
}

#[test]
fn no_corpus_is_left_out() {
    let names: Vec<_> = list(&corpora())
        .iter()
        .map(|path| path.file_name().unwrap().to_owned())
        .collect();
    assert_eq!(
        names,
        [
            "contexts",
            "data",
            "frames",
            "http",
            "membership",
            "node",
            "placement",
            "resp",
            "riak",
            "schedules",
            "versions"
        ]
    );
}
