-- The run of a request, of kong/init.lua and kong/runloop, and the admin API.

local pdk = require "standin.pdk"
local schemas = require "standin.schema"
local others = require "standin.plugins"
local cjson = require "cjson"

local _M = {}

local directory
local loaded = {}
local entities = {}
local iterator = {}


-- kong/db/dao/plugins.lua loads handlers and schemas in the master.
function _M.init(options)
    directory = options.directory
    pdk.consumers = options.consumers
    _G.kong = pdk.new(options.configuration)

    for _, name in ipairs(options.plugins) do
        local handler = require("kong.plugins." .. name .. ".handler")
        local schema = require("kong.plugins." .. name .. ".schema")

        assert(schema.name == name and type(handler.PRIORITY) == "number")
        assert(handler.VERSION:find("^%d+%.%d+%.%d+$"))

        for _, field in ipairs(schema.fields) do
            loaded[name] = { handler = handler, record = field.config }

            if field.config then
                schemas.check(field.config, "config")
            end
        end
    end

    for name, handler in pairs(others) do
        loaded[name] = { handler = handler }
    end
end


-- kong/runloop/plugins_iterator.lua: all tables of configurations are new.
local function rebuild()
    local by_name = {}

    iterator = {}

    for _, plugin in ipairs(entities) do
        local record = loaded[plugin.name].record
        local copy = cjson.decode(cjson.encode(plugin.config))
        local conf = record and schemas.for_handler(record, copy, plugin) or copy

        iterator[#iterator + 1] = { plugin = plugin, conf = conf,
                                    handler = loaded[plugin.name].handler }
        by_name[plugin.name] = by_name[plugin.name] or {}
        table.insert(by_name[plugin.name], conf)
    end

    table.sort(iterator, function(a, b)
        return a.handler.PRIORITY > b.handler.PRIORITY
    end)

    for name, plugin in pairs(loaded) do
        if plugin.handler.configure then
            plugin.handler.configure(plugin.handler, by_name[name])
        end
    end
end


function _M.init_worker()
    for _, plugin in pairs(loaded) do
        if plugin.handler.init_worker then
            plugin.handler.init_worker(plugin.handler)
        end
    end

    rebuild()
end


-- kong/pdk/tracing.lua
local span_methods = {}
span_methods.__index = span_methods

function span_methods:set_attribute(name, value)
    assert(type(name) == "string")
    assert(({ string = true, number = true, boolean = true })[type(value)])
    self.attributes[name] = value
end


local function add_span(name, attributes)
    table.insert(ngx.ctx.KONG_SPANS, setmetatable({ name = name, attributes = attributes },
                                                  span_methods))
end


-- kong/observability/tracing/instrumentation.lua
function _M.rewrite()
    local ctx = ngx.ctx

    ctx.request_uri = ngx.var.request_uri
    ctx.KONG_SPANS = { [0] = 0 }
    add_span("kong", {
        ["http.method"] = ngx.req.get_method(),
        ["http.url"] = "http://" .. ngx.var.host .. ctx.request_uri,
        ["http.route"] = "/a/bcde",
        ["http.target"] = ctx.request_uri,
        ["url.full"] = "http://" .. ngx.var.host .. ctx.request_uri,
    })
    -- A span of a call that another plugin has made, and one without attributes.
    add_span("kong.internal.request", { ["http.url"] = "http://other/introspect?token=abc" })
    table.insert(ctx.KONG_SPANS, { name = "noop" })
end


-- execute_collecting_plugins_iterator of kong/init.lua
local function run_access(ctx)
    for _, entry in ipairs(iterator) do
        pdk.update_references(entry.conf)

        if entry.handler.access and not ctx.delayed_response then
            ctx.plugin_id = entry.plugin.id

            local thread = coroutine.create(entry.handler.access)
            local ok, err = coroutine.resume(thread, entry.handler, entry.conf)

            if not ok then
                ngx.log(ngx.ERR, err)
                ctx.delayed_response = { status_code = 500,
                                         content = { message = "An unexpected error occurred" } }
            end
        end
    end
end


