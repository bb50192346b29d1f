-- Gives a lease back.
-- KEYS: lease. ARGV: token. Returns how many were given back.
local lease = redis.call('GET', KEYS[1])
if lease and string.sub(lease, 1, #ARGV[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
