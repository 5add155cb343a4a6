-- The options of methods on the current request.

local http_request = require "resty.credgate.request"


local TYPES = {
    args = "table",
    client_id = "string",
    client_secret = "string",
    ctx = "boolean",
    keep_authorization = "boolean",
    on_denied = "function",
    uri_variable = "string",
    variable = "string",
}

-- The tables without a problem. Most callers have one for all requests.
local checked = setmetatable({}, { __mode = "k" })


local _M = {}


local function count(options)
    local n = 0

    for _ in pairs(options) do
        n = n + 1
    end

    return n
end

-- OpenResty's LuaJIT compiles its own function.
local has_nkeys, nkeys = pcall(require, "table.nkeys")

nkeys = has_nkeys and nkeys or count


local function is(value, wanted)
    return type(value) == wanted and 1 or 0
end


-- Returns whether all options are known and of their types. Without a loop, which
-- would end the trace of a hit whose caller makes a table for each request.
local function are_valid(options)
    return type(options) == "table"
           and is(options.args, "table")
               + is(options.client_id, "string")
               + is(options.client_secret, "string")
               + is(options.ctx, "boolean")
               + is(options.keep_authorization, "boolean")
               + is(options.on_denied, "function")
               + is(options.uri_variable, "string")
               + is(options.variable, "string") == nkeys(options)
end


-- Returns what is wrong with invalid options.
local function problem_of(options)
    if type(options) ~= "table" then
        return "options must be a table"
    end

    for name, value in pairs(options) do
        local wanted = TYPES[name]

        if not wanted then
            return 'unknown option "' .. tostring(name) .. '"'
        end

        if type(value) ~= wanted then
            return name .. " must be a " .. wanted
        end
    end
end


-- Checks the options of a method, if there are any. Raises an error at the caller of
-- the method.
function _M.check(options)
    if not options or checked[options] then
        return
    end

    if not are_valid(options) then
        -- nginx logs the request line with the error.
        http_request.redact()
        error("credgate: " .. problem_of(options), 3)
    end

    checked[options] = true
end


return _M
