-- The PDK, of kong/pdk, with the calls that authentication plugins make. Unknown
-- names are errors, and so are calls in phases that Kong refuses.

local strict = require "standin.strict"
local cjson = require "cjson"

local _M = {
    clock = 0,
    consumers = {},
    database_calls = 0,
    -- Values that the database cannot search.
    down = { ["database-is-down"] = true, ["00000000-0000-4000-8000-00000000dead"] = true },
    vault = {},
}

local UUID = ("%x"):rep(8) .. ("%-" .. ("%x"):rep(4)):rep(3) .. "%-" .. ("%x"):rep(12)


local function in_phases(...)
    local phase = ngx.get_phase()

    for _, allowed in ipairs { ... } do
        if phase == allowed then
            return
        end
    end

    error("not in the phase " .. phase, 3)
end


local function select_consumer(field, value)
    _M.database_calls = _M.database_calls + 1

    if _M.down[value] then
        return nil, "no connection"
    end

    for _, consumer in ipairs(_M.consumers) do
        if consumer[field] == value then
            return consumer
        end
    end
end


-- kong/pdk/client.lua
local client = {
    get_consumer = function() return ngx.ctx.authenticated_consumer end,
    get_credential = function() return ngx.ctx.authenticated_credential end,
}

function client.load_consumer(id, search_by_username)
    in_phases("access")
    assert(type(id) == "string")

    local is_uuid = id:find("^" .. UUID .. "$")

    if not is_uuid and not search_by_username then
        error("cannot load a consumer with an id that is not a uuid", 2)
    end

    local consumer, err

    if is_uuid then
        consumer, err = select_consumer("id", id)
    end

    if consumer or err or not search_by_username then
        return consumer, err
    end

    return select_consumer("username", id)
end


function client.authenticate(consumer, credential)
    in_phases("access")
    assert(consumer or credential, "either credential or consumer must be provided")
    assert(consumer == nil or type(consumer) == "table")
    assert(credential == nil or type(credential) == "table")

    ngx.ctx.authenticated_consumer = consumer
    ngx.ctx.authenticated_credential = credential
end


-- kong/pdk/response.lua
local function exit(status, body, headers)
    in_phases("access")
    assert(type(status) == "number")
    assert(body == nil or type(body) == "string" or type(body) == "table")

    for name, value in pairs(headers or {}) do
        assert(type(name) == "string")
        assert(type(value) == "string" or type(value) == "number" or type(value) == "table")
    end

    ngx.ctx.KONG_EXITED = true
    ngx.ctx.delayed_response = { status_code = status, content = body, headers = headers }
    coroutine.yield()
    error("a request was resumed after kong.response.exit")
end


-- kong/pdk/service/request.lua
local function set_header(name, value)
    in_phases("access")
    assert(type(name) == "string")
    assert(type(value) == "string" or type(value) == "number" or type(value) == "boolean")
    ngx.req.set_header(name, tostring(value))
end


local function clear_header(name)
    in_phases("access")
    ngx.req.clear_header(name)
end


-- kong/pdk/service/response.lua
local function get_status()
    in_phases("header_filter", "body_filter", "log")

    return ngx.ctx.buffered_status
           or tonumber((ngx.var.upstream_status or ""):sub(-3))
end


-- kong/cache/init.lua, which passes its options to lua-resty-mlcache
local OPTIONS = { ttl = true, neg_ttl = true, resurrect_ttl = true }
local cached = {}

local function cache_get(_, key, options, load, ...)
    assert(type(key) == "string")

    for name in pairs(options or {}) do
        assert(OPTIONS[name], "the cache has no option " .. name)
    end

    local entry = cached[key]

    if not entry or entry.expires <= _M.clock then
        local value, err = load(...)

        if err then
            return nil, err
        end

        local ttl = options and (value == nil and options.neg_ttl or options.ttl)

        -- db_cache_ttl of kong.conf is 0: values stay.
        entry = { value = value, expires = _M.clock + (ttl or math.huge) }
        cached[key] = entry
    end

    return entry.value
end


-- kong/pdk/log.lua
local function logger(level)
    return function(...)
        ngx.log(level, "[kong] ", ...)
    end
end


-- kong/pdk/ctx.lua: a table for each plugin of a request, and a shared one
local ctx = setmetatable({}, {
    __index = function(_, name)
        local all = ngx.ctx

        if name == "shared" then
            all.shared = all.shared or {}
            return all.shared
        end

        if name == "plugin" then
            all.plugin_ctx = all.plugin_ctx or {}
            all.plugin_ctx[all.plugin_id] = all.plugin_ctx[all.plugin_id] or {}
            return all.plugin_ctx[all.plugin_id]
        end

        error("the stand-in has no kong.ctx." .. name, 2)
    end,
})


-- kong/pdk/vault.lua: puts the current values of references into a configuration,
-- before each use
function _M.update_references(conf)
    local function resolve(reference)
        return _M.vault[reference:match("^{vault://(.*)}$")] or ""
    end

    for key, reference in pairs(conf["$refs"] or {}) do
        if type(reference) == "string" then
            conf[key] = resolve(reference)
        end

        for i, element in pairs(type(reference) == "table" and reference or {}) do
            conf[key][i] = resolve(element)
        end
    end
end


-- kong.log.serialize of kong/pdk/log.lua
function _M.serialize()
    local all = ngx.ctx
    local uri = all.request_uri or ngx.var.request_uri
    local headers = ngx.req.get_headers()

    headers.authorization = headers.authorization and "REDACTED"

    return cjson.encode {
        request = {
            uri = uri,
            url = ngx.var.scheme .. "://" .. ngx.var.host .. uri,
            querystring = ngx.req.get_uri_args(),
            headers = headers,
        },
        upstream_uri = ngx.var.upstream_uri,
        response = { status = ngx.status },
        consumer = all.authenticated_consumer,
        authenticated_entity = all.authenticated_credential
                               and { id = all.authenticated_credential.id },
    }
end


-- Makes the global table, with a configuration as kong.conf has it.
function _M.new(configuration)
    return strict("kong", {
        configuration = configuration,
        client = strict("kong.client", client),
        response = strict("kong.response", { exit = exit }),
        service = strict("kong.service", {
            request = strict("kong.service.request", {
                set_header = set_header, clear_header = clear_header,
            }),
            response = strict("kong.service.response", { get_status = get_status }),
        }),
        cache = strict("kong.cache", { get = cache_get }),
        db = strict("kong.db", {
            consumers = strict("kong.db.consumers", {
                select_by_username = function(_, value)
                    return select_consumer("username", value)
                end,
                select_by_custom_id = function(_, value)
                    return select_consumer("custom_id", value)
                end,
            }),
        }),
        log = strict("kong.log", {
            err = logger(ngx.ERR), warn = logger(ngx.WARN), notice = logger(ngx.NOTICE),
            info = logger(ngx.INFO), debug = logger(ngx.DEBUG),
        }),
        ctx = ctx,
    })
end


return _M
