-- A stand-in for apisix.core: only the names that the plugin may use, with
-- APISIX's caches. Another name is an error.

local cjson = require "cjson.safe"


local function strict(names, label)
    return setmetatable(names, {
        __index = function(_, name)
            error("APISIX has no " .. label .. "." .. tostring(name), 2)
        end,
    })
end


local function logger(level)
    return function(...)
        ngx.log(level, ...)
    end
end


local NGX_VARS = { upstream_uri = true }
local NOT_CACHED = { args = true, is_args = true }

-- As APISIX's: it remembers each variable, except the query.
local var_mt = {
    __index = function(t, key)
        local value = rawget(t, "_cache")[key]

        if value == nil then
            if key:find("^arg_") then
                value = ngx.req.get_uri_args()[key:sub(5)]
            else
                value = ngx.var[key]
            end

            if not NOT_CACHED[key] then
                t._cache[key] = value
            end
        end

        return value
    end,

    __newindex = function(t, key, value)
        if NGX_VARS[key] then
            ngx.var[key] = value
        end

        t._cache[key] = value
    end,
}

local request = strict({
    -- The branch of APISIX's own nginx, which keeps the headers.
    headers = function(ctx)
        ctx.headers = ctx.headers or ngx.req.get_headers()

        return ctx.headers
    end,
    set_header = function(ctx, name, value)
        assert(type(ctx) == "table" and type(name) == "string")
        ngx.req.set_header(name, value)
        ctx.var["http_" .. name:lower()] = nil

        if ctx.headers then
            ctx.headers[name] = value
        end
    end,
    get_uri_args = function(ctx)
        ctx.req_uri_args = ctx.req_uri_args or ngx.req.get_uri_args()

        return ctx.req_uri_args
    end,
}, "core.request")

local response = strict({
    set_header = function(name, value)
        ngx.header[name] = value
    end,
}, "core.response")

-- APISIX adds this to the schema of each plugin that it loads.
local INJECTED = { properties = { priority = "number", disable = "boolean",
                                  error_response = "table" } }

-- The judgement of a schema, of which the plugin has only what APISIX adds to it.
local function check_schema(schema, conf)
    assert(schema.properties._meta == INJECTED, "the plugin is not loaded")

    for name, value in pairs(conf._meta or {}) do
        local wanted = INJECTED.properties[name]

        if wanted and type(value) ~= wanted then
            return false, 'property "_meta" validation failed: property "' .. name
                          .. '" validation failed: wrong type: expected ' .. wanted
                          .. ", got " .. type(value)
        end
    end

    return true
end


return strict({
    new_var = function()
        return setmetatable({ _cache = {} }, var_mt)
    end,
    json = strict({ encode = cjson.encode }, "core.json"),
    log = strict({
        info = logger(ngx.INFO),
        warn = logger(ngx.WARN),
        error = logger(ngx.ERR),
    }, "core.log"),
    request = request,
    response = response,
    schema = strict({
        check = check_schema,
        plugin_injected_schema = { _meta = INJECTED },
    }, "core.schema"),
    table = strict({ insert = table.insert }, "core.table"),
}, "core")
