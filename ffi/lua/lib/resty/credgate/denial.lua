-- What a request that may not pass is answered.

local library = require "resty.credgate.library"
local outcomes = require "resty.credgate.outcome"


local log = library.log


local _M = {}


local INTERNAL = {
    http_status = 500,
    code = "INTERNAL",
    status = "NONE",
    allowed = false,
    content_type = "application/json; charset=utf-8",
    body = '{"message":"Internal Server Error"}',
}


local TIMEOUT = setmetatable({
    http_status = 504,
    code = "PROVIDER_TIMEOUT",
    retry_after = 1,
    body = '{"message":"Gateway Timeout"}',
}, { __index = INTERNAL })


local CLOSED = setmetatable({
    http_status = 503,
    retry_after = 1,
    body = '{"message":"Service Unavailable"}',
}, { __index = INTERNAL })


-- Answers the request, or has the caller answer it.
function _M.answer(denial, options)
    local header = ngx.header

    ngx.status = denial.http_status
    header["Content-Type"] = denial.content_type
    header["WWW-Authenticate"] = denial.challenge
    header["Retry-After"] = denial.retry_after

    if denial.detail then
        log(denial.http_status < 500 and ngx.INFO or ngx.ERR, denial.detail)
    end

    if denial.code == "NO_CREDENTIALS" and ngx.req.is_internal() then
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


local function failure(problem)
    if problem == "timeout" then
        return TIMEOUT
    end

    if problem == "closed" then
        return CLOSED
    end

    log(ngx.CRIT, problem)
    return INTERNAL
end


-- The denial that an outcome is; where there is none, the one for the problem.
function _M.of(outcome, problem)
    return outcome and outcomes.new(outcome) or failure(problem)
end


return _M
