-- Publishes an announcement.
-- KEYS: head, stream. ARGV: a run for the bus if it has none, the announcement, then further
-- fields. Returns its position.
-- This needs no room, and lets what follows through on a full server.
redis.call('HDEL', KEYS[1], '')
return announce(KEYS[1], KEYS[2], ARGV[1], ARGV[2], unpack(ARGV, 3))
