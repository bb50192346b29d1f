-- KEYS: marks, key, companion, lease. ARGV: the token, the value, buckets of tags or '', words of
-- the expiry. Returns 'stored', 'refused', or 'evicts' and the policy under which tags need an end.
local lease = redis.call('GET', KEYS[4])
if not lease or string.sub(lease, 1, #ARGV[1] + 1) ~= ARGV[1] .. ' ' then
  return {'refused'}
end
local policy = ARGV[3] ~= '' and ARGV[4] == nil and evicts()
if policy then
  return {'evicts', policy}
end
local known = {}
known.server, known.run, known.clock, known.born =
  string.match(lease, ' (%x+) (%x+) (%d+) (%d+)$')
guard('r', KEYS[2], KEYS[3], KEYS[4])
-- What another run of the server granted may have been void, and be back. And somebody may have
-- set the key past every larder.
if known.server ~= server() or redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('UNLINK', KEYS[4])
  return {'refused'}
end
put(ARGV[2], ARGV[3], known)
redis.call('UNLINK', KEYS[4])
-- A tag that was struck while its client loaded strikes what it loaded.
guard('r', KEYS[2], KEYS[3], KEYS[4])
return {redis.call('EXISTS', KEYS[2]) == 1 and 'stored' or 'refused'}
