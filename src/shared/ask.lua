-- One request, one command: whether an activity is a repeat, and whether every budget has room for it. All or nothing.
--
-- KEYS: the mark first, where there is one (ARGV[1] is not ""), then the budgets, narrowest first.
-- ARGV: owner of a new mark or "", request id, lease of the mark in ms, how many of the budgets end a request that they have no room
-- for (the ones behind them only tell, and the request goes on), then of each budget its interval in microseconds and its burst.
--
-- Answers {0} all is taken; {1, position of the first budget without room, wait in microseconds}; {2, fields of the mark ...}.
--
-- The time is the store's: what the clocks of the gateways say does not matter. Microseconds since 2023-11-14, since a double
-- holds those since 1970 only to a quarter of one.
local time = redis.call('TIME')
local now = (time[1] - 1700000000) * 1000000 + time[2]
local owner = ARGV[1]
local first = 1
if owner ~= '' then
  local mark = redis.call('HGETALL', KEYS[1])
  if #mark > 0 then
    table.insert(mark, 1, 2)
    return mark
  end
  first = 2
end
local function put_mark()
  if owner ~= '' then
    redis.call('HSET', KEYS[1], 'owner', owner, 'first', ARGV[2])
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
  end
end
-- Each budget holds when it is whole again: the generic cell rate algorithm, as governor counts in one gateway.
local function put(at, whole)
  redis.call('SET', KEYS[at], string.format('%.2f', whole), 'PX', math.ceil((whole - now) / 1000) + 1)
end
local kept = first <= #KEYS and redis.call('MGET', unpack(KEYS, first)) or {}
local whole, refused, wait = {}, 0, 0
for budget = 1, #kept do
  local interval = tonumber(ARGV[3 + 2 * budget])
  local room = interval * tonumber(ARGV[4 + 2 * budget])
  local is = math.max(tonumber(kept[budget]) or now, now)
  -- Later than any budget can be: a store took over whose clock is behind the other one's. That is nobody's fault.
  if is > now + room then
    is = now + room
    put(first + budget - 1, is)
  end
  is = is + interval
  local early = is - room - now
  if early > 0 then
    if refused == 0 then refused = budget end
    if early > wait then wait = early end
  end
  whole[budget] = is
end
local ending = tonumber(ARGV[4])
if refused > 0 and refused <= ending then
  return {1, refused, math.ceil(wait)}
end
-- It goes on. Of budgets that only tell, all are taken or none, as where they end a request.
for budget = 1, refused > 0 and math.min(ending, #whole) or #whole do
  put(first + budget - 1, whole[budget])
end
put_mark()
if refused > 0 then
  return {1, refused, math.ceil(wait)}
end
return {0}
