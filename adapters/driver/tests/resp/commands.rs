//! What each command answers.

use dynamo_driver::admin::{Command, Refused};
use dynamo_driver::front::Goodbye;
use dynamo_proto::node::{Failure, Response};
use serde_json::json;

use crate::{command, plain, siblings, words};

#[test]
fn values_are_written_read_and_deleted() {
    for mut world in [plain(), siblings()] {
        let script = [
            ("GET k", "$-1\r\n"),
            ("SET k one", "+OK\r\n"),
            ("SET k two", "+OK\r\n"),
            ("GET k", "$3\r\ntwo\r\n"),
            ("STRLEN k", ":3\r\n"),
            ("STRLEN none", ":0\r\n"),
            ("TTL k", ":-1\r\n"),
            ("PTTL none", ":-2\r\n"),
            ("SET k three KEEPTTL", "+OK\r\n"),
            ("GETDEL k", "$5\r\nthree\r\n"),
            ("GETDEL k", "$-1\r\n"),
            ("GET k", "$-1\r\n"),
            ("MSET a 1 b 2", "+OK\r\n"),
            ("MGET a none b", "*3\r\n$1\r\n1\r\n$-1\r\n$1\r\n2\r\n"),
            ("EXISTS a b b none", ":3\r\n"),
            ("DEL a none b", ":2\r\n"),
            ("UNLINK a", ":0\r\n"),
            ("EXISTS a b", ":0\r\n"),
        ];
        for (said, answer) in script {
            assert_eq!(world.tell(words(said)), answer, "{said}");
        }
    }
}

#[test]
fn values_may_be_any_bytes() {
    let mut world = plain();
    let value: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    assert_eq!(
        world.say(command(&[b"SET", b"k\0\r\n", &value])),
        b"+OK\r\n"
    );
    let answer = world.say(command(&[b"GET", b"k\0\r\n"]));
    assert_eq!(answer, [b"$100000\r\n", &value[..], b"\r\n"].concat());
}

#[test]
fn what_cannot_be_meant_is_refused_with_the_reason() {
    let mut world = plain();
    let script = [
        (
            "SET k v NX",
            "-ERR SET with NX is not supported: a condition is looked up",
        ),
        (
            "SET k v XX",
            "-ERR SET with XX is not supported: a condition is looked up",
        ),
        (
            "SET k v EX 10",
            "-ERR SET with EX is not supported: nothing expires here",
        ),
        (
            "set k v px 10",
            "-ERR SET with PX is not supported: nothing expires here",
        ),
        (
            "SET k v GET",
            "-ERR SET with GET is not supported: reading and writing are two",
        ),
        ("SET k v FOO", "-ERR syntax error"),
        (
            "EXPIRE k 10",
            "-ERR EXPIRE is not supported: nothing expires here",
        ),
        (
            "APPEND k v",
            "-ERR APPEND is not supported: reading and writing as one step needs a lock",
        ),
        (
            "MULTI",
            "-ERR MULTI is not supported: reading and writing as one step needs a lock",
        ),
        ("SET k v", "-ERR not done: MULTI was refused"),
        ("PING", "-ERR not done: MULTI was refused"),
        ("exec", "-EXECABORT nothing was done"),
        ("MULTI", "-ERR MULTI is not supported"),
        ("GET k", "-ERR not done: MULTI was refused"),
        ("DISCARD", "+OK"),
        ("EXEC", "-ERR EXEC is not supported"),
        (
            "LPUSH k v",
            "-ERR LPUSH is not supported: a value is read and written as a whole",
        ),
        (
            "SUBSCRIBE c",
            "-ERR SUBSCRIBE is not supported: there are no channels",
        ),
        (
            "KEYS *",
            "-ERR KEYS is not supported: keys are not listed here",
        ),
        (
            "AUTH secret",
            "-ERR AUTH is not supported: nobody is authenticated here",
        ),
        ("CONFIG GET save", "-ERR CONFIG is not supported"),
        ("FOO bar", "-ERR unknown command 'FOO'"),
        ("GET", "-ERR wrong number of arguments for 'get' command"),
        (
            "GET a b",
            "-ERR wrong number of arguments for 'get' command",
        ),
        (
            "MSET a 1 b",
            "-ERR wrong number of arguments for 'mset' command",
        ),
        (
            "PING a b",
            "-ERR wrong number of arguments for 'ping' command",
        ),
        ("SELECT 1", "-ERR there is one database, number 0"),
        ("CLIENT KILL x", "-ERR CLIENT KILL is not supported"),
        ("HELLO 4", "-NOPROTO unsupported protocol version"),
        ("HELLO 3 AUTH a b", "-ERR nobody is authenticated here"),
        ("DYNAMO.PUT b k  v W x", "-ERR W takes a number of replicas"),
        ("DYNAMO.PUT b k  v V 1", "-ERR syntax error"),
        ("DYNAMO.DEL b k  x", "-ERR syntax error"),
    ];
    for (said, answer) in script {
        let said_back = world.tell(words(said));
        assert!(said_back.starts_with(answer), "{said}: {said_back}");
        assert!(said_back.ends_with("\r\n") && said_back.matches('\n').count() == 1);
        assert!(world.asks.is_empty());
    }
    assert!(world.records.is_empty());
}

