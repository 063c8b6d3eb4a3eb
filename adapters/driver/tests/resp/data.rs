//! Counters, sets, sketches, maps, registers and flags.

use dynamo_driver::resp::Resp;
use dynamo_proto::Buckets;
use dynamo_proto::version::{DataType, Policy};

use crate::desk::World;
use crate::{plain, words};

/// A connection whose bucket `default` is of that type, and that has a bucket type of each.
fn of(kind: DataType) -> World {
    let mut world = World::new(Resp::new(), Policy::Data(kind));
    world.buckets = Buckets::with_data_types(world.buckets.default);
    world
}

fn check(world: &mut World, script: &[(&str, &str)]) {
    for (said, answer) in script {
        let said_so = world.tell(words(said));
        assert!(said_so.starts_with(answer), "{said}: {said_so}");
    }
}

#[test]
fn counters_count() {
    let script = [
        ("INCR k", ":1\r\n"),
        ("INCRBY k 10", ":11\r\n"),
        ("DECRBY k 20", ":-9\r\n"),
        ("DECR k", ":-10\r\n"),
        ("GET k", "$3\r\n-10\r\n"),
        ("EXISTS k none", ":1\r\n"),
        ("GET none", "$-1\r\n"),
        ("INCRBY k much", "-ERR value is not an integer"),
        ("INCRBY k 9223372036854775807", ":9223372036854775797\r\n"),
        ("INCRBY k 11", "-ERR the counter would overflow\r\n"),
        (
            "DECRBY k -9223372036854775808",
            "-ERR value is not an integer",
        ),
        ("SET k 1", "-ERR the bucket's keys are each a counter"),
        ("DEL k", "-ERR the bucket's keys are each a counter"),
        ("SADD k a", "-WRONGTYPE SADD is for buckets of the type set"),
        ("DYNAMO.INCR grow-counter/b k", ":1\r\n"),
        (
            "DYNAMO.DECR grow-counter/b k",
            "-ERR the bucket's keys are each a grow-counter",
        ),
    ];
    check(&mut of(DataType::Counter), &script);
}

#[test]
fn sets_have_elements() {
    let script = [
        ("SADD k b a b", ":2\r\n"),
        ("SADD k a", ":0\r\n"),
        ("SMEMBERS k", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"),
        ("SISMEMBER k a", ":1\r\n"),
        ("SISMEMBER k c", ":0\r\n"),
        ("SCARD k", ":2\r\n"),
        ("SREM k a c", ":1\r\n"),
        ("SCARD k", ":1\r\n"),
        ("GET k", "-WRONGTYPE the key is a set: DYNAMO.GET shows it"),
        ("DEL k", ":1\r\n"),
        ("SMEMBERS k", "*0\r\n"),
        ("SCARD none", ":0\r\n"),
        ("DYNAMO.SADD grow-set/b k x", ":1\r\n"),
        (
            "DYNAMO.SREM grow-set/b k x",
            "-ERR the bucket's keys are each a grow-set",
        ),
    ];
    check(&mut of(DataType::Set), &script);
}

#[test]
fn maps_have_registers_and_counters() {
    let script = [
        ("HSET k name tea price 3", ":2\r\n"),
        ("HSET k name coffee", ":0\r\n"),
        ("HSET k name", "-ERR wrong number of arguments"),
        ("HSET k a 1 b", "-ERR a value is missing"),
        ("HGET k name", "$6\r\ncoffee\r\n"),
        ("HGET k none", "$-1\r\n"),
        ("HINCRBY k sold 2", ":2\r\n"),
        ("HINCRBY k sold -5", ":-3\r\n"),
        ("HGET k sold", "$2\r\n-3\r\n"),
        ("HLEN k", ":3\r\n"),
        ("HEXISTS k sold", ":1\r\n"),
        ("HDEL k price none", ":1\r\n"),
        (
            "HGETALL k",
            "*4\r\n$4\r\nsold\r\n$2\r\n-3\r\n$4\r\nname\r\n$6\r\ncoffee\r\n",
        ),
        (
            "DYNAMO.UPDATE default k FIELD map in FIELD set tags ADD hot",
            ":1\r\n",
        ),
        (
            "DYNAMO.UPDATE default k FIELD flag sold-out ENABLE",
            ":1\r\n",
        ),
        ("DYNAMO.UPDATE default k FIELD map in CLEAR", ":1\r\n"),
        (
            "DYNAMO.UPDATE default k FIELD nothing in CLEAR",
            "-ERR no type is called 'nothing'",
        ),
        ("DYNAMO.UPDATE default k FIELD set in", "-ERR syntax error"),
        (
            "DYNAMO.UPDATE default k ADD hot",
            "-ERR the bucket's keys are each a map",
        ),
    ];
    let mut world = of(DataType::Map);
    check(&mut world, &script);
    let all = world.say(words("DYNAMO.GET default k"));
    let fields = "*6\r\n$12\r\nsold_counter\r\n:-3\r\n$13\r\nname_register\r\n$6\r\ncoffee\r\n\
                  $13\r\nsold-out_flag\r\n:1\r\n";
    assert!(all.ends_with(fields.as_bytes()), "{}", all.escape_ascii());
}

#[test]
fn registers_sketches_and_flags_have_their_commands() {
    let script = [
        ("SET k tea", "+OK\r\n"),
        ("SET k coffee", "+OK\r\n"),
        ("GET k", "$6\r\ncoffee\r\n"),
        ("GETDEL k", "$6\r\ncoffee\r\n"),
        ("GET k", "$-1\r\n"),
        ("DYNAMO.PFADD sketch/b k a b c a", ":1\r\n"),
        ("DYNAMO.PFADD sketch/b k a", ":0\r\n"),
        ("DYNAMO.PFCOUNT sketch/b k", ":3\r\n"),
        ("DYNAMO.UPDATE flag/b k ENABLE", ":1\r\n"),
        ("DYNAMO.UPDATE flag/b k DISABLE", ":1\r\n"),
        ("DYNAMO.UPDATE multi-register/b k ASSIGN v", ":1\r\n"),
    ];
    check(&mut of(DataType::Register), &script);
}

#[test]
fn what_a_plain_bucket_is_asked_is_refused_with_the_way_out() {
    let mut world = plain();
    assert_eq!(
        world.tell(words("INCR k")),
        "-WRONGTYPE INCR is for buckets of the type counter, which this one is not: DYNAMO.INCR \
         counter/BUCKET KEY acts on one\r\n"
    );
    let refused = world.tell(words("DYNAMO.UPDATE default k COUNT 1"));
    assert!(
        refused.starts_with("-ERR the bucket holds plain values"),
        "{refused}"
    );
}
