//! The same script, through larder and straight to another Redis: equal bytes.

use larder_test::{Redis, Reply, RespClient};

use crate::support::{Bench, raw, words};

/// Tells both the same in both versions of the protocol, all at once, and compares every byte. And
/// once more where larder looks out for tags before each command.
fn check(script: &str) {
    check_with(script, Bench::new);
    check_with(script, Bench::guarding);
}

fn check_with(script: &str, bench_of: fn() -> Bench) {
    for hello in ["HELLO 2", "HELLO 3"] {
        let lines: Vec<_> = script.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let bench = bench_of();
        let straight = Redis::start();
        let request = |line: &&str| -> Vec<Vec<u8>> {
            words(line).iter().map(|word| word.replace('~', " ").into_bytes()).collect()
        };
        let requests: Vec<_> = lines.iter().map(request).collect();
        let said = |address| {
            let mut all = vec![request(&hello)];
            all.extend(requests.iter().cloned());
            raw(address, &all)
        };
        let larder = said(bench.address);
        let redis = said(([127, 0, 0, 1], straight.port()).into());
        // HELLO tells of the server itself.
        let behind = |bytes: &[u8]| {
            let end = b"$7\r\nmodules\r\n*0\r\n";
            let at = bytes.windows(end.len()).position(|window| window == end).unwrap();
            bytes[at + end.len()..].escape_ascii().to_string()
        };
        assert_eq!(behind(&larder), behind(&redis), "{hello}");
        // And one after the other, to fresh servers.
        let (bench, straight) = (bench_of(), Redis::start());
        let mut clients = [bench.client(), RespClient::connect(("127.0.0.1", straight.port()))];
        clients.iter_mut().for_each(|client| drop(client.command(&request(&hello))));
        for (request, line) in requests.iter().zip(&lines) {
            let [larder, redis] = clients.each_mut().map(|client| client.command(request));
            assert_eq!(larder, redis, "{hello}: {line}");
        }
        // It is Redis that was asked.
        let keys = |redis: &Redis| {
            let keys = redis.cli(&["KEYS", "*"]);
            keys.lines().filter(|key| !key.starts_with("larder")).count()
        };
        assert_eq!(keys(&bench.redis), keys(&straight));
    }
}

#[test]
fn strings_are_those_of_redis() {
    check(
        "SET a 1
         GET a
         GET nothing
         SET a 2 NX
         SET a 3 XX GET
         SETEX b 100 x
         SETNX b y
         SETNX c y
         TTL nothing
         PERSIST b
         TTL b
         INCR a
         INCRBY a 5
         DECR a
         DECRBY a 2
         INCR b
         APPEND c tail
         STRLEN c
         GETRANGE c 1 2
         SETRANGE c 2 XX
         GETDEL c
         GETEX a PERSIST
         INCRBYFLOAT a 1.5
         MSET k1 1 k2 2
         MGET k1 nothing k2
         MSETNX k1 1 k3 3
         EXISTS k1 k1 nothing
         TYPE k1
         TOUCH k1 k2 nothing
         DEL k1 k2 nothing
         UNLINK k1
         SETBIT bits 7 1
         BITCOUNT bits
         BITPOS bits 1
         BITFIELD bits GET u8 0
         BITOP NOT more bits
         LCS a b
         COPY a a2
         RENAME a2 a3
         RENAMENX a3 a
         OBJECT ENCODING a
         EXPIRE a 100 GT
         EXPIRE a 100
         EXPIREAT a 99999999999
         EXPIRETIME a
         PFADD hll x y z
         PFCOUNT hll
         SET a
         SET a b c d
         GET
         GET a b
         INCR
         LPUSH a x
         TIME now
         OBJECT
         OBJECT ENCODING
         MEMORY
         SCRIPT EXISTS abc
         EXEC
         DISCARD
         UNWATCH
         SORT nothing
         SWAP",
    );
}

#[test]
fn collections_are_those_of_redis() {
    check(
        "HSET h a 1 b 2
         HGET h a
         HGETALL h
         HMGET h a x b
         HINCRBY h a 5
         HINCRBYFLOAT h a 0.5
         HDEL h b
         HKEYS h
         HLEN h
         HSCAN h 0
         HSETNX h a 2
         HRANDFIELD h 1 WITHVALUES
         HEXISTS h a
         RPUSH l a b c d
         LPUSH l z
         LRANGE l 0 -1
         LINDEX l 1
         LINSERT l BEFORE b x
         LPOP l 2
         RPOP l
         LLEN l
         LPOS l b
         LREM l 0 x
         LSET l 0 y
         LTRIM l 0 1
         LMOVE l l2 LEFT RIGHT
         RPOPLPUSH l l2
         LMPOP 2 l l2 LEFT COUNT 2
         SADD s 1 2 3
         SADD t 2 3 4
         SISMEMBER s 1
         SMISMEMBER s 1 9
         SINTER s t
         SINTERCARD 2 s t
         SUNIONSTORE u s t
         SMOVE s t 1
         SCARD t
         SMEMBERS u
         SSCAN u 0
         ZADD z 1 a 2 b 3.5 c
         ZADD z XX CH 4 a
         ZSCORE z c
         ZMSCORE z a x
         ZINCRBY z 0.25 b
         ZRANGE z 0 -1 WITHSCORES
         ZRANGE z 0 5 BYSCORE LIMIT 0 1
         ZREVRANGE z 0 0
         ZRANGEBYSCORE z -inf +inf WITHSCORES
         ZRANK z a
         ZRANK z nobody
         ZUNIONSTORE zz 2 z z WEIGHTS 1 2
         ZINTER 2 z zz WITHSCORES
         ZDIFF 2 z zz
         ZPOPMIN z
         ZPOPMAX z 5
         ZMPOP 1 zz MIN
         ZRANGESTORE y zz 0 -1
         ZSCAN zz 0
         GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
         GEODIST g Palermo Catania km
         GEOPOS g Palermo
         GEORADIUS g 15 37 200 km ASC STORE near
         GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km ASC
         ZRANGE near 0 -1
         RPUSH n 3 1 2
         SORT n DESC LIMIT 0 2
         SORT n STORE sorted
         LRANGE sorted 0 -1
         HGETALL l
         ZADD z
         XADD x 1-1 f v g w
         XADD x 2-1 f v2
         XLEN x
         XRANGE x - +
         XREVRANGE x + - COUNT 1
         XREAD COUNT 1 STREAMS x 0
         XREAD STREAMS x $
         XGROUP CREATE x crew 0
         XREADGROUP GROUP crew me COUNT 1 STREAMS x >
         XPENDING x crew
         XACK x crew 1-1
         XINFO GROUPS x
         XTRIM x MAXLEN 1
         XADD x 1-1 f v
         XDEL x 2-1",
    );
}

