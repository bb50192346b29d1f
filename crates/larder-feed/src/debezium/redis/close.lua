-- Gives the lock back. KEYS: the state, the lock. ARGV: the token.
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
return true
