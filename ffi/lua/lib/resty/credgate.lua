-- Exchanges client credentials of API clients at an OpenID provider, caches the
-- token, and forwards it as a Bearer token. The reference is ffi/lua/README.md.

-- Gateways load their plugins in the stream subsystem, too, which has no requests
-- of HTTP.
if ngx.config.subsystem ~= "http" then
    return require "resty.credgate.stream"
end


local library = require "resty.credgate.library"
local configuration = require "resty.credgate.configuration"
local process = require "resty.credgate.process"
local gates = require "resty.credgate.gate"
local http_request = require "resty.credgate.request"
local numbers = require "resty.credgate.numbers"
local status_page = require "resty.credgate.status"
local ffi = require "ffi"


local C = library.C


local _M = {
    _VERSION = ffi.string(C.credgate_version()),
}


-- Compiles a configuration. Returns a gate; or nil, the error, and a list of its
-- problems, tables with `message` and mostly `field`.
function _M.new(config)
    return configuration.with_json(config, "config", gates.new)
end


-- Returns the fields of a configuration, and those of Kong that Credgate does not
-- have: a list of tables; or nil and the error without lua-cjson.
function _M.fields()
    return configuration.fields()
end


-- Sets the options of the worker's engine, before its first use. Returns true;
-- or nil, the error, and its problems as `new` does.
function _M.configure(options)
    return configuration.with_json(options, "options", process.configure)
end


-- Purges the tokens and cached refusals of one client, or of all, in all gates.
-- Returns true, or nil and the error.
function _M.purge(client_id)
    local done, err = process.purge(nil, client_id)

    return done, err
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
