-- Takes a journal over.
-- KEYS: head, log. ARGV: token, who we are, the name of a new journal, for how many milliseconds
-- its owner must have been silent, its last sign of life that we have seen, the run of this server.
-- Returns 'held', who has it, its last sign of life and how many milliseconds ago that was; or
-- 'taken', the journal's name, first, next, accepted, and the run in which it was last written; or
-- 'torn'.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local names = {'id', 'owner', 'who', 'beat', 'first', 'next', 'accepted', 'run'}
local id, owner, who, beat, first, next, accepted, run = unpack(redis.call('HMGET', KEYS[1], unpack(names)))
if not id then
  if redis.call('EXISTS', KEYS[1], KEYS[2]) > 0 then
    return {'torn'}
  end
  id, owner, first, next, accepted, run = ARGV[3], '', '1', '1', '1', ARGV[6]
  redis.call('HSET', KEYS[1], 'id', id, 'first', first, 'next', next, 'accepted', accepted, 'run', run)
elseif owner ~= '' and beat ~= ARGV[5] then
  local age = math.max(0, now - tonumber(beat))
  if age < tonumber(ARGV[4]) then
    return {'held', who, beat, age}
  end
end
-- This needs no room, and lets what follows through on a full server: what it holds must be read.
redis.call('HDEL', KEYS[1], '')
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'who', ARGV[2], 'beat', string.format('%.0f', now))
-- A server that doesn't know how to do this says so now and not when it is needed.
redis.call('XTRIM', KEYS[2], 'MINID', first)
return {'taken', id, first, next, accepted, run}
