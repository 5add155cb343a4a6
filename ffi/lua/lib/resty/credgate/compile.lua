-- Compiles gates: the library's handle, and the fields that the methods of a gate
-- read.

local library = require "resty.credgate.library"
local handles = require "resty.credgate.handle"
local credential_headers = require "resty.credgate.headers"
local outcomes = require "resty.credgate.outcome"
local ffi = require "ffi"


local C = library.C
local OK = library.abi.OK
local ffi_str = ffi.string

local text = ffi.new("const char *[1]")
local len = ffi.new("size_t[1]")
local milliseconds = ffi.new("uint32_t[1]")
local wants = ffi.new("bool[1]")
local searches = ffi.new("bool[1]")


local _M = {}


-- The names in the gate's token_post_args_host.
local function arg_names_of(handle)
    local names = {}

    while C.credgate_gate_arg(handle, #names, text, len) == OK do
        names[#names + 1] = ffi_str(text[0], len[0])
    end

    return names
end


-- The headers that the gate names for id and secret, if any. They are hidden
-- unless hide_credentials is false.
local function credential_headers_of(handle)
    local names = {}

    while C.credgate_gate_credential_header(handle, #names, text, len) == OK do
        names[#names + 1] = ffi_str(text[0], len[0])
    end

    if not names[1] then
        return nil
    end

    local headers = credential_headers.new(names[1], names[2])
    local bypass = outcomes.new_struct()

    C.credgate_gate_bypass(handle, bypass)
    headers.are_hidden = outcomes.headers { struct = bypass }[names[2]] ~= nil

    return headers
end


-- The fields of a gate that its methods read.
local function fields_of(handle)
    C.credgate_gate_timeout(handle, milliseconds)
    C.credgate_gate_searches_requests(handle, searches)

    local arg_names = arg_names_of(handle)
    local wants_traceparent =
        C.credgate_gate_wants_traceparent(handle, wants) == OK and wants[0]

    return {
        handle = handle,
        timeout = milliseconds[0] / 1000,
        arg_names = arg_names[1] and arg_names,
        wants_traceparent = wants_traceparent,
        -- One check for a hit.
        has_more = arg_names[1] ~= nil or wants_traceparent,
        -- The client's header is the application's own.
        keeps_header = not searches[0],
        -- Not nil, which a lookup would search in the methods.
        headers = credential_headers_of(handle) or false,
    }
end


-- The fields of a gate from a configuration in JSON. Logs its warnings. Returns
-- nil, the error and its problems if it is invalid.
function _M.new(json)
    local handle, err, problems = handles.new(json)

    return handle and fields_of(handle), err, problems
end


-- The fields of a gate that the library derives from another. Returns nil and
-- the error if that gate does not fit.
function _M.derived(handle, derive)
    local gate, err = handles.derived(handle, derive)

    return gate and fields_of(gate), err
end


return _M
