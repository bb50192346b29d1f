-- Renews the lock, acknowledges, and reads.
-- KEYS: the state, the lock, the streams. ARGV: the token, milliseconds, entries and bytes at most,
-- the number that is acknowledged or nothing, and of each stream the id to read behind and the
-- place that is acknowledged.
-- Returns false where somebody else has the lock; else of each stream how many entries it ever
-- had, how many it has, its last id, and entries.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return false end
redis.call('PEXPIRE', KEYS[2], ARGV[2])
local acknowledges = ARGV[5] ~= ''
if acknowledges then redis.call('HSET', KEYS[1], 'number', ARGV[5]) end
local left, room = tonumber(ARGV[3]), tonumber(ARGV[4])
local out = {}
for i = 3, #KEYS do
  local behind, place = ARGV[2 * i], ARGV[2 * i + 1]
  if acknowledges then redis.call('HSET', KEYS[1], 'at:' .. KEYS[i], place) end
  local info, entries = {}, {}
  if redis.call('EXISTS', KEYS[i]) == 1 then
    local flat = redis.call('XINFO', 'STREAM', KEYS[i])
    for j = 1, #flat, 2 do info[flat[j]] = flat[j + 1] end
  end
  local more = info['length'] and info['length'] > 0
  while more and left > 0 and room > 0 do
    local some = redis.call('XRANGE', KEYS[i], '(' .. behind, '+', 'COUNT', math.min(left, 32))
    more = #some > 0
    for _, entry in ipairs(some) do
      local bytes = 0
      for _, part in ipairs(entry[2]) do bytes = bytes + #part end
      -- One always goes, however large it is.
      if bytes > room and room < tonumber(ARGV[4]) then room = 0 break end
      entries[#entries + 1] = entry
      behind, left, room = entry[1], left - 1, room - bytes
      if left == 0 or room <= 0 then break end
    end
  end
  out[#out + 1] = {
    info['entries-added'] or 0, info['length'] or 0, info['last-generated-id'] or '0-0', entries,
  }
end
return out
