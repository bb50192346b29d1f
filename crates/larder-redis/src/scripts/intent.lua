-- Announces a write of a key before it is committed: while the intent lives nobody fills the key.
-- KEYS: value, lease, intents, owner; then, with an announcement, head and stream.
-- ARGV: the intent, milliseconds, a run for the bus if it has none, the announcement or ''.
-- Returns whether an entry was held, and the position of the announcement, or nothing.
local held = redis.call('PTTL', KEYS[1]) > 0 and 1 or 0
-- What needs no room comes first: it lets the rest through on a full server.
redis.call('UNLINK', KEYS[2], KEYS[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', now))
if redis.call('ZCARD', KEYS[3]) == 0 then
  redis.call('SET', KEYS[4], ARGV[1] .. string.format('%.0f', now), 'PX', ARGV[2])
else
  -- Of writers that overlap none may leave its value.
  redis.call('UNLINK', KEYS[4])
end
redis.call('ZADD', KEYS[3], string.format('%.0f', now + ARGV[2]), ARGV[1])
if redis.call('PTTL', KEYS[3]) < 2 * ARGV[2] then
  redis.call('PEXPIRE', KEYS[3], string.format('%.0f', 2 * ARGV[2]))
end
if ARGV[4] ~= '' then
  return {held, announce(KEYS[5], KEYS[6], ARGV[3], ARGV[4])}
end
return {held, {}}
