-- Responses to denied requests.

local library = require "resty.credgate.library"
local outcomes = require "resty.credgate.outcome"


local C = library.C
local abi = library.abi
local log = library.log


local _M = {}


-- Sends the denial, or lets on_denied do so.
function _M.answer(denial, options)
    local header = ngx.header

    ngx.status = denial.http_status
    header["Content-Type"] = denial.content_type
    header["WWW-Authenticate"] = denial.challenge
    header["Retry-After"] = denial.retry_after

    if denial.detail then
        log(denial.http_status < 500 and ngx.INFO or ngx.ERR, denial.detail)
    end

    if denial.cause == "no_credentials" and ngx.req.is_internal() then
        log(ngx.INFO, "an internal redirect has led here, and a gate that a request "
                      .. "has passed before has taken its credentials: guard one "
                      .. "location of the two (ffi/lua/README.md, Internal "
                      .. "redirects)")
    end

    if options and options.on_denied then
        return options.on_denied(denial)
    end

    ngx.print(denial.body)
    return ngx.exit(denial.http_status)
end


-- The cause of a denial for which the engine has no outcome.
local function cause_of(problem)
    if problem == "timeout" then
        return abi.PROVIDER_TIMEOUT
    end

    if problem == "closed" then
        return abi.ENGINE_UNAVAILABLE
    end

    log(ngx.CRIT, problem)
    return abi.INTERNAL
end


-- The denial of an outcome, or of a problem where there is no outcome.
function _M.of(gate, outcome, problem)
    if outcome then
        return outcomes.new(outcome)
    end

    outcome = outcomes.empty()
    C.credgate_gate_deny(gate, cause_of(problem), outcome)

    return outcomes.new(outcome)
end


return _M
