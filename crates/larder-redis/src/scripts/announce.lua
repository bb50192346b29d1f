-- Appends to the bus. What is behind the bytes are further fields.
-- Before it, a script must have written something that needs no room: a script that has written
-- is let through by a full server, and an invalidation must get through.
local function announce(head, stream, run, bytes, ...)
  local current = redis.call('HGET', head, 'run')
  if not current then
    current = run
    redis.call('HSET', head, 'run', run, 'n', 0)
  end
  local number = redis.call('HINCRBY', head, 'n', 1)
  redis.call('XADD', stream, 'MAXLEN', '~', 100000, '*',
    'a', bytes, 'n', number, 'r', current, ...)
  return {current, number}
end
