-- Drops what is held under one name or marks it stale.
-- KEYS: the name. ARGV: 'd' or 's'.
if ARGV[1] == 'd' then
  return redis.call('UNLINK', KEYS[1])
end
if redis.call('STRLEN', KEYS[1]) > 1 then
  local marked = redis.pcall('SETRANGE', KEYS[1], 1, '\2')
  if type(marked) == 'table' and marked.err then
    -- No room even for that.
    redis.call('UNLINK', KEYS[1])
  end
end
return 1
