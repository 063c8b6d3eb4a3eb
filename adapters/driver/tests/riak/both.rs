//! What is said over Protocol Buffers and over HTTP is about the same.

use dynamo_driver::http::Http;
use dynamo_driver::riak::Riak;

use crate::desk::World;
use crate::message::Message;
use crate::{ask, world};

const GET: u8 = 9;
const PUT: u8 = 11;
const GET_BUCKET: u8 = 19;

/// What another connection says, over HTTP.
fn over_http(world: &mut World, request: &str) -> String {
    world.front = Box::new(Http::new());
    let said = world.tell(request);
    world.front = Box::new(Riak::new());
    said
}

fn field<'a>(said: &'a str, name: &str) -> &'a str {
    let mut lines = said.split("\r\n");
    let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.expect("a header field")
}

#[test]
fn what_is_written_in_one_protocol_is_read_in_the_other() {
    let mut world = world();
    let said = over_http(
        &mut world,
        "PUT /buckets/b/keys/k HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Encoding: gzip\r\nX-Riak-Meta-colour: red\r\nX-Riak-Index-age_int: 7, 8\r\n\
         Link: </buckets/other/keys/a%20b>; riaktag=\"next\"\r\nContent-Length: 1\r\n\r\nv",
    );
    assert!(said.starts_with("HTTP/1.1 204 "), "{said}");
    let (_, got) = ask(&mut world, GET, &Message::of("b", "k"));
    let content = &got.messages(1)[0];
    let texts = [1, 2, 3, 4].map(|number| content.text(number));
    assert_eq!(texts, ["v", "text/plain", "utf-8", "gzip"]);
    let link = &content.messages(6)[0];
    let texts = [1, 2, 3].map(|number| link.text(number));
    assert_eq!(texts, ["other", "a b", "next"]);
    let pairs = |number| {
        let pairs = content.messages(number);
        let texts = |pair: &Message| (pair.text(1), pair.text(2));
        pairs.iter().map(texts).collect::<Vec<_>>()
    };
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    assert_eq!(pairs(9), [("colour", "red")].map(own));
    assert_eq!(pairs(10), [("age_int", "7"), ("age_int", "8")].map(own));

    // The same again, the other way round.
    let again = Message::of("b", "l").run(4, content.bytes());
    assert_eq!(ask(&mut world, PUT, &again).0, 12);
    let said = over_http(
        &mut world,
        "GET /buckets/b/keys/l HTTP/1.1\r\nHost: h\r\n\r\n",
    );
    for (name, value) in [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Encoding", "gzip"),
        ("X-Riak-Meta-colour", "red"),
        ("X-Riak-Index-age_int", "7, 8"),
        (
            "Link",
            "</buckets/b>; rel=\"up\", </buckets/other/keys/a%20b>; riaktag=\"next\"",
        ),
    ] {
        assert_eq!(field(&said, name), value);
    }
    let (_, got) = ask(&mut world, GET, &Message::of("b", "l"));
    let tag = format!("\"{}\"", got.messages(1)[0].text(5));
    assert_eq!(field(&said, "ETag"), tag);
}

#[test]
fn a_vclock_of_one_protocol_is_one_of_the_other() {
    use base64::Engine as _;
    let mut world = world();
    let cart = Message::of("b", "k").run(13, "carts");
    let put = |value| {
        let content = Message::new().run(1, value);
        Message::of("b", "k").within(4, &content).run(16, "carts")
    };
    ask(&mut world, PUT, &put("one"));
    ask(&mut world, PUT, &put("two"));
    let (_, got) = ask(&mut world, GET, &cart);
    assert_eq!(got.messages(1).len(), 2);
    let get = "GET /types/carts/buckets/b/keys/k HTTP/1.1\r\nHost: h\r\n\r\n";
    let said = over_http(&mut world, get);
    assert!(said.starts_with("HTTP/1.1 300 "), "{said}");
    let vclock = field(&said, "X-Riak-Vclock").to_owned();
    let bytes = base64::engine::general_purpose::STANDARD.encode(got.runs(2).concat());
    assert_eq!(vclock, bytes);
    let said = over_http(
        &mut world,
        &format!(
            "PUT /types/carts/buckets/b/keys/k HTTP/1.1\r\nHost: h\r\nX-Riak-Vclock: {vclock}\r\n\
             Content-Length: 4\r\n\r\nboth"
        ),
    );
    assert!(said.starts_with("HTTP/1.1 204 "), "{said}");
    let (_, got) = ask(&mut world, GET, &cart);
    assert_eq!(got.messages(1).len(), 1);
}

#[test]
fn properties_that_are_set_in_one_protocol_hold_in_the_other() {
    let mut world = world();
    let body = r#"{"props":{"allow_mult":true,"r":"one"}}"#;
    world.front = Box::new(Http::new());
    let put = "PUT /buckets/b/props HTTP/1.1\r\nHost: h\r\nContent-Length:";
    let put = format!("{put} {}\r\n\r\n{body}", body.len());
    world.feed(put).unwrap();
    world.note();
    world.out.clear();
    world.front = Box::new(Riak::new());
    let (_, shown) = ask(&mut world, GET_BUCKET, &Message::new().run(1, "b"));
    let props = &shown.messages(1)[0];
    assert_eq!(props.number(2), Some(1), "allow_mult");
    assert_eq!(props.number(15), Some(u64::from(u32::MAX - 1)), "r");
}
