-- Sets marks, all at one new moment.
-- KEYS: marks, head, stream. ARGV: an incarnation if there is none, a run for the bus if it has
-- none, 'd' or 's', the announcement or '', then kind, name and prefix of each mark.
-- Returns the moment, the incarnation, and the position of the announcement if there is one.
--
-- A mark is a field: strike, kind, name. Those of prefixes stand in one field for each cache, one
-- behind the other: strike, clock, ':', length, ':', prefix. To drop replaces to mark stale, and
-- not the other way round: what was dropped stays dropped.
local marks, strike = KEYS[1], ARGV[3]
-- This needs no room, and lets what follows through on a full server.
redis.call('HDEL', marks, '')
local incarnation = redis.call('HGET', marks, 'i')
if not incarnation then
  incarnation = ARGV[1]
  redis.call('UNLINK', marks)
  redis.call('HSET', marks, 'i', incarnation)
end
local time = redis.call('TIME')
local clock = time[1] * 1000000 + time[2]
local last = tonumber(redis.call('HGET', marks, 'c') or 0)
if clock <= last then
  clock = last + 1
end
local text = string.format('%.0f', clock)
redis.call('HSET', marks, 'c', text)

-- The prefixes of a cache, without the marks that one of `prefix` replaces.
local function others(cache, prefix)
  local list = redis.call('HGET', marks, 'p' .. cache) or ''
  local kept, at = {}, 1
  while at <= #list do
    local from, to, how, _, length = string.find(list, '^([ds])(%d+):(%d+):', at)
    if not from then
      return nil
    end
    local ends = to + tonumber(length)
    if string.sub(list, to + 1, ends) ~= prefix or (how == 'd' and strike == 's') then
      kept[#kept + 1] = string.sub(list, at, ends)
    end
    at = ends + 1
  end
  return kept
end

local function set(kind, name)
  redis.call('HSET', marks, strike .. kind .. name, text)
  if strike == 'd' then
    redis.call('HDEL', marks, 's' .. kind .. name)
  end
end

for at = 5, #ARGV, 3 do
  local kind, name, prefix = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  if kind ~= 'p' then
    set(kind, name)
  else
    local list = others(name, prefix)
    if list and #list < 64 then
      list[#list + 1] = strike .. text .. ':' .. #prefix .. ':' .. prefix
      redis.call('HSET', marks, 'p' .. name, table.concat(list))
    else
      -- Too many: the whole cache is struck instead, and what it strikes needs no mark more.
      set('k', name)
      if strike == 'd' then
        redis.call('HDEL', marks, 'p' .. name)
      end
    end
  end
end
if ARGV[4] ~= '' then
  local place = announce(KEYS[2], KEYS[3], ARGV[2], ARGV[4], 'c', text, 'i', incarnation)
  return {text, incarnation, place[1], place[2]}
end
return {text, incarnation}
