-- The fields of a configuration in Kong: those of the library and of the plugin.

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
    credential_claim = { type = "array", elements = { type = "string" },
                         default = { "sub" } },
}


local _M = {
    -- The type of a gate's configuration, and the fields of the plugin's.
    gate = { type = "record", fields = { anonymous = OWN.anonymous } },
    config = {},
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

    shape.keys = field.keys and to_kong(field.keys)
    shape.elements = field.elements and to_kong(field.elements, is_referenceable)
    shape.values = field.values and to_kong(field.values, is_referenceable)

    for i, name in ipairs(field.fields and _M.sorted_names(field.fields) or {}) do
        shape.fields[i] = { [name] = to_kong(field.fields[name], is_referenceable) }
    end

    return shape
end


for i, field in ipairs(assert(credgate.fields())) do
    local name = field.name
    local shape = OWN[name]

    if not shape then
        -- A field with a remedy is Kong's, and an error if it is set.
        shape = to_kong(field, not field.remedy or nil)
        shape.encrypted = field.secret
        _M.gate.fields[name] = field
    end

    _M.config[i] = { [name] = shape }
end


return _M
