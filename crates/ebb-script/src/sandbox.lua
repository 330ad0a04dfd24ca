-- What scripts may see, and how they are called. Runs once in each interpreter; gets the
-- functions of the host, and answers what the host needs.
--
-- A table that scripts may not change is shown to them as a stand-in: an empty table with a
-- metatable that reads from the real one. Functions that would see through it are replaced.
-- What functions of the host raise is an object of the host's until somebody catches it:
-- `host.caught` makes a text or a table of it.
local host, is_function_vm = ...
local error, getmetatable, setmetatable = error, getmetatable, setmetatable
local next, pairs, ipairs, pcall, xpcall = next, pairs, ipairs, pcall, xpcall
local rawget, rawset, select, tostring, type, unpack = rawget, rawset, select, tostring, type, unpack
local loadstring, byte, concat, insert = loadstring, string.byte, table.concat, table.insert

local READONLY = "Attempt to modify a readonly table"
-- The host can hold some thousand values at a time that are no numbers.
local UNPACKED_MAX = 7000
local behind = setmetatable({}, { __mode = "k" })

local function refuse()
  error(READONLY, 2)
end

local function protect(real)
  local stand_in = setmetatable({}, { __index = real, __newindex = refuse })
  behind[stand_in] = real
  return stand_in
end

-- How an error names the type of an argument that is missing or wrong.
local function kind(count, value)
  return count == 0 and "no value" or type(value)
end

local function check_table(name, count, value)
  if type(value) ~= "table" then
    local text = "bad argument #1 to '%s' (table expected, got %s)"
    error(text:format(name, kind(count, value)), 3)
  end
end

local function merge(target, source)
  for key, value in pairs(source) do
    target[key] = value
  end
  return target
end

-- The global functions.

local visible = {}
for _, name in ipairs {
  "_VERSION", "assert", "collectgarbage", "error", "gcinfo", "ipairs", "rawequal", "select",
  "tonumber", "tostring", "type",
} do
  visible[name] = _G[name]
end

function visible.next(...)
  local t, key = ...
  check_table("next", select("#", ...), t)
  return next(behind[t] or t, key)
end

function visible.pairs(...)
  local t = ...
  check_table("pairs", select("#", ...), t)
  local real = behind[t]
  if not real then
    return next, t, nil
  end
  return function(_, key)
    return next(real, key)
  end, t, nil
end

function visible.rawget(...)
  local t, key = ...
  check_table("rawget", select("#", ...), t)
  return rawget(behind[t] or t, key)
end

function visible.rawset(...)
  local t, key, value = ...
  check_table("rawset", select("#", ...), t)
  if behind[t] then
    error(READONLY, 0)
  end
  if key == nil or key ~= key then
    error("table index is " .. (key == nil and "nil" or "NaN"), 2)
  end
  return rawset(t, key, value)
end

function visible.setmetatable(...)
  local t, metatable = ...
  check_table("setmetatable", select("#", ...), t)
  if behind[t] then
    error(READONLY, 0)
  end
  if metatable ~= nil and type(metatable) ~= "table" or select("#", ...) < 2 then
    error("bad argument #2 to 'setmetatable' (nil or table expected)", 2)
  end
  local old = getmetatable(t)
  if type(old) == "table" and rawget(old, "__metatable") ~= nil then
    error("cannot change a protected metatable", 2)
  end
  return setmetatable(t, behind[metatable] or metatable)
end

local shown = setmetatable({}, { __mode = "k" })

-- Metatables of what all scripts share are shown protected.
function visible.getmetatable(...)
  local value = ...
  if select("#", ...) == 0 then
    error("bad argument #1 to 'getmetatable' (value expected)", 2)
  end
  local metatable = getmetatable(value)
  if type(metatable) ~= "table" or type(value) == "table" and not behind[value] then
    return metatable
  end
  if not shown[metatable] then
    local copy = {}
    for key, field in next, metatable do
      copy[key] = field
    end
    if type(value) == "string" then
      copy.__index = visible.string
    elseif type(value) == "table" then
      copy = { __index = copy.__index }
      local real = behind[value]
      local inner = getmetatable(real)
      copy.__index = inner and inner.__index or nil
    end
    shown[metatable] = protect(copy)
  end
  return shown[metatable]
end

local function caught(err)
  if type(err) == "userdata" then
    return host.caught(err)
  end
  return err
end

-- An error that is a table with a text, as the commands of this server raise it, is caught as
-- that text.
local function outcome(ok, result, ...)
  if ok then
    return ok, result, ...
  end
  result = caught(result)
  local text = type(result) == "table" and result.err
  if type(text) == "string" or type(text) == "number" then
    result = text
  end
  return false, result
end

function visible.pcall(...)
  if select("#", ...) == 0 then
    error("bad argument #1 to 'pcall' (value expected)", 2)
  end
  return outcome(pcall(...))
end

