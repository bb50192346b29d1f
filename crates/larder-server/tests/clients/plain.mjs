// What people do with node-redis and plain keys. Arguments: the port, the protocol's version. With a
// third one the Redis behind larder is a cluster, of which a PUBLISH counts the listeners of one
// server alone.

import assert from 'node:assert/strict';
import { createClient, defineScript, WatchError } from 'redis';

const [port, RESP] = process.argv.slice(1).map(Number);
const listeners = process.argv[3] ? [0, 1] : [1];
const scripts = {
  add: defineScript({
    NUMBER_OF_KEYS: 1,
    SCRIPT: "return redis.call('INCRBY', KEYS[1], ARGV[1])",
    parseCommand(parser, key, amount) {
      parser.pushKey(key);
      parser.push(amount.toString());
    },
    transformReply: (reply) => reply,
  }),
};
const client = createClient({ socket: { port }, RESP, scripts });
await client.connect();

// Collections, and many at once.
await client.hSet('cart:1', { apples: 3, pears: 1 });
assert.deepEqual({ ...(await client.hGetAll('cart:1')) }, { apples: '3', pears: '1' });
await client.zAdd('scores', [{ score: 3, value: 'ada' }, { score: 1, value: 'bob' }]);
assert.deepEqual(await client.zRange('scores', 0, -1), ['bob', 'ada']);
assert.equal(await client.zScore('scores', 'ada'), 3);
const many = [client.set('a', '1'), client.get('user:1'), client.incr('a'), client.get('user:2')];
assert.deepEqual(await Promise.all(many), ['OK', 'row of user:1', 2, 'row of user:2']);
assert.deepEqual(await client.mGet(['a', 'user:3', 'none']), ['2', 'row of user:3', null]);

// Transactions.
assert.deepEqual(await client.multi().set('b', '5').incr('b').get('b').exec(), ['OK', 6, '6']);
const other = client.duplicate();
await other.connect();
await other.watch('b');
await client.incr('b');
await assert.rejects(other.multi().set('b', '100').exec(), WatchError);
assert.equal(await other.get('b'), '7');
await assert.rejects(client.multi().set('b', '1').get('user:1').exec());
assert.equal(await client.get('b'), '7');

// A pipeline that is none of a transaction, and a transaction of which one command fails.
const numbers = client.multi();
for (let at = 0; at < 1000; at += 1) numbers.incr(`n:${at % 10}`);
const counted = Array.from({ length: 1000 }, (_, at) => Math.floor(at / 10) + 1);
assert.deepEqual(await numbers.execAsPipeline(), counted);
await assert.rejects(client.multi().set('word', 'x').incr('word').append('word', 'y').exec());
assert.equal(await client.get('word'), 'xy');

// Scripts.
assert.equal(await client.add('b', 3), 10);
assert.deepEqual(await client.multi().set('b', '1').add('b', 9).get('b').exec(), ['OK', 10, '10']);
assert.deepEqual(await client.eval('return {KEYS[1], ARGV[1]}', { keys: ['b'], arguments: ['x'] }), [
  'b',
  'x',
]);
const sha = await client.scriptLoad("return redis.call('GET', KEYS[1])");
assert.deepEqual((await client.scriptExists([sha, '0'.repeat(40)])).map(Number), [1, 0]);
for (const key of ['a', 'b', 'word']) {
  assert.equal(await client.evalSha(sha, { keys: [key] }), await client.get(key));
}
await client.scriptFlush();
assert.equal(await client.add('b', 0), 10);
await assert.rejects(client.evalSha('0'.repeat(40), { keys: ['b'] }), /NOSCRIPT/);

// Rows between plain keys.
assert.equal(await client.set('user:7', 'mine'), 'OK');
assert.equal(await client.setNX('user:7', 'his'), 0);
assert.equal(await client.getSet('user:7', 'yours'), 'mine');
const written = [client.incr('count:1'), client.incrBy('count:2', 5), client.decr('count:1')];
written.push(client.set('row', '1'), client.get('count:2'), client.get('row'));
assert.deepEqual(await Promise.all(written), [1, 5, 0, 'OK', '5', '1']);
assert.equal(await client.sendCommand(['LARDER.DELETE', 'user:7', 'count:2']), 2);
assert.deepEqual(await client.mGet(['user:7', 'count:2', 'row']), [null, null, '1']);

// What there is to call.
assert.deepEqual(await client.commandGetKeys(['HSET', 'h', 'f', 'v']), ['h']);
const all = (await client.command()).map(({ name }) => name);
assert.ok(['hset', 'get', 'larder.get'].every((name) => all.includes(name)));

// Lists that are waited for.
assert.equal(await other.blPop('jobs', 0.1), null);
const popped = other.blPop('jobs', 10);
await client.rPush('jobs', 'one');
assert.deepEqual({ ...(await popped) }, { key: 'jobs', element: 'one' });

// Subscriptions.
const subscriber = client.duplicate();
await subscriber.connect();
const heard = [];
let listen;
const told = new Promise((resolve) => {
  listen = (message, channel) => heard.push([channel, message]) === 2 && resolve();
});
await subscriber.subscribe('news', listen);
await subscriber.pSubscribe('sp*', listen);
assert.ok(listeners.includes(await client.publish('news', 'hello')));
assert.deepEqual(await client.pubSubChannels(), ['news']);
assert.deepEqual({ ...(await client.pubSubNumSub(['news'])) }, { news: 1 });
assert.ok(listeners.includes(await client.publish('sport', 'goal')));
await told;
assert.deepEqual(heard, [['news', 'hello'], ['sport', 'goal']]);
await subscriber.unsubscribe('news');
await subscriber.pUnsubscribe('sp*');
// In RESP2 node-redis returns buffers from now on.
assert.equal(String(await subscriber.get('user:1')), 'row of user:1');
for (const one of [client, other, subscriber]) {
  await one.close();
}
console.log('done');
