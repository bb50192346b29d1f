-- Every mark. Where there are none, a new incarnation begins.
-- KEYS: marks. ARGV: an incarnation if there is none. Returns fields and what they hold.
if redis.call('HEXISTS', KEYS[1], 'i') == 0 then
  -- This needs no room, and lets what follows through on a full server.
  redis.call('UNLINK', KEYS[1])
  redis.call('HSET', KEYS[1], 'i', ARGV[1], 'c', 0)
end
return redis.call('HGETALL', KEYS[1])
