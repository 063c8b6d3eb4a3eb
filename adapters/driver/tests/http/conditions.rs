//! Requests that hang on what is there.

use dynamo_driver::http::Http;
use dynamo_proto::WallTime;

use crate::{request, siblings};

const K: &str = "/buckets/b/keys/k";

#[test]
fn a_reader_who_knows_it_is_told_so() {
    let mut world = siblings();
    world.put(K, "", "v");
    let got = world.get(K, "");
    let tag = got.field("ETag").unwrap();
    for known in [
        format!("If-None-Match: {tag}\r\n"),
        format!("If-None-Match: \"x\", W/{tag}\r\n"),
        "If-None-Match: *\r\n".to_owned(),
        "If-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT\r\n".to_owned(),
    ] {
        let answer = world.get(K, &known);
        assert_eq!(
            (answer.status, answer.field("ETag")),
            (304, Some(tag)),
            "{known}"
        );
        assert_eq!(answer.field("Content-Length"), None);
    }
    for unknown in [
        "If-None-Match: \"x\"\r\n",
        "If-Modified-Since: Sun, 09 Sep 2001 01:46:39 GMT\r\n",
        "If-Modified-Since: yesterday\r\n",
    ] {
        assert_eq!(world.get(K, unknown).status, 200, "{unknown}");
    }
}

#[test]
fn a_reader_may_ask_for_what_is_known() {
    let mut world = siblings();
    world.wall = WallTime::from_secs(1_000_000_000);
    world.put(K, "", "v");
    let tag = world.get(K, "").field("ETag").unwrap().to_owned();
    for (said, status) in [
        (format!("If-Match: {tag}\r\n"), 200),
        ("If-Match: *\r\n".to_owned(), 200),
        (format!("If-Match: \"x\", {tag}\r\n"), 200),
        ("If-Match: \"x\"\r\n".to_owned(), 412),
        (
            "If-Unmodified-Since: Sun, 09 Sep 2001 01:46:40 GMT\r\n".to_owned(),
            200,
        ),
        (
            "If-Unmodified-Since: Sun, 09 Sep 2001 01:46:39 GMT\r\n".to_owned(),
            412,
        ),
        ("If-Unmodified-Since: yesterday\r\n".to_owned(), 200),
        (format!("If-Match: \"x\"\r\nIf-None-Match: {tag}\r\n"), 412),
        (
            "If-Modified-Since: Sun, 09 Sep 2001 01:46:41 GMT\r\n".to_owned(),
            200, // that is to come
        ),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = world.say(request(method, K, &said, ""));
            let line = format!("HTTP/1.1 {status} ");
            assert!(answer.starts_with(line.as_bytes()), "{method} {said}");
        }
    }
    let nothing = "/buckets/b/keys/none";
    assert_eq!(world.get(nothing, "If-Match: *\r\n").status, 412);
    assert_eq!(world.get(nothing, "If-Match: \"x\"\r\n").status, 404);

    let cart = "/types/carts/buckets/b/keys/k";
    world.put(cart, "", "one");
    world.wall = WallTime::from_secs(1_000_000_001);
    world.put(cart, "", "two");
    let both = world.get(cart, "");
    let known = format!("If-Match: {}\r\n", both.field("ETag").unwrap());
    assert_eq!((both.status, world.get(cart, &known).status), (300, 300));
    // What is empty was not said.
    assert_eq!(world.put(K, "X-Riak-Vclock: \r\n", "y").status, 204);

    let old = "If-Unmodified-Since: Sun, 09 Sep 2001 01:46:40 GMT\r\n";
    assert_eq!(world.get(cart, old).status, 412, "one of them is newer");
    // What is asked of a write is not asked again of what it returns.
    let put = world.put(&format!("{cart}?returnbody=true"), &known, "three");
    assert_eq!((put.status, put.text()), (200, "three"));
}

#[test]
fn a_write_may_ask_for_nothing_to_be_there() {
    let mut world = siblings();
    let only_new = "If-None-Match: *\r\n";
    assert_eq!(world.put(K, only_new, "v").status, 204);
    assert_eq!(world.put(K, only_new, "w").status, 412);
    assert_eq!(world.get(K, "").text(), "v");
    world.ask(request("DELETE", K, "", ""));
    let returned = world.put(&format!("{K}?returnbody=true"), only_new, "again");
    assert_eq!((returned.status, returned.text()), (200, "again"));
}

#[test]
fn a_write_may_ask_for_what_it_has_seen() {
    let mut world = siblings();
    world.put(K, "", "v");
    let got = world.get(K, "");
    let fields = format!("If-Match: {}\r\n", got.field("ETag").unwrap());
    assert_eq!(world.put(K, &fields, "w").status, 204);
    assert_eq!(world.put(K, &fields, "x").status, 412);
    assert_eq!(world.ask(request("DELETE", K, &fields, "")).status, 412);
    assert_eq!(world.get(K, "").text(), "w");
    assert_eq!(world.put("/buckets/b/keys/none", &fields, "x").status, 412);

    let context = format!("X-Riak-If-Not-Modified: {}\r\n", world.get(K, "").context());
    let both = format!("{context}X-Riak-Vclock: {}\r\n", world.get(K, "").context());
    assert_eq!(world.put(K, &both, "y").status, 204);
    assert_eq!(world.put(K, &both, "z").status, 409);
    assert_eq!(world.get(K, "").text(), "y");

    let old = "If-Unmodified-Since: Sun, 09 Sep 2001 01:46:40 GMT\r\n";
    world.wall = WallTime::from_secs(1_000_000_001);
    assert_eq!(world.put(K, old, "new").status, 204);
    assert_eq!(world.put(K, old, "newer").status, 412);
    let tag = world.get(K, "").field("ETag").unwrap().to_owned();
    assert_eq!(
        world
            .put(K, &format!("If-None-Match: {tag}\r\n"), "v")
            .status,
        412
    );
}

/// PITFALLS row 23a: a condition is looked up; what changes before the write is noticed all the
/// same.
#[test]
fn what_changes_between_the_look_and_the_write_is_noticed() {
    let mut world = siblings();
    world.put(K, "", "v");
    let tag = world.get(K, "").field("ETag").unwrap().to_owned();
    for method in ["PUT", "DELETE"] {
        world.is_prompt = false;
        world
            .feed(request(method, K, &format!("If-Match: {tag}\r\n"), ""))
            .unwrap();
        world.answer(0).unwrap();
        let write = world.asks.remove(0);
        let key = write.key.clone();
        let before = world.records[&key].clone();
        // Somebody else, over another connection.
        let ours = std::mem::replace(&mut world.front, Box::new(Http::new()));
        world.is_prompt = true;
        assert_eq!(world.put(K, "", "theirs").status, 204);
        world.front = ours;
        world.asks.push(write);
        world.answer(0).unwrap();
        let said = String::from_utf8(world.out.split().to_vec()).unwrap();
        assert!(said.starts_with("HTTP/1.1 412 "), "{said}");
        world.records.insert(key, before);
    }
}
