-- Lets a lease last from now on. The moment of its grant stays.
-- KEYS: lease. ARGV: token, milliseconds. Returns 1, or 0 when the lease is void.
local lease = redis.call('GET', KEYS[1])
if lease and string.sub(lease, 1, #ARGV[1]) == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
