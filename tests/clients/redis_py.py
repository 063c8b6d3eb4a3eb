"""What a program with redis-py sees of a node: python redis_py.py PORT [PORT...]"""

import os
import sys

import redis


def plain_commands(node, port):
    assert node.ping()
    assert node.echo("tea") == b"tea"
    assert node.set("cart", "tea") is True
    assert node.get("cart") == b"tea"
    assert node.strlen("cart") == 3
    assert node.exists("cart", "nothing", "cart") == 2
    assert node.getdel("cart") == b"tea"
    assert node.get("cart") is None
    assert node.delete("cart") == 0
    assert node.ttl("cart") == -2
    assert node.info()["connected_nodes"] == 2


def bytes_of_any_kind(node, port):
    every = bytes(range(256))
    for key, value in [(every, every), (b"\r\n", b""), ("ключ", "значение".encode())]:
        node.set(key, value)
        assert node.get(key) == value
    large = os.urandom(1 << 20)
    node.set("large", large)
    assert node.get("large") == large
    node.delete("large")


def many_keys_at_once(node, port):
    values = {f"many {number}": str(number).encode() for number in range(1000)}
    assert node.mset(values)
    assert node.mget(list(values)) == list(values.values())
    assert node.mget("many 1", "nothing") == [b"1", None]
    assert node.delete(*values) == 1000


def ten_thousand_in_a_pipeline(node, port):
    pipeline = node.pipeline(transaction=False)
    for number in range(5000):
        pipeline.set(f"key {number % 50}", number)
        pipeline.get(f"key {number % 50}")
    answers = pipeline.execute()
    assert answers[0::2] == [True] * 5000
    assert answers[1::2] == [str(number).encode() for number in range(5000)]


def siblings(node, port):
    key = f"shared {port}"
    for value in ("milk", "bread"):
        node.execute_command("DYNAMO.PUT", "carts", key, "", value)
    context, values = node.execute_command("DYNAMO.GET", "carts", key)
    assert sorted(values) == [b"bread", b"milk"], values
    node.execute_command("DYNAMO.PUT", "carts", key, context, "both")
    assert node.execute_command("DYNAMO.GET", "carts", key)[1] == [b"both"]


def what_would_be_a_lie_is_refused(node, port):
    refused(lambda: node.set("cart", "tea", ex=10), "expire")
    refused(lambda: node.set("cart", "tea", nx=True), "NX")
    node.set("cart", "tea")
    refused(lambda: node.pipeline(transaction=True).set("cart", "milk").execute(), "MULTI")
    assert node.get("cart") == b"tea"
    refused(lambda: node.lpush("cart", "tea"), "LPUSH")
    refused(lambda: node.incr("cart"), "INCR")


def another_protocol(node, port):
    third = redis.Redis(port=port, protocol=3)
    third.set("cart", "tea")
    assert third.get("cart") == b"tea"
    assert third.mget("cart", "nothing") == [b"tea", None]
    text = redis.Redis(port=port, decode_responses=True)
    assert text.get("cart") == "tea"


def refused(command, why):
    try:
        answer = command()
    except redis.ResponseError as error:
        assert why.lower() in str(error).lower(), error
    else:
        raise AssertionError(f"answered {answer!r}, which cannot be meant")


CHECKS = [
    plain_commands,
    bytes_of_any_kind,
    many_keys_at_once,
    ten_thousand_in_a_pipeline,
    siblings,
    what_would_be_a_lie_is_refused,
    another_protocol,
]

for port in map(int, sys.argv[1:]):
    for check in CHECKS:
        try:
            check(redis.Redis(port=port, socket_timeout=60), port)
        except Exception as error:
            error.add_note(f"in {check.__name__}, port {port}")
            raise
print(f"redis-py {redis.__version__}: {len(CHECKS)} checks on each of {len(sys.argv) - 1} nodes")
