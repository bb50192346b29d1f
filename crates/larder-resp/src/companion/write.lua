-- What LARDER.GET, SET, FILL and INVALIDATE have in common.
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function text(number)
  return string.format('%.0f', number)
end

-- Which answer there is instead of a companion or a lease, if it is too early for one.
local function too_early(flag)
  local since = redis.call('HGET', marks, 'dk' .. flag)
  if not since then
    return {'announce'}
  end
  local left = 1000000 - (now() - tonumber(since))
  if left > 0 then
    return {'wait', math.ceil(left / 1000)}
  end
end

-- Where keys are evicted a companion may go before its key, which must then have an end.
local function evicts()
  local memory = redis.call('INFO', 'memory')
  local full = string.match(memory, 'maxmemory:(%d+)')
  local policy = string.match(memory, 'maxmemory_policy:([%w-]+)')
  return full ~= '0' and policy ~= 'noeviction' and policy
end

-- Sets a value, and writes its companion if it has tags. The words of the expiry are ARGV from
-- the fourth on.
local function put(value, tags, known)
  redis.call('SET', KEYS[2], value, unpack(ARGV, 4))
  if tags == '' then
    redis.call('UNLINK', KEYS[3])
  else
    known.tags = tags
    write(known, value, KEYS[2], KEYS[3])
  end
end

-- What is known of the marks at this moment.
local function known_now()
  return {server = server(), run = redis.call('HGET', marks, 'i'),
    clock = redis.call('HGET', marks, 'c') or '0', born = text(now())}
end