function visible.xpcall(...)
  local f, handler = ...
  if select("#", ...) < 2 then
    error("bad argument #2 to 'xpcall' (value expected)", 2)
  end
  return xpcall(f, function(err)
    return handler(caught(err))
  end)
end

local function resumed(ok, result, ...)
  if ok then
    return ok, result, ...
  end
  return false, caught(result)
end

local coroutines = merge({}, coroutine)
local resume = coroutine.resume
function coroutines.resume(...)
  return resumed(resume(...))
end

function visible.unpack(...)
  local t, first, last = ...
  check_table("unpack", select("#", ...), t)
  first, last = tonumber(first) or 1, tonumber(last) or #t
  -- The stack of a function of the host has room for 8000 values, and needs some itself.
  if last - first >= 7990 then
    error("too many results to unpack", 2)
  end
  if last - first >= UNPACKED_MAX then
    local held = 0
    for at = first, last do
      local kind = type(t[at])
      if kind ~= "number" and kind ~= "nil" and kind ~= "boolean" then
        held = held + 1
      end
    end
    if held > UNPACKED_MAX then
      error("too many results to unpack", 2)
    end
  end
  return unpack(t, first, last)
end

local function compile(source, name)
  if byte(source, 1) == 27 then
    return nil, "[string \"" .. tostring(source):sub(2, 5) .. "\"]:1: unexpected symbol near 'char(27)'"
  end
  return loadstring(source, name)
end

function visible.loadstring(...)
  local source, name = ...
  if type(source) ~= "string" and type(source) ~= "number" then
    local text = "bad argument #1 to 'loadstring' (string expected, got %s)"
    error(text:format(kind(select("#", ...), source)), 2)
  end
  source = tostring(source)
  return compile(source, name or source)
end

function visible.load(...)
  local reader, name = ...
  if type(reader) ~= "function" then
    local text = "bad argument #1 to 'load' (function expected, got %s)"
    error(text:format(kind(select("#", ...), reader)), 2)
  end
  local pieces = {}
  while true do
    local piece = reader()
    if piece == nil or piece == "" then
      break
    end
    if type(piece) ~= "string" then
      return nil, "reader function must return a string"
    end
    pieces[#pieces + 1] = piece
  end
  return compile(concat(pieces), name or "=(load)")
end

-- The libraries.

local tables = merge({}, table)
function tables.insert(...)
  local t, position = ...
  check_table("insert", select("#", ...), t)
  if behind[t] then
    error(READONLY, 0)
  end
  local count = select("#", ...)
  if count < 2 or count > 3 then
    error("wrong number of arguments to 'insert'", 2)
  end
  if count == 3 and type(position) ~= "number" and not tonumber(position) then
    local text = "bad argument #2 to 'insert' (number expected, got %s)"
    error(text:format(type(position)), 2)
  end
  insert(...)
end

local maths = merge({}, math)
maths.random, maths.randomseed = host.random, host.randomseed

visible.string = protect(string)
visible.table = protect(tables)
visible.math = protect(maths)
visible.coroutine = protect(coroutines)
visible.os = protect { clock = os.clock }

visible.bit = protect(host.bit)
visible.struct = protect(host.struct)
visible.cmsgpack = protect(host.cmsgpack)

local function new_cjson()
  local functions = host.cjson()
  functions.new = new_cjson
  return functions
end
visible.cjson = protect(new_cjson())

-- The server's own functions; scripts for Valkey call the table `server`.

local redis = merge(merge({}, host.constants), host.redis)

if not is_function_vm then
  function redis.replicate_commands()
    return true
  end
  function redis.breakpoint()
    return false
  end
  function redis.debug() end
end

visible.redis = protect(redis)
visible.server = visible.redis

local function missing(_, name)
  local text = "Script attempted to access nonexistent global variable '%s'"
  error(text:format(tostring(name)), 2)
end

local globals = protect(visible)
visible._G = globals
setmetatable(visible, { __index = missing })

-- A library that is loaded sees nothing but what it needs to register functions.
local loading = merge({}, host.constants)
for name in pairs(host.constants) do
  if name:find("^REPL_") then
    loading[name] = nil
  end
end
loading.log = redis.log
loading.register_function = host.register
loading = protect(setmetatable(loading, { __index = missing }))
local while_loading = setmetatable({ redis = loading, server = loading }, { __index = missing })

-- An error as a table with its text, and the line of the script where it was raised.
local function locate(err)
  err = caught(err)
  if type(err) ~= "table" or behind[err] then
    err = { err = "ERR " .. tostring(err) }
  end
  local source, line = host.where()
  rawset(err, "source", source)
  rawset(err, "line", line)
  return err
end

-- Scripts get their keys and arguments as variables in `visible`.
local exports = { globals = globals, visible = visible, locate = locate }

-- Runs a library's code, which registers functions.
function exports.load_library(f)
  local metatable = getmetatable(globals)
  metatable.__index = while_loading
  local ok, result = xpcall(f, locate)
  metatable.__index = visible
  return ok, result
end

return exports
