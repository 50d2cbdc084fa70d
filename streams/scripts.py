"""What Redis does in one atomic step, as Lua: checkpoint, renewal, and the switch to a full rewrite.

Each answers with one word:

    written   done, or found done already (the same step sent twice, after an answer was lost)
    fenced    somebody else has written this shard: drop it and load it again
    gone      Redis holds the shard no more, or only an older state of it: write it again in full

Whether a shard is whole shows in its lists: their lengths must be what its meta says, so that a Redis
that drops keys for want of memory is found out. Offsets stay below 2^53, as Lua's numbers must. A field
that should be a number and is none counts as lost: nothing continues it, and a full rewrite replaces it.
"""

from typing import Final

_CHUNKS = """
local function number(text)
  return text and #text <= 18 and string.match(text, '^%d+$') and tonumber(text)
end
local function lacks(statements, facts, n_statements, n_facts)
  return redis.call('LLEN', statements) ~= tonumber(n_statements or 0)
    or redis.call('LLEN', facts) ~= tonumber(n_facts or 0)
end
local function append(statements, facts, chunk, fact_chunk)
  if #chunk > 0 then redis.call('RPUSH', statements, chunk) end
  if #fact_chunk > 0 then redis.call('RPUSH', facts, fact_chunk) end
end
"""

CHECKPOINT: Final = (
    _CHUNKS
    + """
-- KEYS: meta, deltas, statements, facts[, statements, facts of the rewrite under way]
-- ARGV: base, to, generation, statements, facts, deltas kept, name of this write and of the one before,
--       number of meta arguments, meta..., delta...
local base, to = tonumber(ARGV[1]), tonumber(ARGV[2])
local held = redis.call('HMGET', KEYS[1], 'offset', 'generation', 'statements_chunks', 'facts_chunks', 'write',
  'replaces')
local offset = number(held[1])
if not offset then return 'gone' end
-- A rebuild may have put a lower offset in the place of ours, and an old snapshot holds one, too.
if offset < base then return held[6] == ARGV[3] and 'fenced' or 'gone' end
if held[2] ~= ARGV[3] then return 'fenced' end
-- Another writer may have come from the same base to the same end, with other codes for its symbols.
if offset == to and held[5] == ARGV[7] then return 'written' end
-- Nor do its codes fit behind what somebody else has written up to the same base.
if offset ~= base or (held[5] or '') ~= ARGV[8] then return 'fenced' end
if lacks(KEYS[3], KEYS[4], held[3], held[4]) then return 'gone' end
append(KEYS[3], KEYS[4], ARGV[4], ARGV[5])
if KEYS[5] then append(KEYS[5], KEYS[6], ARGV[4], ARGV[5]) end
local from_delta = 10 + tonumber(ARGV[9])
redis.call('HSET', KEYS[1], 'write', ARGV[7], unpack(ARGV, 10, from_delta - 1))
redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[6], '*', unpack(ARGV, from_delta))
return 'written'
"""
)

RENEW: Final = (
    _CHUNKS
    + """
-- KEYS: meta, statements, facts   ARGV: base, generation, meta...
local held = redis.call('HMGET', KEYS[1], 'offset', 'generation', 'statements_chunks', 'facts_chunks', 'replaces')
local offset = number(held[1])
if not offset then return 'gone' end
if offset < tonumber(ARGV[1]) then return held[5] == ARGV[2] and 'fenced' or 'gone' end
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return 'fenced' end
if lacks(KEYS[2], KEYS[3], held[3], held[4]) then return 'gone' end
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
return 'written'
"""
)

SWITCH: Final = (
    _CHUNKS
    + """
-- KEYS: meta, statements, facts (of the rewrite)
-- ARGV: to, generation, statements, facts, chunks pushed: statements, facts, prefix of the shard's keys,
--       base, the generation that this one continues ('' if none), deltas kept,
--       the generation that was seen last, an offset of it that may be replaced by a lower one ('' if none),
--       number of meta arguments, meta..., delta...
local held = redis.call('HMGET', KEYS[1], 'offset', 'generation', 'replaces')
if held[2] == ARGV[2] and held[1] == ARGV[1] then return 'written' end
local offset, known = number(held[1]), held[2] == ARGV[11]
if offset and offset > tonumber(ARGV[1]) and not (known and held[1] == ARGV[12]) then return 'fenced' end
-- Somebody else has written it anew: a rebuild, say, whose work must not be undone. What lies behind our own
-- base is no newer state of it, but an old snapshot, unless it says that it was put in the place of ours.
local is_older = offset and offset < tonumber(ARGV[8]) and not (ARGV[11] ~= '' and held[3] == ARGV[11])
if number(held[2]) and not known and not is_older then return 'fenced' end
if lacks(KEYS[2], KEYS[3], ARGV[5], ARGV[6]) then return 'gone' end
append(KEYS[2], KEYS[3], ARGV[3], ARGV[4])
local from_delta = 14 + tonumber(ARGV[13])
redis.call('HSET', KEYS[1], 'write', ARGV[2], unpack(ARGV, 14, from_delta - 1))
if held[1] == ARGV[8] and held[2] == ARGV[9] then
  redis.call('XADD', ARGV[7] .. 'deltas', 'MAXLEN', ARGV[10], '*', unpack(ARGV, from_delta))
end
redis.call('PERSIST', KEYS[2])
redis.call('PERSIST', KEYS[3])
if held[2] then
  redis.call('UNLINK', ARGV[7] .. held[2] .. ':statements', ARGV[7] .. held[2] .. ':facts')
end
return 'written'
"""
)
