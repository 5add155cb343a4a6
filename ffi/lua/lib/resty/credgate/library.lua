-- Finds and loads libcredgate. The table of this module keeps it loaded.

local abi = require "resty.credgate.abi"
local ffi = require "ffi"


local FILE = "libcredgate.so." .. abi.ABI_VERSION


-- Searches the directories of lua_package_cpath first, then the system's.
local function load()
    for template in package.cpath:gmatch("[^;]+") do
        local path = template:gsub("[^/]*$", "") .. FILE
        local file = io.open(path)

        if file then
            file:close()
            return ffi.load(path)
        end
    end

    local found, library = pcall(ffi.load, FILE)

    if not found then
        error("credgate: " .. FILE .. " is neither in the directories of "
              .. "lua_package_cpath (" .. package.cpath .. ") nor where the "
              .. "system looks: " .. library, 0)
    end

    return library
end


if ngx.config.subsystem ~= "http" then
    error("credgate: there is no request in the subsystem "
          .. ngx.config.subsystem, 0)
end

local library = load()
local spoken = library.credgate_abi_version()

if spoken ~= abi.ABI_VERSION then
    error("credgate: the library speaks version " .. spoken .. " of the ABI, "
          .. "this module " .. abi.ABI_VERSION, 0)
end


local _M = { C = library, abi = abi }


local text = ffi.new("const char *[1]")
local len = ffi.new("size_t[1]")
local err = ffi.new("credgate_error *[1]")

_M.err = err


-- The error message of a failed call, or the name of its status.
function _M.message(status)
    local message

    if err[0] ~= nil then
        if library.credgate_error_message(err[0], text, len) == abi.OK then
            message = ffi.string(text[0], len[0])
        end

        library.credgate_error_free(err[0])
        err[0] = nil
    end

    return message or ffi.string(library.credgate_status_name(status))
end


-- Before the workers start, nginx logs only printed text of Lua.
function _M.log(level, ...)
    if ngx.get_phase() ~= "init" then
        ngx.log(level, "credgate: ", ...)
        return
    end

    print("credgate: ", ...)
end


return _M
