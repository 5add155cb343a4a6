-- Denials: the library decides their status, headers and body.

local library = require "resty.credgate.library"
local outcomes = require "resty.credgate.outcome"


local C = library.C
local abi = library.abi
local log = library.log

-- The code of the cause for each expected error of a wait.
local CODES = {
    timeout = abi.PROVIDER_TIMEOUT,
    closed = abi.ENGINE_UNAVAILABLE,
}


local _M = {}


-- Returns the denial of an outcome. Without one, the cause is the given code,
-- or the one of the error.
function _M.new(gate, outcome, err, code)
    if outcome then
        return outcomes.new(outcome)
    end

    if not CODES[err] then
        log(ngx.CRIT, "cannot authenticate requests: ", err)
    end

    local struct = outcomes.new_struct()

    C.credgate_gate_deny(gate, code or CODES[err] or abi.INTERNAL, struct)

    return outcomes.new(struct)
end


-- Sends the denial. With on_denied, sets status and headers, and calls it.
function _M.send(denial, options)
    local header = ngx.header

    ngx.status = denial.http_status
    header["Content-Type"] = denial.content_type
    header["WWW-Authenticate"] = denial.challenge
    header["Retry-After"] = denial.retry_after

    if denial.detail then
        log(denial.http_status < 500 and ngx.INFO or ngx.ERR, denial.detail)
    end

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
