-- The schema of the plugin's configuration: the library's fields, as Kong writes
-- types, and those of the plugin.

local typedefs = require "kong.db.schema.typedefs"
local credgate = require "resty.credgate"


local PATH = { type = "array", elements = { type = "string" } }

-- Kong's fields that need Kong's consumers, with Kong's defaults.
local OWN = {
    anonymous = { type = "string" },
    authenticated_groups_claim = PATH,
    consumer_by = {
        type = "array",
        elements = { type = "string", one_of = { "id", "username", "custom_id" } },
        default = { "custom_id", "username" },
    },
    consumer_claim = PATH,
    consumer_optional = { type = "boolean", default = false },
    credential_claim = { type = "array", elements = PATH.elements, default = { "sub" } },
}


local _M = {
    -- The type of a gate's configuration.
    gate = { type = "record", fields = {} },
}


function _M.sorted_names(map)
    local names = {}

    for name in pairs(map) do
        names[#names + 1] = name
    end

    table.sort(names)

    return names
end


-- Returns a type as Kong's schemas write it. Values are left to the library, which
-- judges them in the same words for every host; so are empty strings.
local function to_kong(field, is_referenceable)
    local shape = { type = field.type, fields = field.fields and {} }

    if field.type == "string" then
        shape.len_min = 0
        shape.referenceable = is_referenceable
    end

    for _, name in ipairs { "elements", "values", "keys" } do
        shape[name] = field[name] and to_kong(field[name], is_referenceable)
    end

    for i, name in ipairs(field.fields and _M.sorted_names(field.fields) or {}) do
        shape.fields[i] = { [name] = to_kong(field.fields[name], is_referenceable) }
    end

    return shape
end


local config = {}

for _, field in ipairs(assert(credgate.fields())) do
    local name = field.name

    if not OWN[name] then
        -- A field with a remedy is Kong's, and an error if it is set.
        local shape = to_kong(field, not field.remedy or nil)

        shape.encrypted = field.secret
        config[#config + 1] = { [name] = shape }
        _M.gate.fields[name] = field
    end
end

for _, name in ipairs(_M.sorted_names(OWN)) do
    config[#config + 1] = { [name] = OWN[name] }
end

-- The library needs to know that there is an anonymous consumer.
_M.gate.fields.anonymous = OWN.anonymous


-- Returns the schema of the plugin under a name. `judge` validates with the name and
-- the configuration.
function _M.schema(name, judge)
    local record = { type = "record", fields = config }

    function record.custom_validator(conf)
        return judge(name, conf)
    end

    return {
        name = name,
        fields = {
            { consumer = typedefs.no_consumer },
            { protocols = typedefs.protocols_http },
            { config = record },
        },
    }
end


return _M
