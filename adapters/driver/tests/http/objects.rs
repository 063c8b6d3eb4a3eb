//! Objects as Riak's clients know them.

use serde_json::Value;

use crate::{Answer, request, siblings};

const K: &str = "/buckets/b/keys/k";

/// Of the type that keeps siblings.
const CART: &str = "/types/carts/buckets/b/keys/k";

#[test]
fn a_client_finds_out_what_there_is() {
    let mut world = siblings();
    let resources: Value = serde_json::from_slice(&world.get("/", "").body).unwrap();
    assert_eq!(resources["riak_kv_wm_buckets"], "/buckets");
    assert_eq!(resources["riak_kv_wm_mapred"], Value::Null);
    let stats: Value = serde_json::from_slice(&world.get("/stats", "").body).unwrap();
    let version = stats["riak_kv_version"].as_str().unwrap().split('.');
    assert_eq!(
        version.filter_map(|part| part.parse::<u8>().ok()).count(),
        3
    );
    assert_eq!(world.get("/ping", "").text(), "OK", "and nothing beside");
}

#[test]
fn old_and_new_urls_name_the_same() {
    let mut world = siblings();
    world.put("/riak/b/k", "", "v");
    let got = world.get(K, "");
    assert_eq!((got.status, got.text()), (200, "v"));
    assert_eq!(got.field("Link"), Some("</buckets/b>; rel=\"up\""));
    let old = world.get("/riak/b/k", "");
    assert_eq!(old.field("Link"), Some("</riak/b>; rel=\"up\""));
    assert_eq!(world.get("/types/default/buckets/b/keys/k", "").text(), "v");
    let made = world.ask(request("POST", "/riak/b", "", "w"));
    assert_eq!(made.status, 201);
    let place = made.field("Location").unwrap();
    assert!(place.starts_with("/riak/b/"), "{place}");
    assert_eq!(world.get(place, "").text(), "w");
    assert_eq!(
        world.ask(request("DELETE", "/riak/b/k", "", "")).status,
        204
    );
    assert_eq!(world.get(K, "").status, 404);
}

/// Clients of the type `default` do not know what a sibling is.
#[test]
fn the_type_default_shows_the_last_value_until_it_is_told_otherwise() {
    let mut world = siblings();
    for value in ["one", "two"] {
        assert_eq!(world.put(K, "", value).status, 204);
    }
    assert_eq!(world.get(K, "").text(), "two");
    let key = world.records.keys().next().unwrap().clone();
    assert_eq!(world.records[&key].siblings().values().len(), 1);

    world
        .feed(request(
            "PUT",
            "/buckets/b/props",
            "Content-Type: application/json\r\n",
            r#"{"props":{"allow_mult":true}}"#,
        ))
        .unwrap();
    world.noted();
    for value in ["three", "four"] {
        world.put(K, "", value);
    }
    assert_eq!(world.get(K, "").status, 300);
}

#[test]
fn links_and_index_fields_are_kept_with_a_value() {
    let mut world = siblings();
    let said = "Link: </buckets/other%20one/keys/a%2Fb>; riaktag=\"next\", </buckets/b>; rel=\"up\"\r\n\
                Link: </riak/other/old>; riaktag=\"of old\"\r\n\
                X-Riak-Index-Age_int: 7, 8\r\nx-riak-index-name_bin: ann\r\n";
    world.put(K, said, "v");
    let got = world.get(K, "");
    let links = "</buckets/b>; rel=\"up\", </buckets/other%20one/keys/a%2Fb>; riaktag=\"next\", \
                 </buckets/other/keys/old>; riaktag=\"of%20old\"";
    assert_eq!(got.field("Link"), Some(links));
    assert_eq!(got.field("X-Riak-Index-age_int"), Some("7, 8"));
    assert_eq!(got.field("X-Riak-Index-name_bin"), Some("ann"));
    // What comes back is written again as it was.
    let link = format!("Link: {links}\r\n");
    world.put(K, &link, "v");
    assert_eq!(world.get(K, "").field("Link"), Some(links));
}

