-- Voids the leases of keys, and drops what is held of them or marks it stale.
-- KEYS: value, lease, owner of each; then, with an announcement, head and stream.
-- ARGV: how many keys, 'd' or 's', a run for the bus if it has none, the announcement or ''.
-- Returns the position of the announcement, or nothing.
for at = 1, ARGV[1] * 3, 3 do
  redis.call('UNLINK', KEYS[at + 1], KEYS[at + 2])
  if ARGV[2] == 'd' then
    redis.call('UNLINK', KEYS[at])
  elseif redis.call('STRLEN', KEYS[at]) > 1 then
    redis.call('SETRANGE', KEYS[at], 1, '\2')
  end
end
if ARGV[4] ~= '' then
  local last = ARGV[1] * 3
  return announce(KEYS[last + 1], KEYS[last + 2], ARGV[3], ARGV[4])
end
return {}
