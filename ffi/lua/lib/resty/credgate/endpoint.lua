-- The responses of endpoints: a token endpoint, and the check of other proxies'
-- requests.

local denials = require "resty.credgate.denial"


local _M = {}


-- Keeps the response out of caches (RFC 6749 section 5.1).
function _M.forbid_caching(is_token_endpoint)
    ngx.header["Cache-Control"] = "no-store"

    if is_token_endpoint then
        ngx.header["Pragma"] = "no-cache"
    end
end


-- Sends a token (RFC 6749 section 5.1).
function _M.send_token(outcome)
    local body = outcome:token_response()

    ngx.status = 200
    ngx.header["Content-Type"] = "application/json; charset=utf-8"
    ngx.header["Content-Length"] = #body
    ngx.print(body)

    return ngx.exit(200)
end


-- Sends the headers for the upstream. Envoy removes those that
-- x-envoy-auth-headers-to-remove names.
function _M.send_headers(outcome)
    local removed = {}

    for name, value in pairs(outcome:headers()) do
        if value then
            ngx.header[name] = value

        else
            removed[#removed + 1] = name
        end
    end

    if removed[1] then
        ngx.header["x-envoy-auth-headers-to-remove"] = table.concat(removed, ",")
    end

    ngx.status = 200
    ngx.header["Content-Length"] = 0
    ngx.send_headers()

    return ngx.exit(200)
end


-- Sends a denial. `auth_request` turns any status but 401 and 403 into 500.
function _M.send_denial(denial, options)
    local status = denial.http_status

    if ngx.is_subrequest and status < 500 and status ~= 401 then
        denial.http_status = 403
    end

    return denials.send(denial, options)
end


return _M
