-- The identity of a request in Kong: consumer, credential and groups.

local HEADERS = require("kong.constants").HEADERS
local cjson = require "cjson.safe"


local kong = kong

-- The seconds until a change of a consumer takes effect.
local CACHE = { ttl = 30, neg_ttl = 5 }

local UUID = "^" .. ("%x"):rep(8) .. ("%-" .. ("%x"):rep(4)):rep(3) .. "%-"
             .. ("%x"):rep(12) .. "$"


local _M = {}


local LOADERS = {
    id = function(id)
        if id:find(UUID) then
            return kong.client.load_consumer(id, false)
        end
    end,
    username = function(username)
        return kong.db.consumers:select_by_username(username)
    end,
    custom_id = function(custom_id)
        return kong.db.consumers:select_by_custom_id(custom_id)
    end,
    anonymous = function(name)
        return kong.client.load_consumer(name, true)
    end,
}


local function set_header(name, value)
    if value then
        kong.service.request.set_header(name, value)
    else
        kong.service.request.clear_header(name)
    end
end


-- Ends the request, for a reason that is in the log.
function _M.fail(...)
    kong.log.err(...)

    return kong.response.exit(500, { message = "An unexpected error occurred" })
end


-- Returns the consumer that a field names, or nil.
local function find_consumer(by, value)
    local consumer, err = kong.cache:get("credgate:" .. by .. ":" .. value, CACHE,
                                         LOADERS[by], value)

    return err and _M.fail("cannot load the consumer: ", err) or consumer
end


local function set_headers(consumer, credential, is_anonymous)
    set_header(HEADERS.CONSUMER_ID, consumer.id)
    set_header(HEADERS.CONSUMER_CUSTOM_ID, consumer.custom_id)
    set_header(HEADERS.CONSUMER_USERNAME, consumer.username)
    set_header(HEADERS.CREDENTIAL_IDENTIFIER, credential.id)
    set_header(HEADERS.ANONYMOUS, is_anonymous and "true")
end


local function set_groups(groups)
    kong.ctx.shared.authenticated_groups = groups
    set_header(HEADERS.AUTHENTICATED_GROUPS,
               groups and groups[1] and table.concat(groups, ", "))
end


-- Removes the headers of an identity that no plugin has established.
function _M.clear_forged()
    if not (kong.client.get_consumer() or kong.client.get_credential()) then
        set_headers({}, {})
    end

    if not kong.ctx.shared.authenticated_groups then
        set_groups(nil)
    end
end


-- Makes the request that of the anonymous consumer.
function _M.set_anonymous(name)
    local consumer = find_consumer("anonymous", name)

    if not consumer then
        return _M.fail("anonymous: there is no consumer ", name)
    end

    kong.client.authenticate(consumer, nil)
    set_headers(consumer, {}, true)
    set_groups(nil)
end


-- Returns the claim at a path, as text, or an element of it.
local function claim(outcome, path, element)
    local name = table.concat(path or {}, "__")

    return name ~= "" and outcome:claim(name .. (element or "")) or nil
end


-- Returns the groups in a claim: a list, or a text, which may look like one.
local function groups_of(outcome, path)
    local text = claim(outcome, path)
    local is_list = text == "[]" or claim(outcome, path, "__1")
    local groups = {}

    for i, group in ipairs(is_list and cjson.decode(text) or { text }) do
        groups[i] = tostring(group)
    end

    return text and groups
end


-- Gives the request the identity of its token. Returns whether it has the consumer
-- that it needs.
function _M.set(conf, outcome)
    local path = conf.consumer_claim
    local value = claim(outcome, path)
    local consumer

    for _, by in ipairs(value and conf.consumer_by or {}) do
        consumer = consumer or find_consumer(by, value)
    end

    if path and path[1] and not (consumer or conf.consumer_optional) then
        return false
    end

    local id = claim(outcome, conf.credential_claim) or outcome.client_id
    local credential = { id = id }

    kong.client.authenticate(consumer, credential)
    set_headers(consumer or {}, credential)
    set_groups(groups_of(outcome, conf.authenticated_groups_claim))

    return true
end


return _M
