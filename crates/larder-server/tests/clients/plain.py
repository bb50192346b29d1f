"""What people do with redis-py and plain keys, and rows between them. Arguments: the port, the protocol's version.

With a third one the Redis behind larder is a cluster, of which a PUBLISH counts the listeners of
one server alone.
"""

import sys
import threading

import redis

port, protocol = int(sys.argv[1]), int(sys.argv[2])
listeners = (0, 1) if sys.argv[3:] else (1,)
client = redis.Redis(port=port, protocol=protocol, decode_responses=True)


def same(given, expected):
    if given != expected:
        raise AssertionError(f"{given!r} is not {expected!r}")


# Collections, and a pipeline of everything.
client.hset("cart:1", mapping={"apples": 3, "pears": 1})
same(client.hgetall("cart:1"), {"apples": "3", "pears": "1"})
client.zadd("scores", {"ada": 3, "bob": 1})
scores = client.zrange("scores", 0, -1, withscores=True)
same([tuple(pair) for pair in scores], [("bob", 1.0), ("ada", 3.0)])
client.xadd("log", {"what": "login"})
same(client.xlen("log"), 1)
pipe = client.pipeline(transaction=False)
pipe.set("a", 1).get("user:1").incr("a").get("user:2").hget("cart:1", "pears")
same(pipe.execute(), [True, "row of user:1", 2, "row of user:2", "1"])
same(client.mget("a", "user:3", "none"), ["2", "row of user:3", None])
same(sorted(client.scan_iter("cart:*")), ["cart:1"])

# Transactions.
pipe = client.pipeline(transaction=True)
same(pipe.set("b", 5).incr("b").get("b").execute(), [True, 6, "6"])
with client.pipeline() as pipe:
    pipe.watch("b")
    before = int(pipe.get("b"))
    client.incr("b")
    pipe.multi()
    pipe.set("b", before + 100)
    try:
        pipe.execute()
    except redis.WatchError:
        pass
    else:
        raise AssertionError("a watched key changed")
same(client.get("b"), "7")
client.transaction(lambda pipe: pipe.multi() or pipe.incr("b"), "b")
same(client.get("b"), "8")
try:
    client.pipeline(transaction=True).set("b", 1).get("user:1").execute()
except redis.RedisError:
    pass
else:
    raise AssertionError("a declared key in a transaction")
same(client.get("b"), "8")

# Many transactions and reads, each pipeline in one piece.
with client.pipeline(transaction=False) as pipe:
    for at in range(1000):
        pipe.incr(f"n:{at % 10}")
    same(pipe.execute(), [at // 10 + 1 for at in range(1000)])
with client.pipeline(transaction=True) as pipe:
    for at in range(100):
        pipe.rpush("list", at)
    pipe.lrange("list", 0, -1)
    same(pipe.execute(), [*range(1, 101), [str(at) for at in range(100)]])
with client.pipeline(transaction=True) as pipe:
    # A command that fails undoes nothing of the others.
    pipe.set("word", "x").incr("word").append("word", "y")
    answers = pipe.execute(raise_on_error=False)
same([answers[0], answers[2]], [True, 2])
same(type(answers[1]), redis.ResponseError)

# Scripts, and the lock that is one.
double = client.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
same(double(keys=["b"], args=[2]), 10)
same(client.eval("return {KEYS[1], ARGV[1]}", 1, "b", "x"), ["b", "x"])
sha = client.script_load("return redis.call('GET', KEYS[1])")
same(client.script_exists(sha, "0" * 40), [True, False])
for key in ["a", "b", "word"]:
    same(client.evalsha(sha, 1, key), client.get(key))
pipe = client.pipeline(transaction=False)
double(keys=["b"], args=[1], client=pipe)
pipe.get("b")
same(pipe.execute(), [11, "11"])
same(client.decr("b"), 10)
client.script_flush()
same(double(keys=["b"], args=[0]), 10)
try:
    client.evalsha("0" * 40, 1, "b")
except redis.exceptions.NoScriptError:
    pass
else:
    raise AssertionError("a script that nobody knows")
with client.lock("lock", timeout=5):
    same(client.lock("lock", timeout=5).acquire(blocking=False), False)

# Rows between plain keys.
same(client.set("user:7", "mine"), True)
same(client.set("user:7", "his", nx=True), None)
same(client.set("user:7", "yours", xx=True, get=True), "mine")
pipe = client.pipeline(transaction=False)
pipe.incr("count:1").incrby("count:2", 5).decr("count:1").set("row", 1).get("count:2").get("row")
same(pipe.execute(), [1, 5, 0, True, "5", "1"])
same(client.execute_command("LARDER.DELETE", "user:7", "count:2"), 2)
same(client.mget("user:7", "count:2", "row"), [None, None, "1"])

# Lists that are waited for.
same(client.blpop("jobs", timeout=0.1), None)
threading.Timer(0.1, lambda: client.rpush("jobs", "one")).start()
same(tuple(client.blpop("jobs", timeout=10)), ("jobs", "one"))

# What there is to call.
if not sys.argv[3:]:
    same(client.command_getkeys("HSET", "h", "f", "v"), ["h"])
same({"hset", "get", "larder.get"} <= set(client.command_list()), True)

# Subscriptions.
with client.pubsub() as pubsub:
    pubsub.subscribe("news")
    pubsub.psubscribe("sp*")
    same(pubsub.get_message(timeout=10)["type"], "subscribe")
    same(pubsub.get_message(timeout=10)["type"], "psubscribe")
    for channel, message in [("news", "hello"), ("sport", "goal")]:
        same(client.publish(channel, message) in listeners, True)
        same(pubsub.get_message(timeout=10)["data"], message)
    same(client.pubsub_channels(), ["news"])
    same([tuple(pair) for pair in client.pubsub_numsub("news")], [("news", 1)])
    if protocol == 2:
        # In RESP3 the reply is a simple string, which redis-py takes for a message of the kind P.
        pubsub.ping()
        same(pubsub.get_message(timeout=10)["type"], "pong")
    pubsub.unsubscribe()
    same(pubsub.get_message(timeout=10)["type"], "unsubscribe")
client.close()
print("done")