#[test]
fn an_error_quotes_nothing_that_could_end_it() {
    let mut world = plain();
    let said = world.tell(command(&[b"a\r\n+OK\r\n", b"b"]));
    assert_eq!(said, "-ERR unknown command 'a\\r\\n+OK\\r\\n'\r\n");
}

#[test]
fn a_key_must_be_one() {
    let mut world = plain();
    let long = vec![b'k'; 4097];
    for (key, reason) in [
        (&b""[..], "key must not be empty"),
        (&long, "key of 4097 bytes is over the limit of 4096"),
    ] {
        let error = format!("-ERR {reason}\r\n");
        assert_eq!(world.tell(command(&[b"GET", key])), error);
        assert_eq!(world.tell(command(&[b"EXISTS", b"k", key])), error);
        assert_eq!(
            world.tell(command(&[b"MGET", b"k", key])),
            format!("*2\r\n$-1\r\n{error}")
        );
        let partly = world.tell(command(&[b"MSET", b"k", b"v", key, b"v"]));
        assert_eq!(
            partly,
            format!("-ERR {reason} (of other keys of this command 1 are done)\r\n")
        );
        assert_eq!(world.tell(words("DEL k")), ":1\r\n");
    }
}

#[test]
fn each_failure_has_a_word_of_its_own() {
    let mut world = plain();
    for (response, answer) in [
        (
            Response::Failed(Failure::Overloaded),
            "-OVERLOADED overloaded: try again later\r\n",
        ),
        (
            Response::Failed(Failure::TooFew { need: 2, got: 1 }),
            "-NOREPLICAS 1 of 2 replicas answered\r\n",
        ),
        (
            Response::Failed(Failure::Expired),
            "-TIMEOUT timed out before anything was done\r\n",
        ),
        (
            Response::Failed(Failure::Full),
            "-FULL the store is full: delete something, or add nodes\r\n",
        ),
        (
            Response::Unknown,
            "-UNKNOWN too few replicas answered: the write may have been done, or may yet be\r\n",
        ),
    ] {
        world.fails = Some(response);
        for said in ["GET k", "SET k v", "DYNAMO.GET b k", "EXISTS k", "GETDEL k"] {
            assert_eq!(world.tell(words(said)), answer);
        }
    }
}

#[test]
fn a_client_is_greeted_in_the_version_that_it_asks_for() {
    let mut world = plain();
    let greeted = world.tell(words("HELLO"));
    assert!(
        greeted.starts_with("*14\r\n$6\r\nserver\r\n$6\r\ndynamo\r\n"),
        "{greeted}"
    );
    assert!(greeted.contains("$5\r\nproto\r\n:2\r\n"));
    let greeted = world.tell(words("HELLO 3 SETNAME me"));
    assert!(greeted.starts_with("%7\r\n") && greeted.contains("$5\r\nproto\r\n:3\r\n"));
    assert_eq!(world.tell(words("GET k")), "_\r\n");
    assert_eq!(world.tell(words("CLIENT GETNAME")), "$2\r\nme\r\n");
    world.tell(words("HELLO 2"));
    assert_eq!(world.tell(words("GET k")), "$-1\r\n");
}

