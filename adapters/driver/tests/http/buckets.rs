//! Buckets: their properties, and what is in them.

use dynamo_driver::admin::Command;
use serde_json::{Value, json};

use crate::desk::World;
use crate::{Answer, request, siblings};

const JSON: &str = "Content-Type: application/json\r\n";

fn props(world: &mut World, path: &str) -> Value {
    let shown = world.get(path, "");
    assert_eq!(
        (shown.status, shown.field("Content-Type")),
        (200, Some("application/json"))
    );
    let shown: Value = serde_json::from_slice(&shown.body).unwrap();
    shown["props"].clone()
}

/// Sets properties, and has the cluster note them.
fn set(world: &mut World, path: &str, props: &Value) -> u16 {
    let body = json!({ "props": props }).to_string();
    world.feed(request("PUT", path, JSON, &body)).unwrap();
    if !world.commands.is_empty() {
        return world.noted().status;
    }
    Answer::split(&world.out.split()).0.status
}

#[test]
fn properties_are_shown_set_and_reset() {
    let mut world = siblings();
    let path = "/buckets/b/props";
    let usual = props(&mut world, path);
    for (name, value) in [
        ("name", json!("b")),
        ("n_val", json!(3)),
        ("allow_mult", json!(false)),
        ("r", json!("quorum")),
        ("pr", json!(0)),
        (
            "chash_keyfun",
            json!({"mod": "riak_core_util", "fun": "chash_std_keyfun"}),
        ),
    ] {
        assert_eq!(usual[name], value, "{name}");
    }
    assert_eq!(props(&mut world, "/riak/b"), usual, "by an old URL");
    let asked = json!({"allow_mult": true, "n_val": 2, "r": 1, "w": "all"});
    assert_eq!(set(&mut world, path, &asked), 204);
    let now = props(&mut world, path);
    assert_eq!(
        [&now["allow_mult"], &now["n_val"], &now["r"], &now["w"]],
        [&json!(true), &json!(2), &json!(1), &json!("all")]
    );
    assert_eq!(props(&mut world, "/buckets/other/props")["n_val"], 3);
    // What was shown is what may be set: nothing is new in it, and the cluster is not asked.
    assert_eq!(set(&mut world, path, &now), 204);

    world.feed(request("DELETE", path, "", "")).unwrap();
    assert_eq!(world.noted().status, 204);
    assert_eq!(props(&mut world, path), usual);
}

#[test]
fn properties_that_are_not_to_be_had_are_named_with_the_reason() {
    let mut world = siblings();
    for (asked, answer) in [
        (json!({"n_val": "three"}), json!({"n_val": "not_integer"})),
        (json!({"n_val": 0}), json!({"n_val": "not_integer"})),
        (json!({"r": "most"}), json!({"r": "not_valid_quorum"})),
        (json!({"w": 0}), json!({"w": "not_valid_quorum"})),
        (
            json!({"allow_mult": 1}),
            json!({"allow_mult": "not_boolean"}),
        ),
        (json!({"backend": "x"}), json!({"backend": "not_supported"})),
        (
            json!({"precommit": [{}]}),
            json!({"precommit": "not_supported"}),
        ),
        (json!({"chosen": 1}), json!({"chosen": "not_supported"})),
        (
            json!({"last_write_wins": true}),
            json!({"last_write_wins": "cannot_be_changed"}),
        ),
    ] {
        let body = json!({ "props": asked }).to_string();
        let refused = world.put("/buckets/b/props", JSON, &body);
        assert_eq!(refused.status, 400);
        let said: Value = serde_json::from_slice(&refused.body).unwrap();
        assert_eq!(said, answer);
    }
    for body in ["", "{", "{}", r#"{"props":7}"#] {
        assert_eq!(world.put("/buckets/b/props", JSON, body).status, 400);
    }
    assert!(world.commands.is_empty());
}

#[test]
fn the_properties_of_a_type_are_those_of_its_buckets() {
    let mut world = siblings();
    let path = "/types/carts/props";
    assert_eq!(props(&mut world, path)["allow_mult"], true);
    let body = r#"{"props":{"r":"one"}}"#;
    world.feed(request("PUT", path, JSON, body)).unwrap();
    let Some((_, Command::Note { bucket: None, .. })) = world.commands.first() else {
        panic!("a note of a type");
    };
    assert_eq!(world.noted().status, 204);
    assert_eq!(props(&mut world, path)["r"], "one");
    let buckets = "/types/carts/buckets/any/props";
    assert_eq!(props(&mut world, buckets)["r"], "one");
    let refused = world.put("/types/default/props", JSON, body);
    assert_eq!(refused.status, 400);
    assert_eq!(world.get("/types/none/props", "").status, 404);
    assert_eq!(world.get("/types/none/buckets/b/props", "").status, 404);
}

