// What people do with node-redis and plain keys. Arguments: the port, the protocol's version.

import assert from 'node:assert/strict';
import { createClient, defineScript, WatchError } from 'redis';

const [port, RESP] = process.argv.slice(-2).map(Number);
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

// Scripts.
assert.equal(await client.add('b', 3), 10);

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
assert.equal(await client.publish('news', 'hello'), 1);
assert.equal(await client.publish('sport', 'goal'), 1);
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
