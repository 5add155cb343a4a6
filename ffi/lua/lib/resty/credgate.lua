-- Exchanges client credentials of API clients at an OpenID provider, caches the
-- token, and forwards it as a Bearer token. The reference is ffi/lua/README.md.

local library = require "resty.credgate.library"
local process = require "resty.credgate.process"
local gates = require "resty.credgate.gate"
local http_request = require "resty.credgate.request"
local ffi = require "ffi"


local C = library.C
local abi = library.abi
local message = library.message

local TEXT_CAPACITY = 65536

local CLIENTS = ffi.typeof("credgate_client[?]")
local CLIENT_SIZE = ffi.sizeof("credgate_client")

local counters = ffi.new("uint64_t[?]", abi.COUNTERS)
local text = ffi.new("const char *[1]")
local len = ffi.new("size_t[1]")


local _M = {
    _VERSION = ffi.string(C.credgate_version()),
}


-- Returns the JSON of a table or string, or nil and an error that begins with
-- `name`.
local function to_json(value, name)
    if type(value) == "string" then
        return value
    end

    if type(value) ~= "table" then
        return nil, name .. " must be a table or a JSON string"
    end

    local found, cjson = pcall(require, "cjson.safe")

    if not found then
        return nil, name .. " is a table, which requires lua-cjson: install it, "
                    .. "or pass a JSON string"
    end

    local json, err = cjson.encode(value)

    if not json then
        return nil, name .. ": " .. err
    end

    return json
end


-- Compiles a configuration. Returns a gate; or nil, the error, and a list of its
-- problems, tables with `message` and mostly `field`.
function _M.new(config)
    local json, err = to_json(config, "config")

    if not json then
        return nil, err, { { message = err } }
    end

    return gates.new(json)
end


-- Returns the fields of a configuration, and those of Kong that Credgate does not
-- have: a list of tables; or nil and the error without lua-cjson.
function _M.fields()
    local found, cjson = pcall(require, "cjson.safe")

    if not found then
        return nil, "the fields are a table, which requires lua-cjson: install it"
    end

    C.credgate_config_fields(text, len)

    return cjson.decode(ffi.string(text[0], len[0]))
end


-- Sets the options of the worker's engine, before its first use. Returns true;
-- or nil, the error, and its problems as `new` does.
function _M.configure(options)
    local json, err = to_json(options, "options")

    if not json then
        return nil, err, { { message = err } }
    end

    return process.configure(json)
end


-- Returns the counters of the engine as text, written by a function of the
-- library.
local function counters_as(write)
    local engine, err = process.engine()

    if not engine then
        return nil, err
    end

    process.write_log()

    local status = C.credgate_engine_counters(engine, counters, abi.COUNTERS)

    if status == abi.OK then
        local out = ffi.new("char[?]", TEXT_CAPACITY)

        status = write(counters, abi.COUNTERS, out, TEXT_CAPACITY, len)

        if status == abi.OK then
            return ffi.string(out, len[0])
        end
    end

    return nil, message(status)
end


-- Returns the counters of clients as text, which is empty without
-- metrics_clients.
local function clients_as_text()
    local engine, err = process.engine()

    if not engine then
        return nil, err
    end

    local capacity = 16
    local clients, status

    repeat
        capacity = capacity * 4
        clients = CLIENTS(capacity)
        status = C.credgate_engine_clients(engine, 0, clients, capacity,
                                           CLIENT_SIZE, len)

        if status ~= abi.OK then
            return nil, message(status)
        end
    until len[0] < capacity

    local n = len[0]

    if n == 0 then
        return ""
    end

    C.credgate_clients_text(clients, n, CLIENT_SIZE, nil, 0, len)

    local text_capacity = len[0]
    local out = ffi.new("char[?]", text_capacity)

    status = C.credgate_clients_text(clients, n, CLIENT_SIZE, out,
                                     text_capacity, len)

    if status ~= abi.OK then
        return nil, message(status)
    end

    return ffi.string(out, len[0])
end


-- Overwrites the secrets in the request line and the query, for the logs.
function _M.redact()
    http_request.redact()
end


-- Returns the metrics in Prometheus's text format, or nil and the error.
function _M.metrics()
    local text, err = counters_as(C.credgate_counters_text)

    if not text then
        return nil, err
    end

    local clients
    clients, err = clients_as_text()

    return clients and text .. clients, err
end


-- Returns a short form of the metrics as JSON, or nil and the error.
function _M.report()
    return counters_as(C.credgate_counters_report)
end


-- Closes the worker's engine. The next request starts another one.
function _M.close()
    gates.close()
end


return _M