/// The parts of a body in chunks, and what comes after it.
fn chunks(mut bytes: &[u8]) -> (Vec<String>, &[u8]) {
    let mut chunks = Vec::new();
    loop {
        let end = bytes.windows(2).position(|it| it == b"\r\n").unwrap();
        let len = usize::from_str_radix(str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        let (chunk, rest) = bytes[end + 2..].split_at(len);
        bytes = rest.strip_prefix(b"\r\n").unwrap();
        if len == 0 {
            return (chunks, bytes);
        }
        chunks.push(String::from_utf8(chunk.to_vec()).unwrap());
    }
}

fn names(json: &str, what: &str) -> Vec<String> {
    let json: Value = serde_json::from_str(json).unwrap();
    let names = json[what].as_array().unwrap();
    let text = |name: &Value| name.as_str().unwrap().to_owned();
    let mut names: Vec<_> = names.iter().map(text).collect();
    names.sort();
    names
}

#[test]
fn a_few_names_are_listed_in_one_piece() {
    let mut world = siblings();
    for path in [
        "/buckets/a/keys/1",
        "/buckets/a/keys/%C3%A4%22",
        "/buckets/b/keys/1",
        "/types/carts/buckets/c/keys/1",
    ] {
        world.put(path, "", "v");
    }
    for (path, what, expected) in [
        ("/buckets?buckets=true", "buckets", &["a", "b"][..]),
        ("/riak?buckets=true", "buckets", &["a", "b"]),
        ("/buckets?buckets=stream", "buckets", &["a", "b"]),
        ("/types/carts/buckets?buckets=true", "buckets", &["c"]),
        ("/buckets/a/keys?keys=true", "keys", &["1", "ä\""]),
        ("/buckets/a/keys?keys=stream", "keys", &["1", "ä\""]),
        ("/buckets/none/keys?keys=true", "keys", &[]),
        ("/riak/a?keys=true&props=false", "keys", &["1", "ä\""]),
    ] {
        let listed = world.get(path, "");
        assert_eq!(listed.field("Content-Type"), Some("application/json"));
        assert_eq!(names(listed.text(), what), expected, "{path}");
    }
    // Who does not say so gets none, and the cluster is spared.
    for path in ["/buckets", "/buckets/a/keys", "/buckets/a/keys?keys=false"] {
        assert_eq!(world.get(path, "").text(), "{}", "{path}");
    }
    let both: Value = serde_json::from_slice(&world.get("/riak/b?keys=true", "").body).unwrap();
    assert_eq!(
        (&both["keys"], &both["props"]["n_val"]),
        (&json!(["1"]), &json!(3))
    );
}

#[test]
fn many_keys_come_in_chunks_page_by_page() {
    let mut world = siblings();
    let many = usize::from(dynamo_proto::node::MOST_LISTED) * 2 + 1;
    for at in 0..many {
        world.put(&format!("/buckets/b/keys/{at:06}"), "", "v");
    }
    let expected: Vec<_> = (0..many).map(|at| format!("{at:06}")).collect();
    for (how, least) in [("true", 3), ("stream", 3)] {
        let path = format!("/buckets/b/keys?keys={how}");
        let said = world.say(request("GET", &path, "", ""));
        let end = said.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
        let head = str::from_utf8(&said[..end]).unwrap();
        assert!(
            head.contains("\r\nTransfer-Encoding: chunked\r\n"),
            "{head}"
        );
        let (parts, rest) = chunks(&said[end..]);
        assert!(rest.is_empty());
        assert!(parts.len() >= least, "{}", parts.len());
        let mut listed = match how {
            "true" => names(&parts.concat(), "keys"),
            _ => parts.iter().flat_map(|part| names(part, "keys")).collect(),
        };
        listed.sort();
        assert_eq!(listed, expected, "{how}");
    }
    // To a client of HTTP/1.0 the end of the connection is the end.
    let (said, _) = world.last_words("GET /buckets/b/keys?keys=true HTTP/1.0\r\n\r\n");
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Connection: close") && !head.contains("chunked"));
    assert_eq!(names(body, "keys"), expected);
}

#[test]
fn a_listing_that_fails_on_the_way_is_seen_to_be_cut_short() {
    let failure = dynamo_proto::node::Failure::Expired;
    let failure = dynamo_proto::node::Response::Failed(failure);
    let whole = request("GET", "/buckets/b/keys?keys=true", "", "");
    let streamed = request("GET", "/buckets/b/keys?keys=stream", "", "");
    let mut world = siblings();
    for at in 0..usize::from(dynamo_proto::node::MOST_LISTED) + 1 {
        world.put(&format!("/buckets/b/keys/{at}"), "", "v");
    }
    world.is_prompt = false;
    let mut fails_on_the_way = |list: &str| {
        world.fails = None;
        world.feed(list).unwrap();
        world.answer(0).unwrap();
        world.fails = Some(failure.clone());
        let ended = world.answer(0);
        (ended, world.out.split())
    };
    // Who reads pages one by one finds the reason among them.
    let (goes_on, said) = fails_on_the_way(&streamed);
    assert!(goes_on.is_ok());
    let end = said.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
    let (parts, _) = chunks(&said[end..]);
    assert_eq!((parts.len(), &*parts[1]), (2, r#"{"error":"timeout"}"#));
    // Who reads one object does not get the end of it.
    let (ended, said) = fails_on_the_way(&whole);
    assert!(ended.is_err() && !said.ends_with(b"0\r\n\r\n"));
    // Before the first page there is a status to say it with.
    let mut world = siblings();
    world.fails = Some(failure.clone());
    assert_eq!(world.ask(&whole).status, 503);
    let said = world.tell(&streamed);
    assert!(said.contains(r#"{"error":"timeout"}"#), "{said}");
}
