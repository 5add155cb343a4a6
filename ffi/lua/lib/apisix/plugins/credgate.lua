-- Credgate as a plugin of Apache APISIX. The documentation is ffi/lua/APISIX.md.

local core = require "apisix.core"
local plugin = require "apisix.plugin"
local secret = require "apisix.secret"
local credgate = require "resty.credgate"
local denials = require "resty.credgate.denial"


local OPTIONS = { ctx = true }

-- Variables that APISIX may have cached before this plugin runs, by pattern.
local STALE = { "^arg_", "^post_arg", "^http_", "^request$", "^request_body$",
                "^query_string$" }

-- For each configuration: its JSON, the gate or the error, and whether it has
-- references, whose values may change. Equal gates share tokens.
local known = setmetatable({}, { __mode = "k" })


local _M = {
    version = 0.1,
    priority = 2598,
    name = "credgate",
    schema = { type = "object", encrypt_fields = {} },
}

for _, field in ipairs(assert(credgate.fields())) do
    if field.secret and field.type == "string" then
        core.table.insert(_M.schema.encrypt_fields, field.name)
    end
end


-- Returns the configuration as JSON. Names with an underscore are APISIX's own.
local function to_json(conf)
    local members = {}

    for name, value in pairs(conf) do
        if name:byte() ~= 95 then
            core.table.insert(members, core.json.encode(name) .. ":"
                                       .. core.json.encode(value))
        end
    end

    table.sort(members)

    return "{" .. table.concat(members, ",") .. "}"
end


local function has_references(json)
    local lower = json:lower()

    return lower:find('"$secret:', 1, true) or lower:find('"$env:', 1, true)
end


-- Returns the gate of a configuration, or nil and the error.
local function gate_of(conf)
    local entry = known[conf]

    if entry and not entry.has_references then
        return entry.gate, entry.err
    end

    local json = to_json(conf)
    local refers = has_references(json)

    if refers then
        json = to_json(secret.fetch_secrets(conf, true, conf, ""))

        if has_references(json) then
            return nil, "a reference to a secret cannot be resolved"
        end
    end

    if not entry or entry.json ~= json then
        local gate, err = credgate.new(json)

        entry = { json = json, gate = gate, err = err, has_references = refers }
        known[conf] = entry
    end

    return entry.gate, entry.err
end


-- Removes the credentials from APISIX's copies of the request, for loggers and
-- for plugins that build the upstream's URI. `query` is the original one.
local function mend(ctx, query)
    local left = ngx.var.args or ""

    ctx.headers, ctx.req_uri_args, ctx.req_post_args = nil, nil, nil
    ctx._request_body_table, ctx._request_body_type = nil, nil

    for name, value in pairs(rawget(ctx.var, "_cache")) do
        local from, to

        for _, pattern in ipairs(STALE) do
            if name:find(pattern) then
                ctx.var[name], value = nil, nil
                break
            end
        end

        if type(value) == "string" and query and query ~= "" then
            from, to = value:find(query, 1, true)
        end

        if from then
            local start = value:sub(1, from - 1)

            ctx.var[name] = (left == "" and start:gsub("[?&]$", "") or start)
                            .. left .. value:sub(to + 1)
        end
    end
end


function _M.init()
    local options = plugin.plugin_attr(_M.name) or os.getenv("CREDGATE_ENGINE")
    local ok, err = true

    if options then
        ok, err = credgate.configure(options)
    end

    if not ok then
        core.log.error("credgate: plugin_attr or CREDGATE_ENGINE: ", err)
    end
end


-- The schema has the names with an underscore, which APISIX adds to it.
function _M.check_schema(conf)
    local valid, err = core.schema.check(_M.schema, conf)

    if not valid then
        return false, err
    end

    local gate
    gate, err = credgate.new(to_json(conf))

    return gate ~= nil, err
end


function _M.rewrite(conf, ctx)
    local query = ngx.var.args
    local gate, err = gate_of(conf)

    if not gate then
        credgate.redact()
        core.request.set_header(ctx, "Authorization", nil)
        mend(ctx, query)
        core.log.error("credgate: ", err)
        return 500, { message = "Internal Server Error" }
    end

    local outcome = gate:judge(OPTIONS)

    mend(ctx, query)

    if outcome.allowed then
        ctx.credgate = gate
        return
    end

    denials.log(outcome)

    core.response.set_header("Content-Type", outcome.content_type)
    core.response.set_header("WWW-Authenticate", outcome.challenge)
    core.response.set_header("Retry-After", outcome.retry_after)

    return outcome.http_status, outcome.body
end


-- The upstream has the token: loggers, which record headers, must not see it.
function _M.header_filter(_, ctx)
    local authorization = ctx.credgate and ngx.ctx.credgate.authorization

    if authorization then
        for name, value in pairs(ngx.ctx.credgate:headers()) do
            if value and value:find(authorization:match("%S+$"), 1, true) then
                core.request.set_header(ctx, name, nil)
            end
        end
    end
end


function _M.log(_, ctx)
    if ctx.credgate then
        ctx.credgate:log()
    end
end


return _M
