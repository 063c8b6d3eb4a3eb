//! The pages of the tree: what they link to is there, and what they tell of the code is so.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All pages in a folder, by their paths from the root, and in those within.
fn pages(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = match folder {
            "." => name.clone(),
            _ => format!("{folder}/{name}"),
        };
        if entry.file_type().unwrap().is_dir() {
            if !name.starts_with('.') && !name.starts_with("target") && name != "corpus" {
                found.extend(pages(&path));
            }
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(page: &str) -> String {
    fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// Lines that are text, with their numbers: not those between fences.
fn text(page: &str) -> Vec<(usize, String)> {
    let mut is_code = false;
    let mut lines = Vec::new();
    for (at, line) in (1..).zip(read(page).lines()) {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            lines.push((at, line.to_owned()));
        }
    }
    assert!(!is_code, "{page}: a fence is not closed");
    lines
}

/// What stands between backquotes.
fn code(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The targets of all links and pictures in a line. What is linked may be code: ``[`a`](b)``.
fn targets(line: &str) -> Vec<&str> {
    let ends = line.split("](").skip(1);
    ends.filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target)
        .collect()
}

/// The names by which the headings of a page can be linked to.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (_, line) in text(page) {
        let Some(heading) = line.strip_prefix('#') else {
            continue;
        };
        let heading = heading.trim_start_matches('#').trim().replace('`', "");
        let name: String = (heading.to_lowercase().chars())
            .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter))
            .map(|letter| if letter == ' ' { '-' } else { letter })
            .collect();
        let is_new = names.insert(name);
        assert!(is_new, "{page}: two headings are called {heading:?}");
    }
    names
}

/// Where a link on a page leads, from the root, and to which heading.
fn resolve(page: &str, target: &str) -> (String, Option<String>) {
    let (path, anchor) = match target.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor.to_owned())),
        None => (target, None),
    };
    if path.is_empty() {
        return (page.to_owned(), anchor);
    }
    let mut folders: Vec<_> = page.split('/').collect();
    folders.pop();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => assert!(folders.pop().is_some(), "{page}: {target} leaves the tree"),
            part => folders.push(part),
        }
    }
    (folders.join("/"), anchor)
}

#[test]
fn what_pages_link_to_is_there() {
    let mut links = 0;
    for page in pages(".") {
        for (at, line) in text(&page) {
            for target in targets(&line) {
                if target.contains("://") {
                    continue;
                }
                let (path, anchor) = resolve(&page, target);
                let place = format!("{page}:{at}: {target}");
                assert!(root().join(&path).exists(), "{place} is not there");
                if let Some(anchor) = anchor {
                    assert!(anchors(&path).contains(&anchor), "{place}: no such heading");
                }
                let is_page = page.starts_with("docs/");
                assert!(
                    !is_page || path.starts_with("docs/"),
                    "{place} leads out of the book: name the file instead"
                );
                links += 1;
            }
        }
    }
    assert!(links > 100, "{links} links");
}

/// Files of this tree are named from its root.
#[test]
fn files_that_pages_name_are_there() {
    let folders = [
        "adapters/",
        "benches/",
        "docs/",
        "dynamo-proto/",
        "dynamo/",
        "fuzz/",
        "scripts/",
        "storage-backends/",
        "tests/",
    ];
    let mut named = 0;
    for page in pages("docs") {
        for (at, line) in text(&page) {
            for code in code(&line) {
                let is_path = folders.iter().any(|folder| code.starts_with(folder));
                let path = code.split([' ', '*']).next().unwrap();
                if is_path && !path.contains("...") {
                    assert!(root().join(path).exists(), "{page}:{at}: {path}");
                    named += 1;
                }
            }
        }
    }
    assert!(named > 20, "{named} files");
}

/// Parts of files are shown between the marks `ANCHOR: name` and `ANCHOR_END: name`.
#[test]
fn what_pages_include_is_there() {
    let mut included = 0;
    for page in pages("docs") {
        for line in read(&page).lines() {
            let Some(rest) = line.strip_prefix("{{#include ") else {
                continue;
            };
            let (path, name) = rest.trim_end_matches('}').split_once(':').unwrap();
            let source = read(&resolve(&page, path).0);
            for mark in ["ANCHOR", "ANCHOR_END"] {
                let mark = format!("// {mark}: {name}\n");
                assert!(source.contains(&mark), "{page}: {path} has no {mark}");
            }
            included += 1;
        }
    }
    assert!(included > 0);
}

#[test]
fn every_page_is_in_the_book_once() {
    let mut listed = Vec::new();
    for (_, line) in text("docs/SUMMARY.md") {
        listed.extend(targets(&line).iter().map(|page| format!("docs/{page}")));
    }
    listed.push("docs/SUMMARY.md".to_owned());
    listed.sort();
    assert_eq!(listed, pages("docs"));
}

/// The layouts at the head of a module.
fn layouts(module: &str) -> Vec<String> {
    let source = read(module);
    let head = source.lines().map_while(|line| line.strip_prefix("//!"));
    let (mut layouts, mut layout) = (Vec::new(), None);
    for line in head {
        let line = line.strip_prefix(' ').unwrap_or(line);
        match (line, &mut layout) {
            ("```text", None) => layout = Some(String::new()),
            ("```", Some(_)) => layouts.extend(layout.take()),
            (line, Some(layout)) => {
                layout.push_str(line);
                layout.push('\n');
            }
            (_, None) => {}
        }
    }
    layouts
}

#[test]
fn layouts_in_the_book_are_those_of_the_code() {
    for (page, modules) in [
        (
            "docs/wire.md",
            &[
                "dynamo-proto/src/wire/encoding.rs",
                "dynamo-proto/src/wire/frame.rs",
                "dynamo-proto/src/wire/handshake.rs",
                "dynamo-proto/src/wire/listing.rs",
                "dynamo-proto/src/wire/request.rs",
            ][..],
        ),
        (
            "docs/stored.md",
            &[
                "dynamo-proto/src/key.rs",
                "dynamo-proto/src/version/encoding.rs",
                "dynamo-proto/src/version/metadata.rs",
                "storage-backends/api/src/address.rs",
                "storage-backends/api/src/directory/mod.rs",
            ],
        ),
    ] {
        let text = read(page);
        for module in modules {
            let layouts = layouts(module);
            assert!(!layouts.is_empty(), "{module} has none");
            for layout in layouts {
                assert!(text.contains(&layout), "{page}, from {module}:\n{layout}");
            }
        }
    }
}

#[test]
fn every_planted_bug_is_named_with_the_promise_that_it_breaks() {
    let source = read("dynamo-proto/src/planted.rs");
    let (_, bugs) = source.split_once("bugs! {\n").unwrap();
    let (bugs, _) = bugs.split_once("\n}").unwrap();
    let promises = read("docs/promises.md");
    let mut named = 0;
    for bug in bugs
        .lines()
        .filter_map(|line| line.trim().strip_suffix(','))
    {
        assert!(promises.contains(&format!("`{bug}`")), "{bug} is not");
        named += 1;
    }
    assert!(named > 0);
}
