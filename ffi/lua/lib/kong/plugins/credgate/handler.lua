-- Credgate as a plugin of Kong Gateway. The reference is ffi/lua/KONG.md.

local credgate = require "resty.credgate"
local denials = require "resty.credgate.denial"
local settings = require "kong.plugins.credgate.settings"
local identity = require "kong.plugins.credgate.identity"


local kong = kong

-- Options of the engine. Read here, in the master: workers have no environment.
local ENGINE = os.getenv("CREDGATE_ENGINE")


local Handler = {
    NAME = "credgate",
    PRIORITY = 1050,
    VERSION = "0.1.0",
}

-- Kong loads its plugins in the stream subsystem, too, which has no requests of HTTP.
if ngx.config.subsystem ~= "http" then
    return Handler
end


-- Replaces the request's query in attributes that are URLs.
local function redact_span(span, path, query)
    for name, value in pairs(span.attributes) do
        local url = type(value) == "string" and value:match("^([^?]*)%?")

        if url and #value == #url + #query and url:sub(-#path) == path then
            span:set_attribute(name, url .. query)
        end
    end
end


-- Hides the credentials in Kong's own copies of the request line, which has kept its
-- length. They are internals of Kong, which a version may not have.
local function redact()
    local ctx = ngx.ctx
    local path, query = ngx.var.request_uri:match("^([^?]*)(.*)$")

    if ctx.request_uri then
        ctx.request_uri = path .. query
    end

    for _, span in ipairs(query ~= "" and ctx.KONG_SPANS or {}) do
        if type(span.attributes) == "table" and span.set_attribute then
            redact_span(span, path, query)
        end
    end
end


-- Hides them where the upstream has them, because hide_credentials is false. Only for
-- logs: the upstream must have responded.
local function redact_forwarded()
    local query = ngx.var.request_uri:match("%?(.*)$") or ""

    for name, pattern in pairs { args = "^", upstream_uri = "^[^?]*%?" } do
        local value = ngx.var[name] or ""
        local prefix = value:match(pattern)

        if prefix and query ~= "" and #value == #prefix + #query then
            ngx.var[name] = prefix .. query
        end
    end
end


local function deny(denial)
    denials.log(denial)

    return kong.response.exit(denial.http_status, denial.body, {
        ["Content-Type"] = denial.content_type,
        ["WWW-Authenticate"] = denial.challenge,
        ["Retry-After"] = denial.retry_after,
    })
end


function Handler:init_worker()
    -- The plugin may have two names, and the worker has one engine.
    if ENGINE then
        local done, err = credgate.configure(ENGINE)

        if not done then
            kong.log.err("CREDGATE_ENGINE: ", err)
        end

        ENGINE = nil
    end
end


-- Makes the gates, and logs their errors. References have no values yet.
function Handler:configure(configs)
    for _, conf in ipairs(configs or {}) do
        local gate, err = settings.gate(self.NAME, conf)

        if not (gate or conf["$refs"]) then
            kong.log.err(self.NAME, ": ", err)
        end
    end
end


function Handler:access(conf)
    local gate, err = settings.gate(self.NAME, conf)

    if not gate then
        credgate.redact()
        redact()

        return identity.fail(self.NAME, ": ", err)
    end

    if conf.anonymous and kong.client.get_credential() then
        -- A logical OR: another plugin has authenticated the request, or its token.
        local header = ngx.var.http_authorization or ""
        gate:hide { keep_authorization = not header:lower():find("^%s*basic") }
        redact()

        return identity.clear_forged()
    end

    local outcome = gate:judge()

    redact()

    if not outcome.allowed then
        return deny(outcome)
    end

    kong.ctx.plugin.outcome = outcome

    if outcome.cache_status == "ANONYMOUS" then
        return identity.set_anonymous(conf.anonymous)
    end

    if outcome.cache_status == "PREFLIGHT" or outcome.source == "host" then
        -- The gateway's own token says nothing about the client.
        return identity.clear_forged()
    end

    if identity.set(conf, outcome) then
        return
    end

    if not conf.anonymous then
        return kong.response.exit(403, {
            message = conf.forbidden_error_message or "Forbidden" })
    end

    -- The token is that of a client without a consumer.
    gate:hide()

    return identity.set_anonymous(conf.anonymous)
end


function Handler:log()
    local outcome = kong.ctx.plugin.outcome

    -- Another plugin may have ended the request, or hide_credentials is false.
    credgate.redact()
    redact()
    redact_forwarded()

    -- nginx does not know the status under buffered proxying.
    local http_status = kong.service.response.get_status()

    if outcome and http_status and outcome:upstream_status(http_status) then
        kong.log.info("dropped the token, because the upstream returned ",
                      http_status)
    end
end


return Handler
