//! Keys, values, siblings.

use dynamo_proto::WallTime;
use dynamo_proto::node::{Failure, Operation, Response};

use crate::{Answer, plain, request, siblings};

const K: &str = "/buckets/b/keys/k";

/// Of the type that keeps siblings.
const CART: &str = "/types/carts/buckets/b/keys/k";

#[test]
fn a_value_comes_back_with_all_that_was_said_about_it() {
    for mut world in [plain(), siblings()] {
        let none = world.get(K, "");
        assert_eq!((none.status, none.text()), (404, "not found\n"));
        assert_eq!(none.field("X-Riak-Deleted"), None);
        let said = "Content-Type: text/plain; charset=latin1\r\nContent-Encoding: gzip\r\n\
                    X-Riak-Meta-Colour: red\r\nx-riak-meta-b: \r\n";
        let put = world.put(K, said, "hello");
        assert_eq!(put.status, 204);
        assert_eq!(put.field("Content-Length"), None);
        let got = world.get(K, "");
        assert_eq!((got.status, got.text()), (200, "hello"));
        assert_eq!(got.context(), put.context());
        for (name, value) in [
            ("Content-Type", "text/plain; charset=latin1"),
            ("Content-Encoding", "gzip"),
            ("X-Riak-Meta-Colour", "red"),
            ("X-Riak-Meta-b", ""),
            ("Last-Modified", "Sun, 09 Sep 2001 01:46:40 GMT"),
            ("Date", "Sun, 09 Sep 2001 01:46:40 GMT"),
        ] {
            assert_eq!(got.field(name), Some(value), "{name}");
        }
        assert_eq!(got.field("ETag").unwrap().len(), 34);

        // Its head is the same without the body.
        let said = world.tell(request("HEAD", K, "", ""));
        assert_eq!(said, got.head);

        // What is said is replaced, not merged.
        world.put(K, &format!("X-Riak-Vclock: {}\r\n", got.context()), "");
        let got = world.get(K, "");
        assert_eq!((got.status, got.text()), (200, ""));
        assert_eq!(got.field("Content-Type"), Some("application/octet-stream"));
        assert_eq!(got.field("X-Riak-Meta-Colour"), None);
    }
}

#[test]
fn names_may_be_any_bytes() {
    let mut world = plain();
    let kind = dynamo_proto::Bucket::default();
    world.buckets.types.insert(b"t/".to_vec(), kind);
    world.put("/types/t%2f/buckets/b%20c/keys/%00+%ff", "", "v");
    let key = world.records.keys().next().unwrap();
    assert_eq!(
        (key.bucket_type(), key.bucket(), key.key()),
        (&b"t/"[..], &b"b c"[..], &b"\0 \xff"[..])
    );
    for (path, status) in [
        ("/buckets//keys/k", 400),
        ("/buckets/b/keys/", 400),
        ("/types/t/buckets/b", 404),
        ("/types/t/buckets/b/keys/k", 404),
        ("/nowhere", 404),
    ] {
        assert_eq!(world.get(path, "").status, status, "{path}");
    }
}

