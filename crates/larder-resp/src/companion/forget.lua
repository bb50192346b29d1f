-- KEYS: marks, then key, companion and lease of each. Returns how many keys were held.
local held = 0
for at = 2, #KEYS, 3 do
  guard('f', KEYS[at], KEYS[at + 1], KEYS[at + 2])
  held = held + redis.call('UNLINK', KEYS[at])
end
return held
