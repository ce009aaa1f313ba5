-- The same rules as budget.rs. Before it stands a line that sets now_us.
-- KEYS[1]: a hash; ARGV: percent, floor, first attempts, retries wanted.
-- Answers how many retries are granted.
local percent, floor = tonumber(ARGV[1]), tonumber(ARGV[2])
local firsts, wanted = tonumber(ARGV[3]), tonumber(ARGV[4])
local minute = math.floor(now_us / 60000000)
local known = redis.call('HMGET', KEYS[1], 'minute', 'firsts', 'retries')
local f, r = tonumber(known[2] or '0') or 0, tonumber(known[3] or '0') or 0
if tonumber(known[1] or '-1') ~= minute then f, r = 0, 0 end
f = f + firsts
local most = math.floor(f * percent / 100) + floor
local granted = math.min(wanted, math.max(most - r, 0))
redis.call('HSET', KEYS[1], 'minute', string.format('%.0f', minute), 'firsts', f, 'retries', r + granted)
redis.call('PEXPIRE', KEYS[1], 120000)
return granted
