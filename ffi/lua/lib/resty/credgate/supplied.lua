-- Puts values that the caller of a method supplies into the library's struct.

local http_request = require "resty.credgate.request"
local ffi = require "ffi"


local STRINGS = ffi.typeof("credgate_string[?]")

-- Keeps the arguments alive while the library reads them.
local arg_values


local _M = {}


local function contains(list, wanted)
    for _, item in ipairs(list) do
        if item == wanted then
            return true
        end
    end

    return false
end


-- Puts the values of token_post_args_host into the request, from a table by
-- name. Returns an error if the table is invalid.
function _M.fill_args(request, gate, args)
    local names = gate.arg_names
    local values = STRINGS(#names)

    for i, name in ipairs(names) do
        local value = args and args[name]

        if value ~= nil then
            if type(value) ~= "string" then
                return "credgate: args." .. name .. " must be a string"
            end

            values[i - 1].data, values[i - 1].len = value, #value
        end
    end

    for name in pairs(args or {}) do
        if not contains(names, name) then
            return "credgate: unknown argument " .. tostring(name)
                   .. ": it is not in token_post_args_host"
        end
    end

    arg_values = values
    request.args, request.args_len = values, #names
end


-- Puts the caller's id and secret into the request. If one of them is missing,
-- it is empty, which is a denial. Returns an error if one is no string.
function _M.fill_credentials(request, id, secret)
    id, secret = id or "", secret or ""

    if type(id) ~= "string" or type(secret) ~= "string" then
        return "credgate: client_id and client_secret must be strings"
    end

    request.client_id, request.client_id_len = id, #id
    request.client_secret, request.client_secret_len = secret, #secret
end


-- Puts the options of a method into the request, and what else the gate wants.
-- Returns an error if an option is invalid.
function _M.fill(request, gate, options)
    local id, secret = options and options.client_id,
                       options and options.client_secret
    local invalid = (id or secret) and _M.fill_credentials(request, id, secret)

    if invalid or not gate.has_more then
        return invalid
    end

    if gate.wants_traceparent then
        http_request.fill_traceparent(request)
    end

    return gate.arg_names
           and _M.fill_args(request, gate, options and options.args)
end


return _M
