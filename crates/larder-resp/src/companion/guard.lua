-- What is done to a companion before and after a command on its key.
--
-- A companion says of a plain key, in words: the run of the server that it was set in, the
-- incarnation of the marks, the SHA-1 of the value, the clock of the marks then, when that was, and
-- the buckets of its tags.
local marks = KEYS[1]

local function server()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
end

local function read(companion)
  local text = redis.call('GET', companion)
  if text then
    local of = {text = text}
    of.server, of.run, of.hash, of.clock, of.born, of.tags =
      string.match(text, '^(%x+) (%x+) (%x+) (%d+) (%d+) ([%d ]+)$')
    return of
  end
end

-- Whether what is held is what the companion was written for.
local function binds(of, key)
  local value = redis.pcall('GET', key)
  return type(value) == 'string' and redis.sha1hex(value) == of.hash
end

-- Whether one of its tags was struck since. Marks that were lost strike everything, and so does a
-- server that has started again: what it holds may have been rolled back, and the marks with it.
local function struck(of)
  if redis.call('HGET', marks, 'i') ~= of.run or server() ~= of.server then
    return true
  end
  local fields = {'da', 'sa'}
  for tag in string.gmatch(of.tags, '%d+') do
    fields[#fields + 1] = 'dt' .. tag
    fields[#fields + 1] = 'st' .. tag
  end
  local clock = tonumber(of.clock)
  for _, at in ipairs(redis.call('HMGET', marks, unpack(fields))) do
    if at and tonumber(at) > clock then
      return true
    end
  end
  return false
end

-- Lets the companion end with its key, and not before. One without an end needs a key that it is
-- of: else nothing would ever end it.
local function keep_in_step(of, key, companion)
  local left = redis.call('PTTL', key)
  if left >= 0 then
    redis.call('PEXPIRE', companion, left + 1)
  elseif left == -1 and (redis.call('PTTL', companion) == -1 or binds(of, key)) then
    redis.call('PERSIST', companion)
  else
    redis.call('UNLINK', companion)
  end
end

-- A full server lets a script through that has written, and this needs no room: a companion must
-- be written where its key was.
local function get_through()
  redis.call('HDEL', marks, '')
end

-- Writes the companion of a value.
local function write(of, value, key, companion)
  get_through()
  of.hash = redis.sha1hex(value)
  redis.call('SET', companion,
    table.concat({of.server, of.run, of.hash, of.clock, of.born, of.tags}, ' '))
  keep_in_step(of, key, companion)
end

-- Deletes what a tag has struck, with its companion. Of the rest: 'r' only keeps the expiry in
-- step; 'w' voids the lease; 'f' does, and forgets the companion; 'b' does, and forgets a companion
-- that is of another value; 'a' writes down the value that became of it.
local function guard(mode, key, companion, lease)
  if mode ~= 'r' and mode ~= 'a' then
    redis.call('UNLINK', lease)
  end
  local of = read(companion)
  if not of then
    return
  end
  if mode == 'a' then
    local value = redis.pcall('GET', key)
    if type(value) == 'string' then
      write(of, value, key, companion)
    else
      redis.call('UNLINK', companion)
    end
  elseif not of.tags or struck(of) then
    if of.tags and binds(of, key) then
      redis.call('UNLINK', key)
    end
    redis.call('UNLINK', companion)
  elseif mode == 'f' or mode == 'b' and not binds(of, key) then
    redis.call('UNLINK', companion)
  else
    keep_in_step(of, key, companion)
  end
end
