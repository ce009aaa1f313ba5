-- The same rules as breaker.rs, in milliseconds. Before it stands a line that sets now_us.
-- KEYS[1]: a hash; ARGV: answered, faults, unmade, wanted. What ended is taken note of first,
-- then it is asked for as many calls as are wanted.
-- Answers how many are granted, whether it is open, and for how long it rests.
local SLOT, SLOTS, MIN_CALLS = 5000, 6, 20
local FIRST_REST, LONGEST_REST, PROBE, FORGET = 10000, 300000, 10000, 600000
local answered, faults, unmade = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local wanted = tonumber(ARGV[4])
local now = math.floor(now_us / 1000)

local known, fields = {}, redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do known[fields[i]] = tonumber(fields[i + 1]) end
local opened_until, times, probe = known['until'], known['times'], known['probe']
if opened_until and now >= opened_until + FORGET then
  redis.call('DEL', KEYS[1])
  known, opened_until = {}, nil
end

local function open(n)
  local rest = math.min(FIRST_REST * 2 ^ math.min(n - 1, 5), LONGEST_REST)
  opened_until, times, probe = now + rest, n, 0
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'until', opened_until, 'times', times, 'probe', probe)
  redis.call('PEXPIRE', KEYS[1], rest + FORGET)
end

if opened_until then
  if now >= opened_until then
    if answered > 0 then
      redis.call('DEL', KEYS[1])
      opened_until = nil
    elseif faults > 0 then
      open(times + 1)
    elseif unmade > 0 then
      probe = 0
      redis.call('HSET', KEYS[1], 'probe', probe)
    end
  end
elseif answered + faults > 0 then
  local number = math.floor(now / SLOT)
  local slot = number % SLOTS
  local calls, failed = 0, 0
  for i = 0, SLOTS - 1 do
    local at, n, f = known['at' .. i] or 0, known['calls' .. i] or 0, known['faults' .. i] or 0
    if i == slot then
      if at ~= number then at, n, f = number, 0, 0 end
      n, f = n + answered + faults, f + faults
      redis.call('HSET', KEYS[1], 'at' .. i, at, 'calls' .. i, n, 'faults' .. i, f)
      redis.call('PEXPIRE', KEYS[1], SLOT * SLOTS * 2)
    end
    if at > number - SLOTS then calls, failed = calls + n, failed + f end
  end
  if calls >= MIN_CALLS and failed * 2 >= calls then open(1) end
end

if not opened_until then return { wanted, 0, 0 } end
local granted, rests = 0, math.max(opened_until, probe) - now
if rests <= 0 and wanted > 0 then
  granted, rests = 1, PROBE
  redis.call('HSET', KEYS[1], 'probe', now + PROBE)
end
return { granted, 1, math.max(rests, 0) }
