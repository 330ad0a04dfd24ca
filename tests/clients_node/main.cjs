// What applications do with ioredis and node-redis: pub/sub, streams, Lua, transactions, waiting.
//
// usage: main.cjs PORT
'use strict';
const assert = require('node:assert/strict');
const Redis = require('ioredis');
const redis = require('redis');

const port = Number(process.argv[2]);
const ADD = "return redis.call('INCRBY', KEYS[1], ARGV[1]) + #redis.call('KEYS', '*')";

/** Resolves when `count` values have been given to the function that comes first. */
function collect(count) {
  const values = [];
  let done;
  const all = new Promise((resolve) => { done = resolve; });
  const take = (...value) => { if (values.push(value) === count) done(values); };
  return [take, all];
}

async function ioredisBasics(client) {
  assert.equal(await client.set('a', '1', 'EX', 100), 'OK');
  assert.deepEqual(await client.mget('a', 'none'), ['1', null]);
  assert.equal(await client.hset('hash', { name: 'x', size: 3 }), 2);
  assert.deepEqual(await client.hgetall('hash'), { name: 'x', size: '3' });
  assert.deepEqual(await client.pipeline().incr('a').incr('hash').exec().then((all) => all.map(([error, value]) =>
    (error ? error.message.split(' ')[0] : value))), [2, 'WRONGTYPE']);
  assert.deepEqual(await client.multi().incr('a').zadd('z', 1, 'm').exec(), [[null, 3], [null, 1]]);
  const binary = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  await client.set('binary', binary);
  assert.ok(binary.equals(await client.getBuffer('binary')));
  const found = [];
  for await (const keys of client.scanStream({ match: '*a*', count: 2 })) found.push(...keys);
  assert.deepEqual([...new Set(found)].sort(), ['a', 'binary', 'hash']);
}

async function ioredisStreams(client) {
  const ids = [];
  for (let n = 0; n < 3; n += 1) ids.push(await client.xadd('stream', '*', 'n', n));
  assert.equal(await client.xgroup('CREATE', 'stream', 'group', '0'), 'OK');
  const [[name, entries]] = await client.xreadgroup('GROUP', 'group', 'me', 'COUNT', 2, 'STREAMS', 'stream', '>');
  assert.equal(name, 'stream');
  assert.deepEqual(entries, [[ids[0], ['n', '0']], [ids[1], ['n', '1']]]);
  assert.equal(await client.xack('stream', 'group', ids[0]), 1);
  assert.deepEqual(await client.xpending('stream', 'group'), [1, ids[1], ids[1], [['me', '1']]]);
  const waiting = client.duplicate();
  const later = waiting.xread('BLOCK', 0, 'STREAMS', 'stream', '$');
  while (!/flags=b/.test(await client.client('LIST'))) await new Promise((resolve) => setTimeout(resolve, 5));
  const id = await client.xadd('stream', '*', 'n', 'late');
  assert.deepEqual(await later, [['stream', [[id, ['n', 'late']]]]]);
  waiting.disconnect();
}

async function ioredisScripts(client) {
  await client.flushall();
  client.defineCommand('add', { numberOfKeys: 1, lua: ADD });
  assert.equal(await client.add('sum', 4), 5);
  // Forgotten, so that EVALSHA fails and EVAL comes after it.
  await client.script('FLUSH');
  assert.equal(await client.add('sum', 4), 9);
  await assert.rejects(client.eval("return redis.error_reply('MINE of my own')", 0), /MINE of my own/);
  assert.deepEqual(await client.eval("return {1, 'two', {3.7, false}, cjson.encode({4})}", 0), [1, 'two', [3, null], '[4]']);
}

async function ioredisPubSub(client) {
  const subscriber = client.duplicate();
  const [message, messages] = collect(2);
  const [pattern, patterns] = collect(1);
  subscriber.on('message', message);
  subscriber.on('pmessage', pattern);
  assert.equal(await subscriber.subscribe('news', 'other'), 2);
  assert.equal(await subscriber.psubscribe('n?ws'), 3);
  assert.equal(await client.publish('news', 'one'), 2);
  assert.equal(await client.publish('other', 'two'), 1);
  assert.deepEqual(await messages, [['news', 'one'], ['other', 'two']]);
  assert.deepEqual(await patterns, [['n?ws', 'news', 'one']]);
  await subscriber.unsubscribe('news', 'other');
  await subscriber.punsubscribe('n?ws');
  assert.equal(await subscriber.ping(), 'PONG');
  subscriber.disconnect();
}

