"""What Redis does in one atomic step, as Lua: checkpoint, renewal, and the switch to a full rewrite.

Each answers with one word:

    written   done, or found done already (the same step sent twice, after an answer was lost)
    fenced    somebody else has written this shard: drop it and load it again
    gone      Redis holds the shard no more, or only an older state of it: write it again in full

Whether a shard is whole shows in its lists: their lengths must be what its meta says, so that a Redis
that drops keys for want of memory is found out. Offsets stay below 2^53, as Lua's numbers must.
"""

from typing import Final

_CHUNKS = """
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
local held = redis.call('HMGET', KEYS[1], 'offset', 'generation', 'statements_chunks', 'facts_chunks', 'write')
if not held[1] then return 'gone' end
local offset = tonumber(held[1])
if offset < base then return 'gone' end
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
local held = redis.call('HMGET', KEYS[1], 'offset', 'generation', 'statements_chunks', 'facts_chunks')
if not held[1] or tonumber(held[1]) < tonumber(ARGV[1]) then return 'gone' end
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return 'fenced' end
if lacks(KEYS[2], KEYS[3], held[3], held[4]) then return 'gone' end
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
return 'written'
"""
)

LOWER: Final = """
-- KEYS: meta   ARGV: offset, generation: what is beyond the end of the log, so that no fold of it comes as far
local held = redis.call('HMGET', KEYS[1], 'offset', 'generation')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return 'fenced' end
redis.call('HSET', KEYS[1], 'offset', 0)
return 'written'
"""

SWITCH: Final = (
    _CHUNKS
    + """
-- KEYS: meta, statements, facts (of the rewrite)
-- ARGV: to, generation, statements, facts, chunks pushed: statements, facts, prefix of the shard's keys,
--       base, the generation that this one continues ('' if none), deltas kept,
--       number of meta arguments, meta..., delta...
local held = redis.call('HMGET', KEYS[1], 'offset', 'generation')
if held[2] == ARGV[2] and held[1] == ARGV[1] then return 'written' end
if held[1] and tonumber(held[1]) > tonumber(ARGV[1]) then return 'fenced' end
if lacks(KEYS[2], KEYS[3], ARGV[5], ARGV[6]) then return 'gone' end
append(KEYS[2], KEYS[3], ARGV[3], ARGV[4])
local from_delta = 12 + tonumber(ARGV[11])
redis.call('HSET', KEYS[1], 'write', ARGV[2], unpack(ARGV, 12, from_delta - 1))
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
