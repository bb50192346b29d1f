-- Asks for the lease of a key.
-- KEYS: value, lease, intents. ARGV: token, milliseconds, stamp of an entry already seen or '', the
-- run of this server.
-- Returns what happened, the value or '', the milliseconds that it is held, and for 'busy' those
-- that the lease lasts.
-- The first command that writes is the one that needs room, so that a full server refuses it.
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local value = redis.call('GET', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
  value = false
end
if value and string.byte(value, 2) == 1 and string.sub(value, 3, 10) ~= ARGV[3] then
  return {'hit', value, left, 0}
end
if redis.call('ZCOUNT', KEYS[3], '(' .. now, '+inf') > 0 then
  return {'writer', value or '', left, 0}
end
local other = redis.call('GET', KEYS[2])
-- A lease of another run is void: it came back from disk, or from another server.
local exists = other and string.sub(other, 17, 24) == ARGV[4]
local granted = not exists
  and redis.pcall('SET', KEYS[2], ARGV[1] .. ARGV[4] .. now, 'PX', ARGV[2])
if type(granted) == 'table' and granted.err then
  -- No room for a lease: one that is void from the beginning costs a load and nothing else.
  if not string.find(granted.err, 'OOM', 1, true) then
    return granted
  end
end
if granted then
  return {'lease', value or '', left, 0}
end
local wait = redis.call('PTTL', KEYS[2])
if wait < 0 then
  -- It was written by somebody else: no key stays busy for ever.
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
  wait = tonumber(ARGV[2])
end
return {'busy', value or '', left, wait}
