-- Configurations and options as tables: their JSON, and their fields.

local library = require "resty.credgate.library"
local ffi = require "ffi"


local text = ffi.new("const char *[1]")
local len = ffi.new("size_t[1]")


local _M = {}


-- Returns the JSON of a table or string, or nil and an error that begins with
-- `name`.
local function to_json(value, name)
    if type(value) == "string" then
        return value
    end

    if type(value) ~= "table" then
        return nil, name .. " must be a table or a JSON string"
    end

    local found, cjson = pcall(require, "cjson.safe")

    if not found then
        return nil, name .. " is a table, which requires lua-cjson: install it, "
                    .. "or pass a JSON string"
    end

    local json, err = cjson.encode(value)

    if not json then
        return nil, name .. ": " .. err
    end

    return json
end


-- Calls a function with the JSON of a table or string. Returns its results; or nil,
-- an error that begins with `name`, and the list of its one problem.
function _M.with_json(value, name, call)
    local json, err = to_json(value, name)

    if not json then
        return nil, err, { { message = err } }
    end

    return call(json)
end


-- Returns the fields of a configuration, and those of Kong that Credgate does not
-- have: a list of tables; or nil and the error without lua-cjson.
function _M.fields()
    local found, cjson = pcall(require, "cjson.safe")

    if not found then
        return nil, "the fields are a table, which requires lua-cjson: install it"
    end

    library.C.credgate_config_fields(text, len)

    return cjson.decode(ffi.string(text[0], len[0]))
end


return _M
