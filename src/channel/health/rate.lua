-- The same arithmetic as rate.rs, in microseconds. Before it stands a line that sets now_us.
-- KEYS[1]: when the pace has caught up; ARGV: interval, burst, wanted.
-- Answers how many are granted, and after how long the next one is.
local interval, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full = burst * interval
local caught_up = tonumber(redis.call('GET', KEYS[1]) or '0')
local ahead = math.min(math.max(caught_up - now_us, 0), full)
local count = math.min(wanted, math.floor((full - ahead) / interval))
ahead = ahead + count * interval
-- Also when the server's clock was set back: what is ahead shrinks from there on.
if count > 0 or caught_up - now_us > full then
  -- Lua would write sixteen digits as 1.795e+15.
  local value = string.format('%.0f', now_us + ahead)
  redis.call('SET', KEYS[1], value, 'PX', string.format('%.0f', math.ceil(ahead / 1000) + 60000))
end
local wait = 0
if count < wanted then wait = math.max(ahead + interval - full, 0) end
return { count, wait }
