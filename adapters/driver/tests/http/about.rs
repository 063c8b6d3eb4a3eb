//! What a node tells about itself.

use std::fs;

use dynamo_driver::admin::{Command, Refused};
use serde_json::{Value, json};

use crate::{plain, request};

#[test]
fn a_node_says_whether_it_serves() {
    let mut world = plain();
    assert_eq!(world.get("/ready", "").status, 200);
    world.is_ready = false;
    assert_eq!(world.get("/ready", "").status, 503);
    assert_eq!(world.get("/health", "").text(), "OK\n");
    assert_eq!(world.get("/metrics", "").status, 200);
}

#[test]
fn the_book_explains_each_metric_once() {
    let answer = plain().get("/metrics", "");
    let told = answer.text().lines().filter_map(|line| {
        let (name, _) = line.strip_prefix("# HELP ")?.split_once(' ')?;
        Some(name)
    });
    let page = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/operations/monitoring.md"
    );
    let page = fs::read_to_string(page).unwrap();
    let explained = page.lines().filter_map(|line| {
        let (name, _) = line.strip_prefix("| `")?.split_once("` | ")?;
        let is_one = name.starts_with("dynamo_") && !name.contains('`');
        is_one.then_some(name)
    });
    let (mut explained, mut told): (Vec<_>, Vec<_>) = (explained.collect(), told.collect());
    explained.sort_unstable();
    told.sort_unstable();
    assert_eq!(explained, told);
}

#[test]
fn status_and_ring_are_json() {
    let mut world = plain();
    let status: Value = serde_json::from_slice(&world.get("/status", "").body).unwrap();
    assert_eq!(status["ready"], true);
    assert_eq!(status["peers"].as_array().unwrap().len(), 3);
    assert_eq!(status["peers"][2]["connected"], false);

    let (mut from, mut seen) = (0, 0);
    loop {
        let page = world.get(&format!("/ring?from={from}&count=100"), "");
        let ring: Value = serde_json::from_slice(&page.body).unwrap();
        assert_eq!(ring["members"].as_array().unwrap().len(), 4);
        for partition in ring["partitions"].as_array().unwrap() {
            assert_eq!(partition["partition"], seen);
            assert_eq!(partition["owners"].as_array().unwrap().len(), 3);
            seen += 1;
        }
        match ring["next"].as_u64() {
            Some(next) => from = next,
            None => {
                assert_eq!(ring["partition_count"], seen);
                break;
            }
        }
    }
    let list = world.get("/types/carts/buckets/b/keys/k/preflist", "");
    let list: Value = serde_json::from_slice(&list.body).unwrap();
    let primary = |at: usize| list["preflist"][at]["primary"].as_bool();
    assert_eq!(
        [0, 1, 2, 3, 4].map(primary),
        [Some(true), Some(true), Some(true), Some(false), None]
    );
}

#[test]
fn a_cluster_is_changed_by_who_says_that_it_sends_json() {
    let mut world = plain();
    let plan = r#"{"do":"plan"}"#;
    assert_eq!(world.ask(request("POST", "/cluster", "", plan)).status, 415);
    let json_field = "Content-Type: application/json\r\n";
    for (body, status) in [("{", 400), (r#"{"do":"sing"}"#, 400)] {
        let answer = world.ask(request("POST", "/cluster", json_field, body));
        assert_eq!(answer.status, status, "{body}");
    }
    for (outcome, status, said) in [
        (Ok(json!({ "moved": 0.5 })), "200", "{\"moved\":0.5}\n"),
        (Err(Refused::NoPlan), "409", "first: `plan`\"}\n"),
    ] {
        world
            .feed(request("POST", "/cluster", json_field, plan))
            .unwrap();
        assert_eq!(world.commands[0].1, Command::Plan);
        world.administer(outcome).unwrap();
        let answer = String::from_utf8(world.out.split().to_vec()).unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert!(answer.ends_with(said), "{answer}");
    }
}

#[test]
fn what_cannot_be_done_to_a_path_is_refused() {
    let mut world = plain();
    for (method, path, allowed) in [
        ("PUT", "/ready", "GET, HEAD"),
        ("DELETE", "/ring", "GET, HEAD"),
        ("PUT", "/buckets/b/keys", "GET, HEAD, POST"),
    ] {
        let answer = world.ask(request(method, path, "", ""));
        assert_eq!((answer.status, answer.field("Allow")), (405, Some(allowed)));
    }
}

/// PITFALLS row 25: the lane of whoever watches is not that of the requests.
#[test]
fn a_node_without_room_for_requests_still_tells_about_itself() {
    let mut world = plain();
    world.fails = Some(dynamo_proto::node::Response::Failed(
        dynamo_proto::node::Failure::Overloaded,
    ));
    assert_eq!(world.get("/buckets/b/keys/k", "").status, 503);
    for path in ["/ready", "/health", "/metrics", "/status", "/ring"] {
        assert_eq!(world.get(path, "").status, 200, "{path}");
    }
}

/// A page for browsers, which loads nothing from elsewhere.
#[test]
fn there_is_a_page_that_shows_the_ring() {
    let mut world = plain();
    let page = world.get("/watch", "");
    assert_eq!(page.status, 200);
    assert_eq!(page.field("Content-Type"), Some("text/html; charset=utf-8"));
    let text = page.text();
    for path in ["/status", "/cluster", "/ring", "/preflist"] {
        assert!(text.contains(path), "{path}");
    }
    assert!(!text.contains("src=") && !text.contains("href="));
}