#[test]
fn siblings_come_as_tags_or_in_parts() {
    let mut world = siblings();
    for (value, said) in [
        ("one", "Content-Type: text/plain\r\n"),
        ("two", "X-Riak-Meta-A: b\r\n"),
    ] {
        world.put(CART, said, value);
    }
    let tags = world.get(CART, "");
    assert_eq!(
        (tags.status, tags.field("Content-Type")),
        (300, Some("text/plain"))
    );
    let listed: Vec<_> = tags.text().lines().collect();
    assert_eq!((listed[0], listed.len()), ("Siblings:", 3));

    let parts = world.get(CART, "Accept: multipart/mixed, */*;q=0.5\r\n");
    assert_eq!(parts.status, 300);
    assert_eq!(parts.context(), tags.context());
    let kind = parts.field("Content-Type").unwrap();
    let boundary = kind.strip_prefix("multipart/mixed; boundary=").unwrap();
    let text = parts.text();
    let date = "Last-Modified: Sun, 09 Sep 2001 01:46:40 GMT\r\n";
    let up = "Link: </types/carts/buckets/b>; rel=\"up\"\r\n";
    let expected = format!(
        "\r\n--{boundary}\r\nContent-Type: text/plain\r\nEtag: {}\r\n{date}{up}\r\none\
         \r\n--{boundary}\r\nContent-Type: application/octet-stream\r\nEtag: {}\r\n{date}{up}X-Riak-Meta-A: b\r\n\r\ntwo\
         \r\n--{boundary}--\r\n",
        listed[1], listed[2]
    );
    assert_eq!(text, expected);

    for (tag, value) in [(listed[1], "one"), (listed[2], "two")] {
        let one = world.get(&format!("{CART}?vtag={tag}"), "");
        assert_eq!((one.status, one.text()), (200, value));
        assert_eq!(one.field("ETag"), Some(&*format!("\"{tag}\"")));
    }
    assert_eq!(world.get(&format!("{CART}?vtag=none"), "").status, 404);

    let settled = world.put(
        CART,
        &format!("X-Riak-Vclock: {}\r\n", tags.context()),
        "both",
    );
    assert_eq!(settled.status, 204);
    assert_eq!(world.get(CART, "").text(), "both");

    // A stale context leaves siblings, and the write says so by giving out none.
    let stale = world.put(
        CART,
        &format!("X-Riak-Vclock: {}\r\n", tags.context()),
        "late",
    );
    assert_eq!((stale.status, stale.field("X-Riak-Vclock")), (204, None));
    let returned = world.put(&format!("{CART}?returnbody=true"), "", "third");
    assert_eq!(returned.status, 300);
}

#[test]
fn a_delete_is_of_what_was_read() {
    let mut world = siblings();
    assert_eq!(world.ask(request("DELETE", CART, "", "")).status, 404);
    world.put(CART, "", "v");
    let seen = world.get(CART, "").context();
    assert_eq!(world.ask(request("DELETE", CART, "", "")).status, 204);
    let gone = world.get(CART, "");
    assert_eq!(
        (gone.status, gone.field("X-Riak-Deleted")),
        (404, Some("true"))
    );
    assert_ne!(gone.context(), seen);

    world.put(
        CART,
        &format!("X-Riak-Vclock: {}\r\n", gone.context()),
        "again",
    );
    let stale = format!("X-Riak-Vclock: {seen}\r\n");
    assert_eq!(world.ask(request("DELETE", CART, &stale, "")).status, 204);
    let both = world.get(CART, "Accept: multipart/mixed\r\n");
    assert_eq!(both.status, 300);
    assert_eq!(both.text().matches("X-Riak-Deleted: true").count(), 1);
    assert_eq!(both.text().matches("again").count(), 1);
}

#[test]
fn a_key_is_made_up_and_told() {
    let mut world = plain();
    let mut places = Vec::new();
    for path in ["/buckets/b%20c/keys", "/types/carts/buckets/c/keys"] {
        let made = world.ask(request("POST", path, "", "v"));
        assert_eq!(made.status, 201);
        let place = made.field("Location").unwrap().to_owned();
        assert!(place.starts_with(&format!("{path}/")));
        assert_eq!(world.get(&place, "").text(), "v");
        places.push(place);
    }
    assert_ne!(
        places[0][places[0].len() - 32..],
        places[1][places[1].len() - 32..]
    );
}

#[test]
fn a_query_departs_from_the_ways_of_the_bucket() {
    let mut world = plain();
    world.is_prompt = false;
    let path = format!(
        "{K}?r=one&pr=0&w=2&dw=all&pw=quorum&timeout=250&notfound_ok=false&basic_quorum=true&x=y"
    );
    world.feed(request("PUT", &path, "", "v")).unwrap();
    let options = world.asks[0].options;
    assert_eq!(
        (options.r, options.pr, options.w, options.pw),
        (Some(1), Some(0), Some(3), Some(2))
    );
    assert_eq!(options.timeout.unwrap().as_millis(), 250);
    assert_eq!(
        (options.absent_counts, options.majority_absent),
        (Some(false), Some(true))
    );
    world.answer(0).unwrap();
    world
        .feed(request("GET", &format!("{K}?r=default"), "", ""))
        .unwrap();
    let options = world.asks[0].options;
    assert_eq!((options.r, options.timeout), (Some(2), None));
    for wrong in ["r=x", "timeout=0", "timeout=-1", "returnbody=maybe"] {
        assert_eq!(plain().get(&format!("{K}?{wrong}"), "").status, 400);
    }
}