#[test]
fn small_talk_is_answered() {
    let mut world = plain();
    let script = [
        ("PING", "+PONG\r\n"),
        ("PING hi", "$2\r\nhi\r\n"),
        ("ECHO hi", "$2\r\nhi\r\n"),
        ("SELECT 0", "+OK\r\n"),
        ("CLIENT SETNAME me", "+OK\r\n"),
        ("CLIENT SETINFO LIB-NAME x", "+OK\r\n"),
        (
            "COMMAND INFO get nope",
            "*2\r\n*6\r\n$3\r\nget\r\n:2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n$-1\r\n",
        ),
        (
            "COMMAND DOCS echo",
            "*2\r\n$4\r\necho\r\n*2\r\n$7\r\nsummary\r\n$26\r\nAnswers what it is given.\r\n",
        ),
    ];
    for (said, answer) in script {
        let answer = answer.replace("$26", "$25");
        assert_eq!(world.tell(words(said)), answer, "{said}");
    }
    let id = world.tell(words("CLIENT ID"));
    assert_eq!(world.tell(words("CLIENT ID")), id);
    assert_ne!(plain().tell(words("HELLO")), "");
    let info = world.tell(words("INFO"));
    for line in ["loading:0", "connected_nodes:2", "cluster_nodes:4"] {
        assert!(info.contains(&format!("\r\n{line}\r\n")), "{info}");
    }
    world.is_ready = false;
    assert!(world.tell(words("INFO")).contains("\r\nloading:1\r\n"));
}

#[test]
fn the_cluster_can_be_looked_at() {
    let mut world = plain();
    world.tell(words("HELLO 3"));
    let list = world.tell(words("DYNAMO.PREFLIST carts/c k"));
    assert!(list.starts_with("*4\r\n%5\r\n"), "{list}");
    assert_eq!(list.matches("primary").count(), 3);
    assert_eq!(list.matches("fallback").count(), 1);
    let cluster = world.tell(words("DYNAMO.CLUSTER"));
    assert_eq!(cluster.matches("$9\r\nconnected").count(), 2);
    assert_eq!(cluster.matches("not connected").count(), 1);
    assert_eq!(cluster.matches("this node").count(), 1);
    assert!(cluster.contains("127.0.0.1:7402"));
    let bucket = world.tell(words("DYNAMO.BUCKET any"));
    assert!(bucket.starts_with("%7\r\n$1\r\nn\r\n:3\r\n") && bucket.contains("last-write-wins"));
    assert!(
        world
            .tell(words("DYNAMO.BUCKET carts/any"))
            .contains("siblings")
    );
    assert_eq!(
        world.tell(words("DYNAMO.BUCKET t/")),
        "-ERR bucket must not be empty\r\n"
    );
}

#[test]
fn the_cluster_can_be_changed_and_the_answer_waits_for_its_turn() {
    let mut world = plain();
    world.is_prompt = false;
    let said = [
        words("GET k"),
        words("DYNAMO.CLUSTER join 3f"),
        words("PING"),
    ]
    .concat();
    assert_eq!(world.say(said), b"");
    let join = Command::Join {
        node: Some("3f".into()),
    };
    assert_eq!(world.commands[0].1, join);
    world
        .administer(Ok(json!({ "staged": ["it joins"] })))
        .unwrap();
    assert_eq!(&world.out[..], b"");
    world.answer(0).unwrap();
    assert_eq!(
        &world.out[..],
        b"$-1\r\n$23\r\n{\"staged\":[\"it joins\"]}\r\n+PONG\r\n"
    );
    world.out.clear();

    world.say(words("DYNAMO.CLUSTER commit"));
    world.administer(Err(Refused::NoPlan)).unwrap();
    assert!(world.out.starts_with(b"-ERR look at the plan"));
    world.out.clear();
    let refused = world.tell(words("DYNAMO.CLUSTER sing"));
    assert!(refused.starts_with("-ERR DYNAMO.CLUSTER takes STATUS"));
}

#[test]
fn quit_ends_the_connection_once_all_is_answered() {
    let mut world = plain();
    assert_eq!(
        world.last_words(words("QUIT")),
        ("+OK\r\n".into(), Goodbye::Asked)
    );

    let mut world = plain();
    world.is_prompt = false;
    let said = [words("GET k"), words("QUIT"), words("SET k v")].concat();
    assert_eq!(world.say(said), b"");
    assert_eq!(world.asks.len(), 1);
    assert_eq!(world.answer(0), Err(Goodbye::Asked));
    assert_eq!(&world.out[..], b"$-1\r\n+OK\r\n");
}
