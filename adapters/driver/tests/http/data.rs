//! Data types, and the counters of Riak 1.4.

use dynamo_proto::Bucket;
use dynamo_proto::version::{DataType, Policy};
use serde_json::{Value, json};

use crate::desk::World;
use crate::{Answer, request, siblings};

const JSON: &str = "Content-Type: application/json\r\n";

fn world() -> World {
    let mut world = siblings();
    for kind in DataType::ALL {
        let bucket = Bucket {
            policy: Policy::Data(kind),
            ..Bucket::default()
        };
        let types = &mut world.buckets.types;
        types.insert(kind.name().as_bytes().to_vec(), bucket);
    }
    world
}

fn path(kind: &str) -> String {
    format!("/types/{kind}/buckets/b/datatypes/k")
}

fn post(world: &mut World, path: &str, op: &Value) -> Answer {
    world.ask(request("POST", path, JSON, &op.to_string()))
}

fn said(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

/// What a change comes to.
fn changed(world: &mut World, kind: &str, op: Value) -> Value {
    let path = path(kind) + "?returnbody=true";
    let answer = post(world, &path, &op);
    assert_eq!(answer.status, 200, "{}", answer.text());
    said(&answer)
}

#[test]
fn a_counter_counts() {
    let mut world = world();
    let nothing = world.get(&path("counter"), "");
    assert_eq!(nothing.status, 404);
    let expected = json!({"type": "counter", "error": "notfound"});
    assert_eq!(said(&nothing), expected);
    for (op, value) in [
        (json!(7), 7),
        (json!({"increment": 2}), 9),
        (json!({"decrement": 4}), 5),
        (json!("increment"), 6),
        (json!(-8), -2),
    ] {
        let expected = json!({"type": "counter", "value": value});
        assert_eq!(changed(&mut world, "counter", op), expected);
    }
    assert_eq!(post(&mut world, &path("counter"), &json!(1)).status, 204);
    assert_eq!(said(&world.get(&path("counter"), ""))["value"], -1);
    for wrong in [
        json!({}),
        json!({"increment": true}),
        json!([]),
        json!({"add": "x"}),
    ] {
        assert_eq!(
            post(&mut world, &path("counter"), &wrong).status,
            400,
            "{wrong}"
        );
    }
    // A plain delete counts it down, and a plain get then finds nothing.
    let plain = "/types/counter/buckets/b/keys/k";
    let got = world.get(plain, "");
    assert_eq!(got.field("Content-Type"), Some("application/riak_counter"));
    assert_eq!(world.ask(request("DELETE", plain, "", "")).status, 204);
    assert_eq!(world.get(plain, "").status, 404);
}

#[test]
fn what_is_taken_from_a_set_is_what_its_client_has_seen() {
    let mut world = world();
    let added = changed(
        &mut world,
        "set",
        json!({"add_all": ["b", "a"], "add": "c"}),
    );
    let seen = added["context"].as_str().unwrap().to_owned();
    assert_eq!(
        (&added["type"], &added["value"]),
        (&json!("set"), &json!(["a", "b", "c"]))
    );
    changed(&mut world, "set", json!({"remove": "b", "context": seen}));
    changed(&mut world, "set", json!({"add": "b"}));
    let removed = json!({"remove_all": ["a", "b"], "context": seen});
    let left = changed(&mut world, "set", removed);
    assert_eq!(
        left["value"],
        json!(["b", "c"]),
        "an addition it had not seen"
    );
    let absent = post(&mut world, &path("set"), &json!({"remove": "none"}));
    assert_eq!(
        (absent.status, absent.text()),
        (400, "{precondition,{not_present,<<\"none\">>}}\n")
    );
    let wrong = json!({"add": "x", "context": "no base64"});
    assert_eq!(post(&mut world, &path("set"), &wrong).status, 400);
    let bare = world.get(&(path("set") + "?include_context=false"), "");
    assert_eq!(said(&bare), json!({"type": "set", "value": ["b", "c"]}));
}

#[test]
fn a_map_has_fields_of_all_types() {
    let mut world = world();
    let op = json!({"update": {
        "n_counter": 3,
        "names_set": {"add_all": ["x", "y"]},
        "of_birth_register": {"assign": "1970"},
        "seen_flag": "enable",
        "below_map": {"update": {"n_counter": {"decrement": 1}}},
    }});
    let made = changed(&mut world, "map", op);
    let expected = json!({
        "n_counter": 3,
        "names_set": ["x", "y"],
        "of_birth_register": "1970",
        "seen_flag": true,
        "below_map": {"n_counter": -1},
    });
    assert_eq!(made["value"], expected);
    let context = made["context"].clone();
    let op = json!({
        "remove": ["n_counter"],
        "update": {"names_set": {"remove": "x"}},
        "context": context,
    });
    let left = changed(&mut world, "map", op);
    assert_eq!(left["value"]["n_counter"], Value::Null);
    assert_eq!(left["value"]["names_set"], json!(["y"]));
    let mut deep = json!({"update": {"n_counter": 1}});
    for _ in 0..100 {
        deep = json!({"update": {"m_map": deep}});
    }
    for wrong in [
        deep,
        json!({"update": {"n_table": 1}}),
        json!({"update": {"seen_flag": 1}}),
        json!({"update": {"names_set": {"drop": "x"}}}),
        json!({"remove": 7}),
        json!(7),
    ] {
        assert_eq!(
            post(&mut world, &path("map"), &wrong).status,
            400,
            "{wrong}"
        );
    }
}

#[test]
fn sets_that_only_grow_and_sketches_are_added_to() {
    let mut world = world();
    for (kind, name, value) in [
        ("grow-set", "gset", json!(["a", "b"])),
        ("sketch", "hll", json!(2)),
    ] {
        let op = json!({"add_all": ["a", "b"]});
        let expected = json!({"type": name, "value": value});
        assert_eq!(changed(&mut world, kind, op), expected);
        let op = json!({"remove": "a"});
        assert_eq!(post(&mut world, &path(kind), &op).status, 400);
    }
}

#[test]
fn data_gets_a_key_of_its_own() {
    let mut world = world();
    let path = "/types/counter/buckets/b/datatypes";
    let made = post(&mut world, &format!("{path}?returnbody=true"), &json!(5));
    assert_eq!(made.status, 201);
    assert_eq!(said(&made)["value"], 5);
    let place = made.field("Location").unwrap();
    let key = place
        .strip_prefix("/types/counter/buckets/b/keys/")
        .unwrap();
    assert_eq!(said(&world.get(&format!("{path}/{key}"), ""))["value"], 5);
    assert_eq!(world.get(path, "").status, 404);
}

#[test]
fn what_is_no_data_is_not_spoken_of_as_such() {
    let mut world = world();
    let plain = world.get("/types/carts/buckets/b/datatypes/k", "");
    assert_eq!(
        (plain.status, plain.text()),
        (
            403,
            "Bucket datatype 'undefined' is not a supported type.\n"
        )
    );
    let flag = world.get(&path("flag"), "");
    assert_eq!(flag.status, 403);
    let usual = world.get("/types/default/buckets/b/datatypes/k", "");
    assert_eq!(
        (usual.status, usual.field("Location")),
        (301, Some("/buckets/b/counters/k"))
    );
    let untyped = world.ask(request("POST", &path("counter"), "", "1"));
    assert_eq!(untyped.status, 406);
    assert_eq!(world.get(&path("none"), "").status, 404);
}

#[test]
fn an_old_counter_is_in_a_bucket_that_keeps_siblings() {
    let mut world = world();
    let path = "/buckets/b/counters/k";
    let refused = world.ask(request("POST", path, "", "1"));
    assert_eq!(
        (refused.status, refused.text()),
        (409, "Counters require bucket property 'allow_mult=true'\n")
    );
    let props = r#"{"props":{"allow_mult":true}}"#;
    let set = request("PUT", "/buckets/b/props", JSON, props);
    world.feed(set).unwrap();
    assert_eq!(world.noted().status, 204);
    assert_eq!(world.get(path, "").status, 404);
    assert_eq!(world.ask(request("POST", path, "", "5")).status, 204);
    let returned = world.ask(request(
        "POST",
        &format!("{path}?returnvalue=true"),
        "",
        "-7",
    ));
    assert_eq!((returned.status, returned.text()), (200, "-2"));
    assert_eq!(world.get(path, "").text(), "-2");
    assert_eq!(world.ask(request("POST", path, "", "some")).status, 400);
}

#[test]
fn a_counter_of_riak_1_4_is_deleted_and_listed_as_a_key() {
    let mut world = world();
    let body = r#"{"props":{"allow_mult":true}}"#;
    world
        .feed(request("PUT", "/buckets/b/props", JSON, body))
        .unwrap();
    world.noted();
    let counter = "/buckets/b/counters/k";
    assert_eq!(world.ask(request("POST", counter, "", "7")).status, 204);
    for how in ["true", "stream"] {
        let said = world.tell(request(
            "GET",
            &format!("/buckets/b/keys?keys={how}"),
            "",
            "",
        ));
        assert!(said.contains("\"k\""), "{said}");
    }
    let key = "/buckets/b/keys/k";
    assert_eq!(world.ask(request("DELETE", key, "", "")).status, 204);
    assert_eq!(world.get(counter, "").text(), "0");
    assert_eq!(world.ask(request("DELETE", key, "", "")).status, 404);
}
