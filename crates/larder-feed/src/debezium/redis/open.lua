-- Takes the lock, and says where reading begins.
-- KEYS: the state, the lock, the streams. ARGV: the token, milliseconds, a number for a new log.
-- Returns false where somebody else has the lock; else the log, the number, and each stream's place.
--
-- What may not have been read gives the log another number, so that whoever knows a place of the
-- one before has a gap: the server was started anew or is another one, which may have forgotten
-- entries, or a stream was never read.
if not redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return false end
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local log = redis.call('HGET', KEYS[1], 'log')
if redis.call('HGET', KEYS[1], 'run') ~= run then log = false end
local places = {}
for i = 3, #KEYS do
  local field = 'at:' .. KEYS[i]
  local at = redis.call('HGET', KEYS[1], field)
  if not at then
    at, log = '0-0 0', false
    if redis.call('EXISTS', KEYS[i]) == 1 then
      local info = {}
      local flat = redis.call('XINFO', 'STREAM', KEYS[i])
      for j = 1, #flat, 2 do info[flat[j]] = flat[j + 1] end
      if not info['entries-added'] then return redis.error_reply('ERR Redis 7 is needed') end
      at = info['last-generated-id'] .. ' ' .. string.format('%.0f', info['entries-added'])
    end
    redis.call('HSET', KEYS[1], field, at)
  end
  places[#places + 1] = at
end
if not log then
  log = ARGV[3]
  redis.call('HSET', KEYS[1], 'log', log, 'run', run)
end
local out = {log, redis.call('HGET', KEYS[1], 'number') or '0'}
for _, at in ipairs(places) do out[#out + 1] = at end
return out