#[test]
fn a_character_set_is_told_apart_from_the_type() {
    let mut world = siblings();
    world.put(K, "Content-Type: text/plain; charset=\"utf-8\"\r\n", "v");
    let kind = world.get(K, "");
    assert_eq!(
        kind.field("Content-Type"),
        Some("text/plain; charset=utf-8")
    );
}

#[test]
fn a_made_up_key_comes_with_the_body_if_that_is_wanted() {
    let mut world = siblings();
    let made = world.ask(request(
        "POST",
        "/types/carts/buckets/b/keys?returnbody=true",
        "Content-Type: text/plain\r\n",
        "v",
    ));
    assert_eq!((made.status, made.text()), (201, "v"));
    let place = made.field("Location").unwrap().to_owned();
    let got = world.get(&place, "");
    assert_eq!((got.text(), got.context()), ("v", made.context()));
}

#[test]
fn quorums_of_more_than_there_are_and_unknown_types_are_refused_in_riaks_words() {
    let mut world = siblings();
    for (method, path, status, text) in [
        (
            "GET",
            "/buckets/b/keys/k?r=4",
            400,
            "Specified w/dw/pw/node_confirms values invalid for bucket n value of 3\n",
        ),
        (
            "PUT",
            "/buckets/b/keys/k?n_val=2&w=3",
            400,
            "Specified w/dw/pw/node_confirms values invalid for bucket n value of 2\n",
        ),
        (
            "GET",
            "/types/none/buckets/b/keys/k",
            404,
            "Unknown bucket type: none\n",
        ),
        (
            "DELETE",
            "/buckets/b/keys/k?rw=4",
            400,
            "Specified w/dw/pw/node_confirms values invalid for bucket n value of 3\n",
        ),
        (
            "GET",
            "/buckets/b/index/age_int/1/9",
            500,
            "{error,{indexes_not_supported,dynamo}}\n",
        ),
        ("POST", "/mapred", 404, "not found\n"),
    ] {
        let answer = world.ask(request(method, path, "", ""));
        assert_eq!((answer.status, answer.text()), (status, text), "{path}");
    }
    let answer = world.get("/buckets/b/keys/k?pr=most", "");
    let text = "pr query parameter must be an integer or one of the following words: \
                'one', 'quorum' or 'all'\n";
    assert_eq!((answer.status, answer.text()), (400, text));
}

#[test]
fn a_delete_that_has_seen_less_leaves_what_it_has_not_seen() {
    let mut world = siblings();
    world.put(CART, "", "v");
    let seen = format!("X-Riak-Vclock: {}\r\n", world.get(CART, "").context());
    world.put(CART, &seen, "w");
    assert_eq!(world.ask(request("DELETE", CART, &seen, "")).status, 204);
    let both = world.get(CART, "Accept: multipart/mixed\r\n");
    assert_eq!(both.status, 300);
    assert!(both.text().contains("X-Riak-Deleted: true\r\n"), "{both:?}");
    // Where one value is shown, a delete is of all that is there.
    world.put(K, "", "v");
    let seen = format!("X-Riak-Vclock: {}\r\n", world.get(K, "").context());
    world.put(K, "", "w");
    assert_eq!(world.ask(request("DELETE", K, &seen, "")).status, 204);
    assert_eq!(world.get(K, "").status, 404);
}

/// A node that waits for copies that know the key may find none: that is not found, in Riak.
#[test]
fn what_nobody_knows_is_not_found_whatever_counts() {
    let mut world = siblings();
    world.is_prompt = false;
    world
        .feed(request("GET", &format!("{K}?notfound_ok=false"), "", ""))
        .unwrap();
    assert_eq!(world.asks[0].options.absent_counts, Some(false));
    world.fails = Some(dynamo_proto::node::Response::Failed(
        dynamo_proto::node::Failure::TooFew { need: 2, got: 3 },
    ));
    world.answer(0).unwrap();
    world.fails = None;
    assert_eq!(world.asks[0].options.absent_counts, Some(true));
    world.answer(0).unwrap();
    let said = world.out.split();
    assert_eq!(Answer::split(&said).0.status, 404);
}
