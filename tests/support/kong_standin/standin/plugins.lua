-- Plugins beside the one under test.

local HEADERS = require("kong.constants").HEADERS


-- Authenticates by a key, as kong/plugins/key-auth does.
local key_auth = { PRIORITY = 1250 }

function key_auth:access(conf)
    local key = ngx.req.get_headers()["apikey"]

    if key then
        kong.client.authenticate({ id = "c-" .. key, username = key }, { id = "k-" .. key })
        kong.service.request.set_header(HEADERS.CONSUMER_ID, "c-" .. key)
        kong.service.request.clear_header(HEADERS.ANONYMOUS)

    elseif conf.anonymous then
        kong.client.authenticate({ id = conf.anonymous }, nil)
        kong.service.request.set_header(HEADERS.ANONYMOUS, true)

    elseif not conf.is_optional then
        return kong.response.exit(401, { message = "No API key found in request" })
    end
end


-- Shows the client what it finds, as kong/plugins/acl and rate-limiting use it.
local observer = { PRIORITY = 900 }

function observer:access()
    local consumer, credential = kong.client.get_consumer(), kong.client.get_credential()

    ngx.header["X-Seen-Consumer"] = consumer and consumer.id
    ngx.header["X-Seen-Credential"] = credential and (credential.id or "without an id")
    ngx.header["X-Seen-Groups"] = kong.ctx.shared.authenticated_groups
                                  and table.concat(kong.ctx.shared.authenticated_groups, "|")
    ngx.header["X-Database-Calls"] = require("standin.pdk").database_calls
end


-- Wants whole responses, as plugins with a phase `response` do.
local buffering = { PRIORITY = 800 }

function buffering:access()
    ngx.ctx.buffered_proxying = true
end


return { ["key-auth"] = key_auth, observer = observer, buffering = buffering }
