-- The plugin's configuration in Kong: its schema, and gates.

local typedefs = require "kong.db.schema.typedefs"
local fields = require "kong.plugins.credgate.fields"
local credgate = require "resty.credgate"
local cjson = require "cjson.safe"


-- A reference to a vault, in JSON.
local REFERENCE = '"{vault:[^"]*}"'

-- Gates, or that there is none, by Kong's table and by the configuration in JSON.
-- Kong makes its tables anew when any plugin changes.
local by_conf = setmetatable({}, { __mode = "k" })
local by_json = setmetatable({}, { __mode = "v" })


local _M = {}

local encoders = {}


-- Returns a value as JSON, the same for equal values; nil if it is null, or a record
-- of nulls.
local function encode(field, value)
    if value == nil or value == ngx.null then
        return nil
    end

    local encoder = encoders[field.type]

    if not encoder then
        return cjson.encode(value)
    end

    return encoder(value, field)
end


function encoders.array(list, field)
    local parts = {}

    for i, element in ipairs(list) do
        parts[i] = encode(field.elements, element) or "null"
    end

    return "[" .. table.concat(parts, ",") .. "]"
end

encoders.set = encoders.array


-- Only the names of the type: Kong adds its own to a configuration.
local function encode_object(object, names, types, type_of_all)
    local parts = {}

    for _, name in ipairs(names) do
        local value = encode(type_of_all or types[name], object[name])

        if value then
            parts[#parts + 1] = cjson.encode(name) .. ":" .. value
        end
    end

    return parts[1] and "{" .. table.concat(parts, ",") .. "}"
end


function encoders.map(map, field)
    return encode_object(map, fields.sorted_names(map), nil, field.values) or "{}"
end


function encoders.record(record, field)
    field.names = field.names or fields.sorted_names(field.fields)

    return encode_object(record, field.names, field.fields)
end


-- Returns the plugin object: some of the library's rules depend on its name.
local function to_json(name, conf)
    return '{"name":"' .. name .. '","config":'
           .. (encode(fields.gate, conf) or "{}") .. "}"
end


-- Returns whether a configuration is valid, and the errors by field. Fields with
-- references are judged when these have values.
local function judge(name, conf)
    local gate, err, problems = credgate.new(to_json(name, conf))
    local own = encode(fields.gate.fields.client_id, conf.client_id)
    local errors = {}

    if gate and own and own ~= "[]"
       and encode(fields.gate.fields.anonymous, conf.anonymous)
    then
        errors.anonymous = "applies to the credentials of clients; remove it, "
                           .. "because client_id is set"
    end

    for _, problem in ipairs(gate and {} or problems) do
        local field = problem.field

        if not field then
            return nil, err
        end

        local value = encode(fields.gate.fields[field] or {}, conf[field])

        if not (value and value:find(REFERENCE)) then
            errors[field] = (errors[field] and errors[field] .. "; " or "")
                            .. problem.message
        end
    end

    return not next(errors) or nil, errors
end


-- Returns the schema of the plugin under a name.
function _M.schema(name)
    local config = { type = "record", fields = fields.config }

    function config.custom_validator(conf)
        return judge(name, conf)
    end

    return {
        name = name,
        fields = {
            { consumer = typedefs.no_consumer },
            { protocols = typedefs.protocols_http },
            { config = config },
        },
    }
end


-- Gives a gate that verifies and names no trust file that of Kong.
local function with_trust(conf)
    local file = kong.configuration.lua_ssl_trusted_certificate_combined

    if not file or conf.ssl_verify == false or conf.ssl_trusted_certificate then
        return conf
    end

    return setmetatable({ ssl_trusted_certificate = file }, { __index = conf })
end


local function compile(json)
    if json:find(REFERENCE) then
        return nil, "Kong has not resolved a reference to a vault"
    end

    return credgate.new(json)
end


-- Returns the gate of a configuration; or nil and the error, which is kept, too.
function _M.gate(name, conf)
    local entry = by_conf[conf]

    -- Kong writes new values of references into the same table.
    if not entry or conf["$refs"] then
        local json = to_json(name, with_trust(conf))

        entry = by_json[json]

        if not entry then
            entry = {}
            entry.gate, entry.err = compile(json)
            by_json[json] = entry
        end

        by_conf[conf] = entry
    end

    return entry.gate, entry.err
end


return _M
