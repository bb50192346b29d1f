-- Gives a journal back, if we still have it.
-- KEYS: head, log. ARGV: token.
redis.call('HDEL', KEYS[1], '')
if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then
  redis.call('HSET', KEYS[1], 'owner', '')
end
return 1
