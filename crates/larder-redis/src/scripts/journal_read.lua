-- Reads the next records, about a mebibyte of them.
-- KEYS: head, log. ARGV: token, the number behind which to begin.
-- Returns 'owned' and by whom, or 'read' and numbers and records in turn.
local owner, who = unpack(redis.call('HMGET', KEYS[1], 'owner', 'who'))
if owner ~= ARGV[1] then
  return {'owned', who or ''}
end
local found, bytes, from = {'read'}, 0, '(' .. ARGV[2]
repeat
  local page = redis.call('XRANGE', KEYS[2], from, '+', 'COUNT', 8)
  for _, entry in ipairs(page) do
    found[#found + 1] = entry[1]
    found[#found + 1] = entry[2][2]
    bytes = bytes + #entry[2][2] + 64
    from = '(' .. entry[1]
  end
until #page == 0 or bytes > 1048576
return found