-- `send` of kong/pdk/response.lua
local function flush(response)
    local body = response.content

    ngx.status = response.status_code

    for name, value in pairs(response.headers or {}) do
        ngx.header[name] = value
    end

    if type(body) == "table" then
        body = cjson.encode(body)
        ngx.header["Content-Type"] = ngx.header["Content-Type"]
                                     or "application/json; charset=utf-8"
    end

    ngx.header["Content-Length"] = #(body or "")
    ngx.header["X-Kong-Response-Latency"] = 0
    ngx.print(body)

    return ngx.exit(ngx.HTTP_OK)
end


function _M.access()
    local ctx = ngx.ctx

    run_access(ctx)

    if ctx.delayed_response then
        return flush(ctx.delayed_response)
    end

    -- access.after of kong/runloop/handler.lua
    ngx.var.upstream_uri = ngx.var.uri .. ngx.var.is_args .. (ngx.var.args or "")

    if ctx.buffered_proxying then
        -- buffered_proxy of kong/init.lua
        ngx.req.read_body()

        local response = ngx.location.capture("/buffered", {
            method = ngx["HTTP_" .. ngx.req.get_method()], always_forward_body = true,
        })

        ctx.buffered_status = response.status

        return flush { status_code = response.status, content = response.body }
    end
end


local function append(file, line)
    local out = assert(io.open(directory .. "/" .. file, "a"))

    out:write(line, "\n")
    out:close()
end


function _M.log()
    local ctx = ngx.ctx

    -- instrumentation.balancer, before the plugins
    add_span("kong.balancer", { ["http.url"] = "http://upstream" .. ctx.request_uri })

    for _, entry in ipairs(iterator) do
        if entry.handler.log then
            ctx.plugin_id = entry.plugin.id
            entry.handler.log(entry.handler, entry.conf)
        end
    end

    -- Plugins that log have low priorities.
    append("serialized.log", pdk.serialize())

    for _, span in ipairs(ctx.KONG_SPANS) do
        append("spans.log", cjson.encode { name = span.name, attributes = span.attributes })
    end
end


local function respond(status, value)
    ngx.status = status
    ngx.header["Content-Type"] = "application/json; charset=utf-8"
    ngx.print(cjson.encode(value))
end


-- schema_violation_to_string of kong/db/errors.lua
local function to_message(fields)
    local parts = {}

    for name, err in pairs(fields) do
        if type(err) == "table" then
            parts[#parts + 1] = name .. "." .. to_message(err)
        else
            parts[#parts + 1] = name .. ": " .. err
        end
    end

    table.sort(parts)

    return table.concat(parts, "; ")
end


-- kong/api/arguments.lua: config.x=y
local function read_arguments()
    ngx.req.read_body()

    if (ngx.var.content_type or ""):find("^application/json") then
        return cjson.decode(ngx.req.get_body_data())
    end

    local arguments = { config = {} }

    for name, value in pairs(ngx.req.get_post_args(100)) do
        local field = name:match("^config%.(.*)$")

        if field then
            arguments.config[field] = value
        else
            arguments[name] = value
        end
    end

    return arguments, true
end


-- POST /services/NAME/plugins
function _M.create_plugin()
    local given, is_form = read_arguments()
    local plugin = loaded[given.name]

    if not plugin then
        return respond(400, { name = "schema violation", code = 2,
                              fields = { name = "plugin not enabled" } })
    end

    local config = given.config or {}

    if plugin.record then
        if is_form then
            config = schemas.infer(plugin.record, config)
        end

        config = schemas.fill(plugin.record, config)

        local err = schemas.validate(plugin.record, config)

        if err then
            return respond(400, {
                code = 2, name = "schema violation", fields = { config = err },
                message = "schema violation (" .. to_message { config = err } .. ")",
            })
        end
    end

    local seq = #entities + 1
    local entity = { id = "plugin-" .. seq, seq = seq, name = given.name, config = config,
                     service = { id = "orders" } }

    entities[seq] = entity
    rebuild()
    respond(201, entity)
end


-- Puts arguments into a table of the stand-in, or moves its clock.
function _M.control()
    local arguments = ngx.req.get_uri_args()

    pdk.clock = pdk.clock + (arguments.seconds or 0)

    for name, value in pairs(arguments) do
        pdk.vault[name] = value
    end

    collectgarbage()
    ngx.print("{}")
end


return _M
