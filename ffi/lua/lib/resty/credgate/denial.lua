-- Denials: the library decides their status, headers and body.

local library = require "resty.credgate.library"
local outcomes = require "resty.credgate.outcome"
local ffi = require "ffi"


local C = library.C
local abi = library.abi
local log = library.log

-- The code of the cause for each expected error of a wait.
local CODES = {
    timeout = abi.PROVIDER_TIMEOUT,
    closed = abi.ENGINE_UNAVAILABLE,
}

-- The statuses that are the client's fault.
local IS_REFUSAL = { [401] = true, [403] = true, [429] = true }

-- The library accepts no longer credentials. The logs have a part of the id.
local CAPACITY = 2048
local LOGGED = 64

local presented = ffi.new("char[?]", CAPACITY)
local presented_len = ffi.new("size_t[1]")


local _M = {}


-- Returns the client id that a request presents, with any secret; nil if there is
-- none. The bytes that could end a quotation or a line are escaped, so a client
-- cannot forge a log entry.
function _M.presented_client_id(gate, request)
    if C.credgate_gate_presented_client_id(gate, request, presented, CAPACITY,
                                           presented_len) ~= abi.OK
    then
        return nil
    end

    local id = ffi.string(presented, math.min(tonumber(presented_len[0]), LOGGED))

    return (id:gsub('[%c\128-\255"\\]', function(byte)
        return ("\\x%02X"):format(byte:byte())
    end))
end


local function outcome_of(gate, struct, err, code)
    if struct then
        return outcomes.new(struct)
    end

    if not CODES[err] then
        log(ngx.CRIT, "cannot authenticate requests: ", err)
    end

    struct = outcomes.new_struct()

    C.credgate_gate_deny(gate, code or CODES[err] or abi.INTERNAL, struct)

    return outcomes.new(struct)
end


-- Returns the denial of a request that presented a client id, or nil. Without a
-- struct, the cause is the given code, or the one of the error.
function _M.new(gate, client_id, struct, err, code)
    local denial = outcome_of(gate, struct, err, code)

    denial.presented_client_id = client_id

    return denial
end


-- Logs a denial. Operators act on faults of the provider; tools count the lines of
-- refused clients.
function _M.log(denial)
    local status = denial.http_status

    if denial.presented_client_id and IS_REFUSAL[status] then
        log(ngx.WARN, 'client "', denial.presented_client_id, '" denied: ',
            denial.cause)
    end

    if denial.detail then
        log(status < 500 and ngx.INFO or ngx.ERR, denial.detail)
    end
end


-- Sends the denial. With on_denied, sets status and headers, and calls it.
function _M.send(denial, options)
    local header = ngx.header

    ngx.status = denial.http_status
    header["Content-Type"] = denial.content_type
    header["WWW-Authenticate"] = denial.challenge
    header["Retry-After"] = denial.retry_after

    _M.log(denial)

    if denial.cause == "no_credentials" and ngx.req.is_internal() then
        log(ngx.INFO, "no credentials after an internal redirect: the gate of the "
                      .. "first location removed them; guard only one of the two "
                      .. "(ffi/lua/README.md, Internal redirects)")
    end

    if options and options.on_denied then
        return options.on_denied(denial)
    end

    ngx.print(denial.body)
    return ngx.exit(denial.http_status)
end


return _M
