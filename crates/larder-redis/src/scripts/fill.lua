-- Fills a key under its lease.
-- KEYS: value, lease, intents. ARGV: token, envelope, lifetime in milliseconds.
-- Returns 1 when it is held now, 0 when it was refused.
local lease = redis.call('GET', KEYS[2])
if not lease or string.sub(lease, 1, #ARGV[1]) ~= ARGV[1] then
  return 0
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('ZCOUNT', KEYS[3], '(' .. string.format('%.0f', now), '+inf') > 0 then
  return 0
end
-- Behind the token and the run stands when it was granted.
local age = now - tonumber(string.sub(lease, #ARGV[1] + 9))
local left = tonumber(ARGV[3]) - age
local stored = 0
-- A clock that was stepped back says nothing about the age.
if age >= 0 and left > 0 then
  stored = redis.pcall('SET', KEYS[1], ARGV[2], 'PX', string.format('%.0f', left))
  if not stored.err then
    stored = 1
  elseif string.find(stored.err, 'OOM', 1, true) then
    stored = 0
  end
end
redis.call('DEL', KEYS[2])
return stored
