-- The library in nginx's stream subsystem: it judges configurations.

local library = require "resty.credgate.library"
local configuration = require "resty.credgate.configuration"
local handles = require "resty.credgate.handle"
local ffi = require "ffi"


-- A table whose absent members are errors.
local function limited(members, prefix)
    return setmetatable(members, {
        __index = function(_, name)
            error("credgate: " .. prefix .. tostring(name) .. " requires nginx's "
                  .. "http subsystem, not " .. ngx.config.subsystem, 2)
        end,
    })
end

local gate = limited({}, "gate:")


local _M = limited({
    _VERSION = ffi.string(library.C.credgate_version()),
    fields = configuration.fields,
}, "credgate.")


local function judged(json)
    local handle, err, problems = handles.new(json)

    return handle and gate, err, problems
end


-- Compiles a configuration. Returns a gate without methods; or nil, the error, and
-- a list of its problems.
function _M.new(config)
    return configuration.with_json(config, "config", judged)
end


return _M
