-- Appends records, and removes what is needed no more.
-- KEYS: head, log. ARGV: token, the journal's name, who we are, the first number that is needed, the
-- number that the log must have reached, the number of the first record, accepted, '1' to begin
-- anew where nothing is left, the records, and the run of this server.
-- Returns 'stored', next, and how many records there are; 'lost' and next; 'gone'; 'torn'; or
-- 'owned' and by whom.
-- What was appended before is not appended again: numbers say what it is, and only its owner
-- appends.
local time = redis.call('TIME')
local beat = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local needed, reached, at = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local owner, who, first, next = unpack(redis.call('HMGET', KEYS[1], 'owner', 'who', 'first', 'next'))
if not owner then
  if redis.call('EXISTS', KEYS[1], KEYS[2]) > 0 then
    return {'torn'}
  elseif ARGV[8] ~= '1' then
    return {'gone'}
  end
  redis.call('HSET', KEYS[1], 'id', ARGV[2], 'owner', ARGV[1], 'who', ARGV[3], 'first', ARGV[4])
  redis.call('HSET', KEYS[1], 'next', ARGV[6], 'accepted', ARGV[7])
  first, next = ARGV[4], ARGV[6]
elseif owner ~= ARGV[1] then
  return {'owned', who}
end
first, next = tonumber(first), tonumber(next)
if next < reached then
  return {'lost', string.format('%.0f', next)}
end
local count = #ARGV - 9
if count == 0 then
  -- This needs no room, and lets what follows through on a full server.
  redis.call('HDEL', KEYS[1], '')
end
next = math.max(next, at)
for place = 1, count do
  local number = at + place - 1
  if number >= next then
    local added = redis.pcall('XADD', KEYS[2], string.format('%.0f', number), 'r', ARGV[8 + place])
    if type(added) == 'table' and added.err then
      -- The first one only: then nothing was written.
      return string.find(added.err, 'equal or smaller', 1, true) and {'torn'} or added
    end
    next = number + 1
  end
end
if needed > first then
  redis.call('XTRIM', KEYS[2], 'MINID', ARGV[4])
  redis.call('HSET', KEYS[1], 'first', ARGV[4])
end
next = string.format('%.0f', next)
redis.call('HSET', KEYS[1], 'next', next, 'accepted', ARGV[7], 'beat', beat, 'run', ARGV[#ARGV])
return {'stored', next, redis.call('XLEN', KEYS[2])}
