"""What people do with redis-py, done with larder. Arguments: the port, the protocol's version."""

import sys

import redis

port, protocol = int(sys.argv[1]), int(sys.argv[2])


def same(given, expected):
    if given != expected:
        raise AssertionError(f"{given!r} is not {expected!r}")


def refused(code, words, call, *arguments):
    """Expects an error reply that begins with the code and has the words in it.

    Of the code ERR redis-py says nothing: the reply then begins with the word after it.
    """
    try:
        answer = call(*arguments)
    except redis.ResponseError as error:
        # Neither a lost connection nor a class of a cluster or of a busy server.
        same(type(error), redis.ResponseError)
        same(str(error).split()[0], code)
        if words not in str(error):
            raise AssertionError(f"{words!r} is not in {error}")
    else:
        raise AssertionError(f"{code} expected, not {answer!r}")


def as_map(answer):
    """The older version of the protocol has no maps."""
    return dict(zip(answer[::2], answer[1::2])) if isinstance(answer, list) else answer


client = redis.Redis(port=port, protocol=protocol, client_name="teller", decode_responses=True)

# The connection.
same(client.ping(), True)
same(client.client_getname(), "teller")
same(client.echo("hello"), "hello")
same(client.info("server")["redis_mode"], "standalone")

# Declared keys are loaded.
same(client.get("account:1"), '{"aid":1,"bid":1,"abalance":0}')
same(client.get("account:0"), None)
same(
    client.mget("account:2", "account:0", "plain", "account:200001"),
    ['{"aid":2,"bid":1,"abalance":0}', None, None, '{"aid":200001,"bid":3,"abalance":0}'],
)
same(client.exists("account:1", "account:0", "account:3"), 2)
same(client.strlen("account:1"), 30)
same(client.type("account:1"), "string")
same(0 < client.ttl("account:1") <= 60, True)
same(client.delete("account:1"), 1)
same(client.delete("account:1"), 0)

# Plain keys are kept.
same(client.set("plain", "value"), True)
same(client.get("plain"), "value")
same(client.ttl("plain"), -1)
same(client.set("plain", "other", nx=True), None)
same(client.set("plain", "other", xx=True, get=True), "value")
same(client.set("brief", "value", ex=100), True)
same(90 < client.ttl("brief") <= 100, True)
same(client.expire("brief", 1000), True)
same(900 < client.ttl("brief") <= 1000, True)
same(client.persist("brief"), True)
same(client.ttl("absent"), -2)
same([client.incr("count"), client.incrby("count", 41), client.decr("count")], [1, 42, 41])
same(client.unlink("plain", "brief", "absent"), 2)
same(client.set("name", "Ada"), True)
refused("value", "not an integer", client.incr, "name")
raw = redis.Redis(port=port, protocol=protocol)
same(raw.set(b"\x00\xff", b"\r\n\x00"), True)
same(raw.get(b"\x00\xff"), b"\r\n\x00")

# Many at once, in their order.
with client.pipeline(transaction=False) as pipeline:
    for aid in range(1, 101):
        pipeline.get(f"account:{aid}")
    pipeline.set("plain", "value")
    pipeline.get("plain")
    pipeline.get("account:abc")
    pipeline.incr("count")
    answers = pipeline.execute(raise_on_error=False)
same([f'{{"aid":{aid},"bid":1,"abalance":0}}' for aid in range(1, 101)], answers[:100])
same(answers[100:102] + answers[103:], [True, "value", 42])
same(type(answers[102]), redis.ResponseError)

# What can't be done says so.
refused("BADKEY", "(key account:abc)", client.get, "account:abc")
refused("BADKEY", "it is written 7", client.get, "account:007")
refused("REFUSED", "declared", client.set, "account:1", "mine")
refused("REFUSED", "declared", client.expire, "account:1", 10)
refused("HSET", "needs a Redis behind larder", client.execute_command, "HSET", "a", "b", "c")
refused("unknown", "HSETT", client.execute_command, "HSETT", "a", "b", "c")

# What Redis has no words for.
answer = as_map(client.execute_command("LARDER.GET", "account:5"))
same((answer["value"], answer["state"]), ('{"aid":5,"bid":1,"abalance":0}', "fresh"))
answer = as_map(client.execute_command("LARDER.GET", "account:999", "LEASE"))
same((answer["value"], answer["state"]), (None, "gone"))
fill = ("LARDER.FILL", "account:999", answer["token"])
same(client.execute_command(*fill, "mine"), 1)
same(client.get("account:999"), "mine")
# Somebody changed the row in between: what was read before must not be kept.
same(client.delete("account:999"), 1)
same(client.execute_command(*fill, "older"), 0)
same(client.get("account:999"), '{"aid":999,"bid":1,"abalance":0}')
refused("a", "80 hexadecimal digits", client.execute_command, *fill[:2], "guessed", "mine")

# A second connection, and one that says goodbye.
with redis.Redis(port=port, protocol=protocol, single_connection_client=True) as other:
    same(other.get("account:4"), b'{"aid":4,"bid":1,"abalance":0}')
print("done")
