-- Finds and loads libcredgate. The table of this module keeps the library
-- loaded.

local abi = require "resty.credgate.abi"
local raw_log = require("ngx.errlog").raw_log
local ffi = require "ffi"


local FILE = "libcredgate.so." .. abi.ABI_VERSION


-- Searches the directories of lua_package_cpath, then the system's library
-- path.
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
        error("credgate: cannot find " .. FILE .. " in the directories of "
              .. "lua_package_cpath (" .. package.cpath .. ") or in the system's "
              .. "library path: " .. library, 0)
    end

    return library
end


local library = load()
local version = library.credgate_abi_version()

if version ~= abi.ABI_VERSION then
    error("credgate: resty.credgate requires version " .. abi.ABI_VERSION
          .. " of the ABI, but libcredgate has version " .. version, 0)
end


local text = ffi.new("const char *[1]")
local len = ffi.new("size_t[1]")
local field = ffi.new("const char *[1]")
local field_len = ffi.new("size_t[1]")
local error_out = ffi.new("credgate_error *[1]")


local _M = {
    C = library,
    abi = abi,
    -- The output for errors of all calls. `message` reads and frees the error.
    error_out = error_out,
}


-- Returns the problems of a configuration: a list of tables with `message`, and
-- with `field` unless the whole configuration is at fault.
local function problems_of(err)
    local problems = {}

    while library.credgate_error_problem(err, #problems, field, field_len, text,
                                         len) == abi.OK
    do
        problems[#problems + 1] = {
            field = field_len[0] > 0 and ffi.string(field[0], field_len[0]) or nil,
            message = ffi.string(text[0], len[0]),
        }
    end

    return problems
end


-- Returns the error message of the last failed call and its problems, or the
-- name of its status.
function _M.message(status)
    local err = error_out[0]

    if err == nil then
        return ffi.string(library.credgate_status_name(status))
    end

    library.credgate_error_message(err, text, len)

    local message = ffi.string(text[0], len[0])
    local problems = problems_of(err)

    library.credgate_error_free(err)
    error_out[0] = nil

    return message, problems
end


-- Logs a message in the form of nginx's own modules: tools that read the log need
-- one pattern for all hosts.
function _M.log(level, ...)
    raw_log(level, "credgate: " .. table.concat { ... })
end


-- Logs a warning that is not about the current request. nginx adds the request
-- line to the messages of a request, which may still have its credentials: such a
-- warning is logged by a timer, or not at all.
function _M.warn(text)
    local phase = ngx.get_phase()

    if phase == "init" or phase == "init_worker" or phase == "timer" then
        _M.log(ngx.WARN, text)
        return
    end

    ngx.timer.at(0, function() _M.log(ngx.WARN, text) end)
end


return _M
