-- KEYS: marks, key, companion, lease. ARGV: the flag, a token or '', how long a lease lasts.
-- Returns what was found: 'held' with the value and its age in milliseconds or -1; 'gone';
-- 'leased'; 'busy' with the milliseconds until the lease ends; 'announce', or 'wait' with
-- milliseconds.
guard('r', KEYS[2], KEYS[3], KEYS[4])
local value = redis.call('GET', KEYS[2])
if value then
  local of = read(KEYS[3])
  if not of or not binds(of, KEYS[2]) then
    return {'held', value, -1}
  end
  return {'held', value, math.max(0, math.floor((now() - tonumber(of.born)) / 1000))}
end
if ARGV[2] == '' then
  return {'gone'}
end
local early = too_early(ARGV[1])
if early then
  return early
end
local known = known_now()
local lease = table.concat({ARGV[2], known.server, known.run, known.clock, known.born}, ' ')
if redis.call('SET', KEYS[4], lease, 'NX', 'PX', ARGV[3]) then
  return {'leased'}
end
return {'busy', math.max(0, redis.call('PTTL', KEYS[4]))}
