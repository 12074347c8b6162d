-- What became of the work on an activity, said by the one that has it (ARGV[1]); nobody else's mark is touched, and one that was
-- lost meanwhile is put back.
--
-- KEYS: the mark. ARGV: owner, "hold" | "keep" | "forget", how long it lasts in ms, then fields and values to set. What was kept for
-- repeats is final: a "hold" that was overtaken changes nothing.
local mark = redis.call('HMGET', KEYS[1], 'owner', 'status')
if mark[1] and mark[1] ~= ARGV[1] then return 0 end
if ARGV[2] == 'forget' then
  redis.call('DEL', KEYS[1])
  return 1
end
if ARGV[2] == 'hold' and mark[2] then return 0 end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], unpack(ARGV, 4))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
