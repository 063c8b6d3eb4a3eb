//! Which crate knows which: the direction in which all arrows point.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The members of the workspace by their directories, and whom each needs when it is built for use.
struct Graph {
    needs: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    fn read() -> Self {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
        let output = Command::new(env!("CARGO"))
            .args([
                "metadata",
                "--no-deps",
                "--offline",
                "--format-version",
                "1",
            ])
            .arg("--manifest-path")
            .arg(manifest)
            .output()
            .unwrap();
        assert!(output.status.success());
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        let root = Path::new(metadata["workspace_root"].as_str().unwrap());
        let packages = metadata["packages"].as_array().unwrap();
        let directory = |package: &Value| {
            let manifest = Path::new(package["manifest_path"].as_str().unwrap());
            let directory = manifest.parent().unwrap().strip_prefix(root).unwrap();
            directory.to_str().unwrap().to_owned()
        };
        let directories: BTreeMap<_, _> = packages
            .iter()
            .map(|package| (package["name"].as_str().unwrap(), directory(package)))
            .collect();
        let needs = |package: &Value| {
            let dependencies = package["dependencies"].as_array().unwrap();
            dependencies
                .iter()
                .filter(|it| it["kind"] != "dev")
                .filter_map(|it| directories.get(it["name"].as_str().unwrap()).cloned())
                .collect()
        };
        Self {
            needs: packages
                .iter()
                .map(|package| (directory(package), needs(package)))
                .collect(),
        }
    }

    fn needs(&self, member: &str) -> Vec<&str> {
        self.needs[member].iter().map(String::as_str).collect()
    }

    fn below<'a>(&'a self, directory: &'a str) -> impl Iterator<Item = &'a str> {
        let members = self.needs.keys().map(String::as_str);
        members.filter(move |member| member.starts_with(directory))
    }
}

#[test]
fn the_protocol_knows_nobody() {
    let graph = Graph::read();
    assert!(graph.needs("dynamo-proto").is_empty());
    assert!(graph.needs("adapters/mailbox").is_empty());
}

#[test]
fn engines_know_the_storage_face_and_not_each_other() {
    let graph = Graph::read();
    assert_eq!(
        graph.needs("storage-backends/api"),
        ["adapters/mailbox", "dynamo-proto"]
    );
    for engine in graph.below("storage-backends/") {
        for needed in graph.needs(engine) {
            let is_face = needed == "storage-backends/api" || needed == "dynamo-proto";
            let is_worker = engine == "storage-backends/api" && needed == "adapters/mailbox";
            assert!(is_face || is_worker, "{engine} needs {needed}");
        }
    }
}

#[test]
fn adapters_know_what_they_share_and_neither_each_other_nor_engines() {
    let graph = Graph::read();
    let shared = [
        "adapters/driver",
        "adapters/keeper",
        "adapters/mailbox",
        "storage-backends/api",
        "dynamo-proto",
    ];
    // These bring stores of their own.
    let worlds = ["adapters/sim", "adapters/behaviour"];
    for adapter in graph.below("adapters/") {
        for needed in graph.needs(adapter) {
            let is_store = worlds.contains(&adapter) && needed.starts_with("storage-backends/");
            let is_shared = shared.contains(&needed);
            assert!(is_shared || is_store, "{adapter} needs {needed}");
        }
    }
}

#[test]
fn nobody_builds_on_the_program_or_the_tests() {
    let graph = Graph::read();
    for (member, needs) in &graph.needs {
        for needed in needs {
            let is_tests = member.starts_with("tests") && needed.starts_with("tests");
            let is_top = needed == "dynamo" || needed.starts_with("tests");
            assert!(!is_top || is_tests, "{member} needs {needed}");
        }
    }
}
