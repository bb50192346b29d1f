-- Ends a write of a key, which was announced as an intent.
-- KEYS: value, lease, intents, owner; then, with an announcement, head and stream.
-- ARGV: the intent, how it ended ('c' committed, 'a' aborted, 'u' unknown), the envelope or '', its
-- lifetime in milliseconds, a run for the bus if it has none, the announcement or ''.
-- Returns 1 when the envelope is held now, and the position of the announcement, or nothing.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local had = 0
-- What may still be committed keeps others from filling for as long as it said that it would.
if ARGV[2] ~= 'u' then
  had = redis.call('ZREM', KEYS[3], ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', now))
local owner = redis.call('GET', KEYS[4])
local alone = had == 1 and redis.call('ZCARD', KEYS[3]) == 0
  and owner and string.sub(owner, 1, #ARGV[1]) == ARGV[1]
redis.call('UNLINK', KEYS[2], KEYS[4])
local installed = 0
if ARGV[2] ~= 'a' then
  redis.call('UNLINK', KEYS[1])
  if alone and ARGV[3] ~= '' then
    -- Behind the intent stands when it was announced: before the commit.
    local age = now - tonumber(string.sub(owner, #ARGV[1] + 1))
    local left = tonumber(ARGV[4]) - age
    if age >= 0 and left > 0 then
      local stored = redis.pcall('SET', KEYS[1], ARGV[3], 'PX', string.format('%.0f', left))
      installed = stored.err and 0 or 1
    end
  end
end
if ARGV[6] ~= '' then
  return {installed, announce(KEYS[5], KEYS[6], ARGV[5], ARGV[6])}
end
return {installed, {}}
