"""What people do with redis-py and plain keys. Arguments: the port, the protocol's version."""

import sys
import threading

import redis

port, protocol = int(sys.argv[1]), int(sys.argv[2])
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

# Scripts, and the lock that is one.
double = client.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
same(double(keys=["b"], args=[2]), 10)
with client.lock("lock", timeout=5):
    same(client.lock("lock", timeout=5).acquire(blocking=False), False)

# Lists that are waited for.
same(client.blpop("jobs", timeout=0.1), None)
threading.Timer(0.1, lambda: client.rpush("jobs", "one")).start()
same(tuple(client.blpop("jobs", timeout=10)), ("jobs", "one"))

# Subscriptions.
with client.pubsub() as pubsub:
    pubsub.subscribe("news")
    pubsub.psubscribe("sp*")
    same(pubsub.get_message(timeout=10)["type"], "subscribe")
    same(pubsub.get_message(timeout=10)["type"], "psubscribe")
    same(client.publish("news", "hello"), 1)
    same(client.publish("sport", "goal"), 1)
    same(pubsub.get_message(timeout=10)["data"], "hello")
    same(pubsub.get_message(timeout=10)["data"], "goal")
    if protocol == 2:
        # In RESP3 the reply is a simple string, which redis-py takes for a message of the kind P.
        pubsub.ping()
        same(pubsub.get_message(timeout=10)["type"], "pong")
    pubsub.unsubscribe()
    same(pubsub.get_message(timeout=10)["type"], "unsubscribe")
client.close()
print("done")
