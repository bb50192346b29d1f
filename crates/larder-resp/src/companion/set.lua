-- KEYS: marks, key, companion, lease. ARGV: the flag, the value, buckets of tags or '', words of
-- the expiry. Returns 'stored'; 'evicts' and the policy under which tags need an end; 'announce',
-- or 'wait' with milliseconds.
if ARGV[3] ~= '' then
  local early = too_early(ARGV[1])
  if early then
    return early
  end
  local policy = ARGV[4] == nil and evicts()
  if policy then
    return {'evicts', policy}
  end
end
-- First of all, so that a full server refuses it as it refuses every other SET.
put(ARGV[2], ARGV[3], known_now())
redis.call('UNLINK', KEYS[4])
return {'stored'}