#[test]
fn failures_have_their_status_and_say_why() {
    let too_few = |need, got| Response::Failed(Failure::TooFew { need, got });
    let unknown = "unknown: too few replicas answered; a write may have been done, or may yet be";
    for (response, status, read, written) in [
        (
            Response::Failed(Failure::Overloaded),
            503,
            Failure::Overloaded.to_string(),
            Failure::Overloaded.to_string(),
        ),
        (
            too_few(2, 1),
            503,
            "R-value unsatisfied: 1/2".into(),
            "DW-value unsatisfied: 1/2".into(),
        ),
        (
            Response::Failed(Failure::Full),
            507,
            Failure::Full.to_string(),
            Failure::Full.to_string(),
        ),
        (Response::Unknown, 504, unknown.into(), unknown.into()),
    ] {
        let mut world = plain();
        world.fails = Some(response);
        // A delete that was sent without a context begins with a read.
        for (method, reason) in [("GET", &read), ("PUT", &written), ("DELETE", &read)] {
            let answer = world.ask(request(method, K, "", ""));
            assert_eq!(
                (answer.status, answer.text()),
                (status, &*format!("{reason}\n"))
            );
            assert_eq!(answer.field("Retry-After").is_some(), status == 503);
        }
    }
    let mut world = plain();
    world.fails = Some(too_few(2, 1));
    let primaries = world.get(&format!("{K}?pr=2"), "");
    assert_eq!(primaries.text(), "PR-value unsatisfied: 1/2\n");
    let primaries = world.put(&format!("{K}?pw=2"), "", "v");
    assert_eq!(primaries.text(), "PW-value unsatisfied: 1/2\n");
    let mut world = siblings();
    world.put(CART, "", "v");
    let context = world.get(CART, "").context();
    let other = world.put(
        "/types/carts/buckets/b/keys/other",
        &format!("X-Riak-Vclock: {context}\r\n"),
        "v",
    );
    assert_eq!(other.status, 400);
    assert!(other.text().starts_with("the context was not given out"));
    let map = world.put("/types/map/buckets/b/keys/k", "", "v");
    assert_eq!((map.status, map.field("Retry-After")), (400, None));
}

#[test]
fn what_a_client_says_cannot_end_a_header_field() {
    // Fields with control characters do not get in here, but other fronts may store them.
    let mut world = plain();
    world.put(K, "X-Riak-Meta-A: b\r\n", "v");
    world.is_prompt = false;
    world
        .feed(request("PUT", K, "X-Riak-Meta-A: b\r\n", "v"))
        .unwrap();
    let Operation::Put { content, .. } = &mut world.asks[0].operation else {
        panic!("a put")
    };
    let mut metadata = dynamo_proto::version::Metadata::builder();
    for kind in [1, 2, 3, 4] {
        let kind = dynamo_proto::version::FieldKind(kind);
        metadata
            .push(kind, b"n\r\nX-Evil: 1", b"v\r\nX-Evil: 1\r\n\r\n")
            .unwrap();
    }
    *content = dynamo_proto::version::Content::Live {
        metadata: metadata.build(),
        body: "v".into(),
    };
    world.wall = WallTime::from_secs(2_000_000_000);
    world.answer(0).unwrap();
    world.out.clear();
    world.is_prompt = true;
    let said = world.say(request("GET", K, "", ""));
    let (got, rest) = Answer::split(&said);
    assert!(rest.is_empty());
    assert_eq!((got.text(), got.field("X-Evil")), ("v", None));
}
