-- The phases of APISIX, with the routes of the global `routes`: by path, a table
-- of plugins, `before` and `after` credgate, and its `conf`.

local core = require "apisix.core"
local credgate = require "apisix.plugins.credgate"
local cjson = require "cjson.safe"


local _M = {}


local function exit(code, body)
    ngx.status = code
    ngx.print(type(body) == "table" and cjson.encode(body) or body)
    ngx.exit(code)
end


-- load_plugin of apisix/plugin.lua
function _M.init_worker()
    local schema = credgate.schema

    assert(credgate.priority and credgate.version)
    assert(type(schema) == "table")

    schema.properties = schema.properties or {}
    schema.properties._meta = core.schema.plugin_injected_schema._meta
    credgate.init()
end


function _M.access()
    local ctx = { var = core.new_var() }
    local var = ctx.var

    ngx.ctx.api_ctx = ctx
    var.real_request_uri = var.request_uri
    var.request_uri = var.uri .. var.is_args .. (var.args or "")

    for path, route in pairs(routes) do
        if var.uri:find(path, 1, true) == 1 then
            ctx.route = route
        end
    end

    if ctx.route.before then
        ctx.route.before(ctx)
    end

    local code, body = credgate.rewrite(ctx.route.conf, ctx)

    if code then
        exit(code, body)
    end

    if ctx.route.after then
        ctx.route.after(ctx)
    end
end


function _M.header_filter()
    credgate.header_filter(ngx.ctx.api_ctx.route.conf, ngx.ctx.api_ctx)
end


-- The fields of APISIX's loggers, and all that APISIX remembers.
function _M.log()
    local ctx = ngx.ctx.api_ctx
    local var = ctx.var

    credgate.log(ctx.route.conf, ctx)

    ngx.log(ngx.NOTICE, "logged: ", cjson.encode {
        uri = var.request_uri,
        real = var.real_request_uri,
        line = var.request,
        authorization = var.http_authorization,
        secret = var.arg_client_secret,
        headers = ngx.req.get_headers(),
        remembered = core.request.headers(ctx),
        query = ngx.req.get_uri_args(),
        query_remembered = core.request.get_uri_args(ctx),
        body = ngx.req.get_body_data(),
        cache = rawget(var, "_cache"),
    })
end


-- Reads all that a plugin of a higher priority may read.
function _M.look(ctx)
    core.request.headers(ctx)
    core.request.get_uri_args(ctx)

    for _, name in ipairs { "request", "query_string", "http_authorization",
                            "arg_client_secret", "request_uri" }
    do
        local _ = ctx.var[name]
    end
end


-- The URI as proxy-rewrite builds it.
function _M.rewrite_uri(ctx)
    local var = ctx.var

    var.upstream_uri = "/rewritten" .. (var.is_args == "?" and "?" .. (var.args or "") or "")
end


return _M
