-- Where the bus ends, and which announcements stand there and at another id.
-- KEYS: head, stream. ARGV: a run for the bus if it has none, an id or ''.
-- Returns run and number of the end, the last id, run and number of what stands there, and run
-- and number of what stands at the id asked for.
local run = redis.call('HGET', KEYS[1], 'run')
if not run then
  run = ARGV[1]
  -- This needs no room, and lets what follows through on a full server.
  redis.call('UNLINK', KEYS[1])
  redis.call('HSET', KEYS[1], 'run', run, 'n', 0)
end
local number = redis.call('HGET', KEYS[1], 'n') or '0'
local function found(entry)
  local at = {r = '', n = ''}
  local fields = entry and entry[2] or {}
  for i = 1, #fields, 2 do
    at[fields[i]] = fields[i + 1]
  end
  return at
end
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
local there = ARGV[2] ~= '' and redis.call('XRANGE', KEYS[2], ARGV[2], ARGV[2])[1] or nil
local stands, other = found(last), found(there)
return {run, number, last and last[1] or '0-0', stands.r, stands.n, other.r, other.n}
