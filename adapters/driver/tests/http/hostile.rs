//! What broken and hostile clients send costs no more than its bytes, and no crash.

use allocation_counter::measure;
use dynamo_driver::Dice;

use crate::desk::pieces::{below, bend, withstand_malformed};
use crate::{plain, request};

/// What a connection may take beyond its input: answers, the longest of which is a page of the ring.
const ONCE: usize = 2 << 20;

/// Good requests with a few bytes changed, cut, doubled or made up.
fn bent(dice: &mut Dice) -> Vec<u8> {
    const K: &str = "/buckets/b/keys/k";
    const SNIPPETS: [&[u8]; 12] = [
        b"\r\n\r\n",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"%",
        b"\0",
        b"HTTP/1.0",
        b"?vtag=&r=9",
        b"ffffffffffffffff\r\n",
        b"0\r\n\r\n",
        b"{\"m_map\":",
        b"</riak/a/b>; riaktag=\"",
        b"&keys=stream",
    ];
    let mut bytes = Vec::new();
    for _ in 0..1 + below(dice, 2) {
        let good = match below(dice, 13) {
            0 => request(
                "PUT",
                K,
                "X-Riak-Meta-A: b\r\nContent-Type: a/b; charset=c\r\n",
                "value",
            ),
            1 => request(
                "GET",
                K,
                "Accept: multipart/mixed\r\nIf-None-Match: \"a\"\r\n",
                "",
            ),
            2 => request("DELETE", K, "If-Match: *\r\n", ""),
            3 => request("POST", "/types/t/buckets/b/keys", "", "v"),
            4 => format!(
                "PUT {K} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
            ),
            5 => request("GET", "/status", "", ""),
            6 => request(
                "PUT",
                K,
                "X-Riak-Vclock: AAAA\r\nExpect: 100-continue\r\n",
                "x",
            ),
            7 => request(
                "PUT",
                "/riak/b/k",
                "Link: </buckets/b/keys/l>; riaktag=\"t\", </riak/b>; rel=\"up\"\r\nX-Riak-Index-a_int: 1, 2\r\n",
                "v",
            ),
            8 => request("GET", "/riak/b?keys=true", "", ""),
            9 => request(
                "PUT",
                "/buckets/b/props",
                "",
                r#"{"props":{"n_val":2,"r":"all","linkfun":{"mod":"a","fun":"b"}}}"#,
            ),
            10 => request(
                "POST",
                "/types/map/buckets/b/datatypes/k?returnbody=true",
                "Content-Type: application/json\r\n",
                r#"{"update":{"a_set":{"add_all":["x"]},"b_map":{"remove":["c_flag"]}},"context":"AAAA"}"#,
            ),
            11 => request("POST", "/buckets/b/counters/k?returnvalue=true", "", "-7"),
            _ => request(
                "HEAD",
                &format!("{K}?r=1&timeout=5"),
                "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
                "",
            ),
        };
        bytes.extend(good.bytes());
    }
    bend(&mut bytes, &SNIPPETS, dice);
    bytes
}

#[test]
fn a_hundred_thousand_malformed_inputs_are_withstood() {
    withstand_malformed([5; 32], ONCE, plain, bent);
}

#[test]
fn what_is_only_announced_takes_no_memory() {
    let head = "PUT /buckets/b/keys/k HTTP/1.1\r\nHost: h\r\n";
    for said in [
        "Content-Length: 1000000\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nf4240\r\n",
    ] {
        let mut world = plain();
        let used = measure(|| world.feed(format!("{head}{said}")).unwrap());
        assert!(used.bytes_max < 16 << 10, "{used:?}");
    }
}
