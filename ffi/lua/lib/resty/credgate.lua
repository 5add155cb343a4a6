-- Exchanges client credentials of API clients at an OpenID provider, caches the
-- token, and forwards it as a Bearer token. See ffi/lua/README.md.

local library = require "resty.credgate.library"
local process = require "resty.credgate.process"
local gates = require "resty.credgate.gate"
local ffi = require "ffi"


local C = library.C
local abi = library.abi
local message = library.message

local _M = {
    _VERSION = ffi.string(C.credgate_version()),
}


local function to_json(value, what)
    if type(value) == "string" then
        return value
    end

    if type(value) ~= "table" then
        return nil, what .. " is neither a table nor a string of JSON"
    end

    local found, cjson = pcall(require, "cjson.safe")

    if not found then
        return nil, what .. " is a table, for which the module cjson is needed: "
                    .. "install lua-cjson, or give JSON"
    end

    return cjson.encode(value)
end


-- Compiles a configuration: a table with the fields of core/CONFIGURATION.md, or
-- JSON, Kong's plugin object included. May run in init_by_lua.
function _M.new(config)
    local json, problem = to_json(config, "the configuration")

    if not json then
        return nil, problem
    end

    return gates.new(json)
end


-- Sets the options of the worker's engine, before its first request:
-- cache_max_bytes, cache_max_entries, max_waiting, max_exchanges, and those of
-- the store.
function _M.configure(options)
    local json, problem = to_json(options, "the options")

    if not json then
        return nil, problem
    end

    return process.configure(json)
end


local counters = ffi.new("uint64_t[?]", abi.COUNTERS)
local len = ffi.new("size_t[1]")

local function counted(write)
    local engine, problem = process.engine()

    if not engine then
        return nil, problem
    end

    process.log()

    local status = C.credgate_engine_counters(engine, counters, abi.COUNTERS)

    if status == abi.OK then
        local room = 65536
        local out = ffi.new("char[?]", room)

        status = write(counters, abi.COUNTERS, out, room, len)

        if status == abi.OK then
            return ffi.string(out, len[0])
        end
    end

    return nil, message(status)
end


-- The metrics of this worker, in Prometheus's text format.
function _M.metrics()
    return counted(C.credgate_counters_text)
end


-- A short report of the same numbers, as JSON.
function _M.report()
    return counted(C.credgate_counters_report)
end


-- Closes the worker's engine. Later requests start another one.
function _M.close()
    gates.close()
end


return _M
