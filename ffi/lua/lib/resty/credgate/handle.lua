-- Compiles configurations: handles of the library.

local library = require "resty.credgate.library"
local ffi = require "ffi"


local C = library.C
local OK = library.abi.OK
local message = library.message
local warn = library.warn

local GATE = ffi.typeof("credgate_gate *[1]")

local text = ffi.new("const char *[1]")
local len = ffi.new("size_t[1]")


local _M = {}


-- Returns a handle from a configuration in JSON, and logs its warnings; or nil,
-- the error and its problems if it is invalid.
function _M.new(json)
    local out = GATE()
    local status = C.credgate_gate_new(json, #json, out, library.error_out)

    if status ~= OK then
        return nil, message(status)
    end

    local handle = ffi.gc(out[0], C.credgate_gate_free)
    local index = 0

    while C.credgate_gate_warning(handle, index, text, len) == OK do
        warn(ffi.string(text[0], len[0]))
        index = index + 1
    end

    return handle
end


-- Returns the handle that the library derives from another, or nil and the error
-- if that gate does not fit.
function _M.derived(handle, derive)
    local out = GATE()
    local status = derive(handle, out, library.error_out)

    if status ~= OK then
        return nil, message(status)
    end

    return ffi.gc(out[0], C.credgate_gate_free)
end


return _M
