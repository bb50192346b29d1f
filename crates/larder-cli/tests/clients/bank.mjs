// What people do with node-redis, done with larder. Arguments: the port, the protocol's version.

import assert from 'node:assert/strict';

import { createClient, ErrorReply } from 'redis';

const [port, RESP] = process.argv.slice(1).map(Number);
const account = (aid) => `{"aid":${aid},"bid":${Math.floor((aid - 1) / 100000) + 1},"abalance":0}`;

// Expects an error reply that begins with the code and has the words in it.
const refused = (promise, code, words) =>
  assert.rejects(promise, (error) => {
    assert.ok(error instanceof ErrorReply, `${error}`);
    assert.equal(error.message.split(' ')[0], code);
    assert.ok(error.message.includes(words), error.message);
    return true;
  });

// The older version of the protocol has no maps.
const asMap = (answer) => {
  if (!Array.isArray(answer)) return { ...answer };
  return Object.fromEntries(
    answer.flatMap((name, at) => (at % 2 ? [] : [[name, answer[at + 1]]])),
  );
};

const client = await createClient({ socket: { port, host: '127.0.0.1' }, RESP, name: 'clerk' })
  .on('error', (error) => {
    throw error;
  })
  .connect();

// The connection.
assert.equal(await client.ping(), 'PONG');
assert.equal(await client.clientGetName(), 'clerk');

// Declared keys are loaded; those asked for in one turn are asked together.
assert.equal(await client.get('account:1'), account(1));
assert.equal(await client.get('account:0'), null);
assert.deepEqual(await client.mGet(['account:2', 'account:0', 'account:200001']), [
  account(2),
  null,
  account(200001),
]);
const aids = Array.from({ length: 100 }, (_, at) => at + 1);
assert.deepEqual(await Promise.all(aids.map((aid) => client.get(`account:${aid}`))), aids.map(account));
assert.equal(await client.exists(['account:1', 'account:0']), 1);
const ttl = await client.ttl('account:1');
assert.ok(ttl > 0 && ttl <= 60, `${ttl}`);
assert.equal(await client.del('account:1'), 1);
assert.equal(await client.del('account:1'), 0);

// Plain keys are kept.
assert.equal(await client.set('plain', 'value', { EX: 100 }), 'OK');
const left = await client.ttl('plain');
assert.ok(left > 90 && left <= 100, `${left}`);
assert.equal(await client.set('plain', 'other', { NX: true }), null);
assert.equal(await client.get('plain'), 'value');
assert.deepEqual(
  await Promise.all([client.incr('count'), client.incrBy('count', 41), client.decr('count')]),
  [1, 42, 41],
);
assert.equal(await client.unlink(['plain', 'absent']), 1);

// What can't be done says so.
await refused(client.get('account:abc'), 'BADKEY', '(key account:abc)');
await refused(client.set('account:1', 'mine'), 'REFUSED', 'declared');
await refused(client.sendCommand(['HSET', 'a', 'b', 'c']), 'ERR', 'HSET needs a Redis behind larder');
await refused(client.sendCommand(['HSETT', 'a', 'b', 'c']), 'ERR', 'unknown command');

// What Redis has no words for.
const answer = asMap(await client.sendCommand(['LARDER.GET', 'account:5']));
assert.deepEqual([answer.value, answer.state], [account(5), 'fresh']);
const { value, state, token } = asMap(
  await client.sendCommand(['LARDER.GET', 'account:999', 'LEASE']),
);
assert.deepEqual([value, state], [null, 'gone']);
assert.equal(await client.sendCommand(['LARDER.FILL', 'account:999', token, 'mine']), 1);
assert.equal(await client.get('account:999'), 'mine');
// Somebody changed the row in between: what was read before must not be kept.
assert.equal(await client.del('account:999'), 1);
assert.equal(await client.sendCommand(['LARDER.FILL', 'account:999', token, 'older']), 0);
assert.equal(await client.get('account:999'), account(999));

await client.close();
console.log('done');
