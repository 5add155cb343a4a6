-- Exchanges client credentials of API clients at an OpenID provider, caches the
-- token, and forwards it as a Bearer token. The reference is ffi/lua/README.md.

local library = require "resty.credgate.library"
local process = require "resty.credgate.process"
local gates = require "resty.credgate.gate"
local http_request = require "resty.credgate.request"
local numbers = require "resty.credgate.numbers"
local status_page = require "resty.credgate.status"
local ffi = require "ffi"


local C = library.C

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


-- Overwrites the secrets in the request line and the query, for the logs.
function _M.redact()
    http_request.redact()
end


-- Returns the metrics in Prometheus's text format, or nil and the error.
function _M.metrics()
    local text, err = numbers.as_text(C.credgate_counters_text)

    if not text then
        return nil, err
    end

    local clients
    clients, err = numbers.clients_as_text()

    return clients and text .. clients, err
end


-- Returns a short form of the metrics as JSON, or nil and the error.
function _M.report()
    return numbers.as_text(C.credgate_counters_report)
end


-- Responds to the current request with the status page, or with the report if
-- the client does not prefer HTML. Returns true, or nil and the error.
function _M.status()
    return status_page.send()
end


-- Closes the worker's engine. The next request starts another one.
function _M.close()
    gates.close()
end


return _M