async function nodeRedisTypes(client) {
  assert.equal(await client.set('a', '1', { EX: 100, NX: true }), 'OK');
  assert.equal(await client.set('a', '2', { NX: true }), null);
  await client.hSet('hash', { name: 'x', size: 3 });
  assert.deepEqual({ ...await client.hGetAll('hash') }, { name: 'x', size: '3' });
  await client.zAdd('z', [{ score: 1, value: 'one' }, { score: 2, value: 'two' }]);
  assert.deepEqual(await client.zRangeWithScores('z', 0, -1), [{ score: 1, value: 'one' }, { score: 2, value: 'two' }]);
  await client.geoAdd('places', [{ longitude: 13.361389, latitude: 38.115556, member: 'Palermo' }]);
  assert.deepEqual(await client.geoSearch('places', { longitude: 15, latitude: 37 }, { radius: 200, unit: 'km' }), ['Palermo']);
  assert.equal(await client.pfAdd('log', ['a', 'b']), true);
  const replies = await client.multi().incr('a').sAdd('set', ['x', 'y']).sMembers('set').exec();
  assert.deepEqual([replies[0], replies[1], replies[2].sort()], [2, 2, ['x', 'y']]);
  const keys = [];
  for await (const key of client.scanIterator({ MATCH: '*', COUNT: 2 })) keys.push(key);
  assert.equal(new Set(keys).size, 6);
  const changed = client.executeIsolated(async (isolated) => {
    await isolated.watch('a');
    await client.incr('a');
    return isolated.multi().incr('a').exec();
  });
  await assert.rejects(changed, redis.WatchError);
}

async function nodeRedisStreams(client) {
  const id = await client.xAdd('stream', '*', { n: '1' });
  await client.xGroupCreate('stream', 'group', '0');
  assert.deepEqual(JSON.parse(JSON.stringify(await client.xReadGroup('group', 'me', { key: 'stream', id: '>' }, { COUNT: 5 }))),
    [{ name: 'stream', messages: [{ id, message: { n: '1' } }] }]);
  const claimed = await client.xAutoClaim('stream', 'group', 'you', 0, '0');
  assert.equal(claimed.messages[0].id, id);
  assert.equal((await client.xInfoGroups('stream'))[0].pending, 1);
  assert.equal(await client.xAck('stream', 'group', id), 1);
}

async function nodeRedisPubSub(client) {
  const subscriber = client.duplicate();
  await subscriber.connect();
  const [take, taken] = collect(3);
  await subscriber.subscribe('news', take);
  await subscriber.pSubscribe('n*', take);
  await subscriber.sSubscribe('shard', take);
  assert.equal(await client.publish('news', 'x'), 2);
  assert.equal(await client.sPublish('shard', 'y'), 1);
  assert.deepEqual(await taken, [['x', 'news'], ['x', 'news'], ['y', 'shard']]);
  await subscriber.disconnect();
}

async function nodeRedisFunctions(client) {
  const library = "#!lua name=mine\nredis.register_function('twice', function(keys, args) return tonumber(args[1]) * 2 end)";
  assert.equal(await client.functionLoad(library, { REPLACE: true }), 'mine');
  assert.equal(await client.fCall('twice', { arguments: ['21'] }), 42);
  assert.equal((await client.functionList())[0].libraryName, 'mine');
  assert.equal(await client.eval(ADD, { keys: ['sum'], arguments: ['1'] }) > 1, true);
}

async function main() {
  const io = new Redis(port);
  for (const check of [ioredisBasics, ioredisStreams, ioredisScripts, ioredisPubSub]) {
    await io.flushall();
    await check(io);
  }
  io.disconnect();
  const node = redis.createClient({ socket: { port } });
  await node.connect();
  for (const check of [nodeRedisTypes, nodeRedisStreams, nodeRedisPubSub, nodeRedisFunctions]) {
    await node.flushAll();
    await check(node);
  }
  await node.disconnect();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
