//! Where requests begin and end.

use dynamo_driver::front::Goodbye;
use proptest::prelude::*;

use crate::desk::pieces::in_pieces;
use crate::{Answer, plain, request};

const K: &str = "/buckets/b/keys/k";

fn conversation() -> Vec<u8> {
    let mut said = request("PUT", K, "", "first").into_bytes();
    said.extend(request("GET", K, "", "").bytes());
    said.extend(
        format!("PUT {K} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n").bytes(),
    );
    said.extend(b"3;x=y\r\nsec\r\n3\r\nond\r\n0\r\nTrailer: t\r\n\r\n");
    said.extend(b"\r\n\r\n");
    said.extend(request("GET", K, "", "ignored").bytes());
    said.extend(format!("GET {K} HTTP/1.1\nHost: h\n\n").bytes());
    said.extend(request("GET", "/ready", "Connection: close\r\n", "").bytes());
    said
}

#[test]
fn every_cut_in_two_means_the_same() {
    let said = conversation();
    let whole = in_pieces(plain(), &said, &[said.len()]);
    assert_eq!(whole.1, Some(Goodbye::Asked));
    let (mut rest, mut bodies) = (&whole.0[..], Vec::new());
    while !rest.is_empty() {
        let (answer, after) = Answer::split(rest);
        bodies.push(answer.text().to_owned());
        rest = after;
    }
    assert_eq!(bodies, ["", "first", "", "second", "second", "ready\n"]);
    for cut in 1..said.len() {
        assert_eq!(
            in_pieces(plain(), &said, &[cut, said.len()]),
            whole,
            "cut at {cut}"
        );
    }
    assert_eq!(in_pieces(plain(), &said, &[1]), whole);
}

