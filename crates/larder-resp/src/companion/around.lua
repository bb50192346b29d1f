-- KEYS: marks, then key, companion and lease of each. ARGV: the mode, or 'm' behind a RENAME or
-- COPY from the first key to the second.
if ARGV[1] ~= 'm' then
  for at = 2, #KEYS, 3 do
    guard(ARGV[1], KEYS[at], KEYS[at + 1], KEYS[at + 2])
  end
  return 0
end
local from, to = read(KEYS[3]), read(KEYS[6])
if to and not binds(to, KEYS[5]) then
  redis.call('UNLINK', KEYS[6])
end
if from and from.tags and binds(from, KEYS[5]) then
  get_through()
  redis.call('SET', KEYS[6], from.text)
  keep_in_step(from, KEYS[5], KEYS[6])
end
if from and redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('UNLINK', KEYS[3])
end
return 0