#[test]
fn scripts_and_functions_are_those_of_redis() {
    check(
        "EVAL return~redis.call('SET',KEYS[1],ARGV[1]) 1 k v
         EVAL return~{1,2,{3,'x'},redis.call('GET',KEYS[1])} 1 k
         EVAL return~{err='MY~own'} 0
         EVAL return~{double=1.5} 0
         EVAL redis.setresp(3)~return~redis.call('HGETALL',KEYS[1]) 1 nothing
         EVAL nonsense( 0
         EVAL return~1 2 k
         EVAL return~1 x
         EVAL_RO return~redis.call('GET',KEYS[1]) 1 k
         SCRIPT LOAD return~ARGV[1]
         EVALSHA 098e0f0d1448c0a81dafe820f66d460eb09263da 0 hello
         EVALSHA ffffffffffffffffffffffffffffffffffffffff 0
         SCRIPT EXISTS 098e0f0d1448c0a81dafe820f66d460eb09263da abc
         FUNCTION LOAD #!lua~name=lib\nredis.register_function('f',function(k,a)~return~a[1]~end)
         FCALL f 0 x
         FCALL g 0",
    );
}

#[test]
fn transactions_are_those_of_redis() {
    check(
        "MULTI
         SET a 1
         INCR a
         LPUSH a x
         GET a
         PING
         ECHO hello
         EXEC
         MULTI
         SET b 1
         DISCARD
         GET b
         MULTI
         MULTI
         SET a
         SET a 5
         EXEC
         GET a
         WATCH a b
         GET a
         UNWATCH
         WATCH a
         SET a 7
         MULTI
         SET a 8
         EXEC
         GET a
         WATCH
         WATCH a
         MULTI
         WATCH b
         EXEC now
         INCR a
         EXEC
         MULTI
         BLPOP list 0
         XREAD BLOCK 0 STREAMS s $
         HSET h a 1
         HGETALL h
         EXEC
         SET after 1",
    );
}

#[test]
fn blocking_commands_that_need_not_wait_are_those_of_redis() {
    check(
        "RPUSH l a b c
         BLPOP l 0
         BRPOP none l 0
         BLMOVE l m LEFT RIGHT 0
         BLMPOP 0 1 m LEFT
         ZADD z 1 a 2 b
         BZPOPMIN z 0
         BZMPOP 0 1 z MAX
         BLPOP none 0.05
         BLPOP none x
         BLPOP none -1
         BRPOPLPUSH none other 0.05
         XADD s 1-1 f v
         XREAD BLOCK 0 STREAMS s 0
         XREAD BLOCK 20 STREAMS s $
         SET after 1",
    );
}

#[test]
fn a_thousand_commands_at_once_are_answered_in_order() {
    let script: Vec<_> = (0..1000)
        .map(|number| match number % 4 {
            0 => format!("SET key:{number} {number}"),
            1 => format!("GET key:{}", number - 1),
            2 => "INCR counter".to_owned(),
            _ => format!("RPUSH list {number}"),
        })
        .collect();
    check(&script.join("\n"));
}

#[test]
fn a_pipeline_goes_upstream_in_few_pieces() {
    let bench = Bench::new();
    let before = reads(&bench);
    let mut client = bench.client();
    let commands: Vec<_> = (0..100).map(|number| format!("SET k{number} v")).collect();
    let replies = client.pipeline(commands.iter().map(|line| words(line)));
    assert!(replies.iter().all(|reply| *reply == Reply::Simple("OK".into())));
    let asked = reads(&bench) - before;
    assert!(asked <= 10, "{asked} reads for one pipeline");
}

/// How often Redis has read from a client.
fn reads(bench: &Bench) -> u64 {
    let info = bench.redis.cli(&["INFO", "stats"]);
    let line = info.lines().find_map(|line| line.strip_prefix("total_reads_processed:"));
    line.unwrap().trim().parse().unwrap()
}