#[test]
fn who_waits_to_be_told_is_told() {
    let mut world = plain();
    let head =
        format!("PUT {K} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(world.tell(&head), "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(world.front.wants(), 2);
    assert_eq!(world.ask("ab").status, 204);
    let long = head.replace("Content-Length: 2", "Content-Length: 1048577");
    let (last, _) = world.last_words(long);
    assert!(last.starts_with("HTTP/1.1 413 ") && !last.contains("Continue"));
}

#[test]
fn one_request_is_under_way_at_a_time() {
    let mut world = plain();
    world.is_prompt = false;
    let said = [request("PUT", K, "", "v"), request("GET", K, "", "")].concat();
    world.feed(&said).unwrap();
    assert_eq!((world.asks.len(), world.out.len()), (1, 0));
    world.answer(0).unwrap();
    assert_eq!(world.asks.len(), 0);
    world.feed("").unwrap();
    assert_eq!(world.asks.len(), 1);
    world.room = 1;
    world.answer(0).unwrap();
    world.room = 0;
    world.feed(request("GET", "/ready", "", "")).unwrap();
    assert!(!world.input.is_empty());
}

#[test]
fn connections_are_kept_or_not_as_the_client_says() {
    for (version, said, closes) in [
        ("1.1", "", false),
        ("1.1", "Connection: close\r\n", true),
        ("1.1", "Connection: foo, Close\r\n", true),
        ("1.0", "", true),
        ("1.0", "Connection: keep-alive\r\n", false),
    ] {
        let mut world = plain();
        let ended = world.feed(format!(
            "GET /ready HTTP/{version}\r\nHost: h\r\n{said}\r\n"
        ));
        assert_eq!(ended.is_err(), closes, "{version} {said}");
        let (answer, _) = Answer::split(&world.out);
        assert_eq!(answer.field("Connection").is_some(), closes);
    }
}

#[test]
fn what_is_no_request_is_answered_and_ends_the_connection() {
    let head = |fields: &str| format!("PUT {K} HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
    let chunks = |body: &str| format!("{}{body}", head("Transfer-Encoding: chunked\r\n"));
    for (said, status) in [
        ("\x16\x03\x01\x02\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/3.0\r\n\r\n".to_owned(), 505),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        (
            format!(
                "GET / HTTP/1.1\r\nHost: h\r\n{}\r\n",
                "a: b\r\n".repeat(256)
            ),
            431,
        ),
        ("G".repeat(33_000), 431),
        (head("Content-Length: x\r\n"), 400),
        (head("Content-Length: +1\r\n"), 400),
        (head("Content-Length: 1\r\nContent-Length: 2\r\n"), 400),
        (head("Content-Length: 1048577\r\n"), 413),
        (head("Content-Length: 99999999999999999999999\r\n"), 413),
        (
            head("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"),
            400,
        ),
        (head("Transfer-Encoding: gzip\r\n"), 501),
        (
            head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
            501,
        ),
        (head("Expect: tea\r\n"), 417),
        (
            head("X-Riak-Vclock: ?\r\nExpect: 100-continue\r\nContent-Length: 1\r\n"),
            400,
        ),
        (chunks("x\r\n"), 400),
        (chunks("100001\r\n"), 413),
        (chunks("1\r\nab\r\n"), 400),
        (chunks(&format!("1{}", " ".repeat(300))), 400),
        (chunks(&format!("0\r\n{}", "a: b\r\n".repeat(2000))), 431),
    ] {
        let (last, goodbye) = plain().last_words(&said);
        let short = &said[..said.len().min(200)];
        assert!(
            last.starts_with(&format!("HTTP/1.1 {status} ")),
            "{short}: {last}"
        );
        assert!(last.contains("\r\nConnection: close\r\n"));
        assert!(matches!(goodbye, Goodbye::Senseless(_)));
    }
}

#[test]
fn what_is_too_long_is_so_in_any_pieces() {
    let head = format!("PUT {K} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    let line = |len| format!("{head}1;{}\r\nv\r\n0\r\n\r\n", "x".repeat(len));
    let bent = |len| format!("{head}1;{}\r\nbent", "x".repeat(len));
    let trailer = |len| format!("{head}0\r\na: {}\r\n\r\n", "x".repeat(len));
    for (said, is_read) in [
        (line(252), true),
        (line(253), false),
        (bent(253), false),
        (trailer(8185), true),
        (trailer(8186), false),
        (trailer(8187), false),
    ] {
        let whole = in_pieces(plain(), said.as_bytes(), &[said.len()]);
        assert_eq!(whole.1.is_none(), is_read, "{}", said.len());
        for length in [1, 7, 256] {
            assert_eq!(in_pieces(plain(), said.as_bytes(), &[length]), whole);
        }
    }
}

#[test]
fn what_makes_no_sense_is_answered_and_the_connection_goes_on() {
    let mut world = plain();
    for (method, target, fields, status) in [
        ("BREW", "/", "", 501),
        ("GET", "/buckets/%zz/keys/k", "", 400),
        ("GET", "/buckets/b/keys/k?r=most", "", 400),
        ("GET", "/buckets/b/keys/k?timeout=0", "", 400),
        ("PUT", K, "X-Riak-Vclock: ?\r\n", 400),
        ("PUT", K, "X-Riak-Vclock: AAAA\r\n", 400),
        ("PUT", K, "X-Riak-If-Not-Modified: AAAA\r\n", 400),
    ] {
        let refused = world.ask(request(method, target, fields, "body"));
        assert_eq!(refused.status, status, "{target} {fields}");
        assert_eq!(refused.field("Connection"), None);
    }
    let last = world.last_words(request("GET", "/ring?from=x", "Connection: close\r\n", ""));
    assert!(last.0.starts_with("HTTP/1.1 400 "));
    assert_eq!(last.1, Goodbye::Asked);
}

#[test]
fn a_target_may_be_a_whole_url() {
    let mut world = plain();
    world.put(&format!("http://somewhere:8098{K}"), "", "v");
    for target in [format!("http://h{K}"), format!("HTTPS://h:1{K}?r=1")] {
        assert_eq!(world.get(&target, "").text(), "v", "{target}");
    }
    assert_eq!(world.get("http://h", "").status, 200);
    assert_eq!(world.get("http://h?x=1", "").status, 200);
    for target in ["ftp://h/ping", "ping", "http:/ping"] {
        assert_eq!(world.get(target, "").status, 404, "{target}");
    }
}

#[test]
fn a_request_may_have_many_fields() {
    let fields: String = (0..250)
        .map(|at| format!("X-Riak-Meta-{at}: {at}\r\n"))
        .collect();
    let mut world = plain();
    assert_eq!(world.put(K, &fields, "v").status, 204);
    let got = world.say(request("GET", K, "", ""));
    let said = String::from_utf8(got).unwrap();
    assert_eq!(said.matches("X-Riak-Meta-").count(), 250);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn pieces_make_no_difference(lengths in prop::collection::vec(1..200_usize, 1..20)) {
        let said = conversation();
        prop_assert_eq!(in_pieces(plain(), &said, &lengths), in_pieces(plain(), &said, &[said.len()]));
    }

    /// However a body is cut into chunks, it arrives.
    #[test]
    fn chunks_make_no_difference(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..10),
        lengths in prop::collection::vec(1..100_usize, 1..8),
    ) {
        let mut said = format!("PUT {K} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n").into_bytes();
        for chunk in &chunks {
            said.extend(format!("{:X}\r\n", chunk.len()).bytes());
            said.extend(chunk);
            said.extend(b"\r\n");
        }
        said.extend(b"0\r\n\r\n");
        said.extend(request("GET", K, "", "").bytes());
        let (out, _) = in_pieces(plain(), &said, &lengths);
        let (put, rest) = Answer::split(&out);
        let (got, rest) = Answer::split(rest);
        prop_assert_eq!((put.status, got.body), (204, chunks.concat()));
        prop_assert!(rest.is_empty());
    }
}
