-- Schemas, as kong/db/schema/init.lua and kong/db/schema/metaschema.lua treat those
-- of plugins.

local null = ngx.null

-- The attributes that the metaschema knows for each type, of those in 3.4 to 3.9.
local COMMON = { type = true, required = true, default = true, encrypted = true,
                 custom_validator = true }
local ATTRIBUTES = {
    string = { one_of = true, len_min = true, referenceable = true },
    number = {}, integer = {}, boolean = {},
    array = { elements = true }, set = { elements = true },
    map = { keys = true, values = true },
    record = { fields = true },
}
local EXPECTED = { string = "a string", number = "a number", integer = "an integer",
                   boolean = "a boolean", array = "an array", set = "a set",
                   map = "a map", record = "a record" }

local _M = {}


local function each(record)
    local index = 0

    return function()
        index = index + 1

        if record.fields[index] then
            return next(record.fields[index])
        end
    end
end


-- Raises an error if a definition is not one of Kong's.
function _M.check(field, name)
    local known = ATTRIBUTES[field.type]

    assert(known, name .. ": unknown type " .. tostring(field.type))

    for attribute in pairs(field) do
        assert(COMMON[attribute] or known[attribute],
               name .. ": a " .. field.type .. " cannot have " .. attribute)
    end

    for attribute in pairs(known) do
        if type(field[attribute]) == "table" and field[attribute].type then
            _M.check(field[attribute], name .. "." .. attribute)
        end
    end

    if field.type == "array" or field.type == "set" then
        assert(field.elements, name .. ": no elements")
    end

    if field.type == "record" then
        assert(field.fields, name .. ": no fields")

        for key, inner in each(field) do
            _M.check(inner, name .. "." .. key)
        end
    end
end


-- infer_value of kong/api/arguments.lua: a form has only texts.
function _M.infer(field, value)
    if value == "" then
        return null
    end

    if field.type == "number" or field.type == "integer" then
        return tonumber(value) or value
    end

    if field.type == "boolean" then
        if value == "true" or value == "false" then
            return value == "true"
        end

        return value
    end

    if field.type == "array" or field.type == "set" then
        local list = type(value) == "table" and value or { value }

        for i, element in ipairs(list) do
            list[i] = _M.infer(field.elements, element)
        end

        return list
    end

    if field.type == "record" and type(value) == "table" then
        for key, inner in each(field) do
            if value[key] ~= nil then
                value[key] = _M.infer(inner, value[key])
            end
        end
    end

    return value
end


-- process_auto_fields on insertion: defaults, and nulls for the rest. A record that
-- is given is filled too.
function _M.fill(record, given)
    for key, field in each(record) do
        if given[key] == nil then
            given[key] = field.default == nil and null or field.default
        end

        if field.type == "record" and type(given[key]) == "table" then
            _M.fill(field, given[key])
        end
    end

    return given
end


local validate


local function is_sequence(value)
    local count = 0

    for _ in pairs(value) do
        count = count + 1
    end

    return count == #value
end


local function is_of_type(field, value)
    if field.type == "array" or field.type == "set" then
        return type(value) == "table" and is_sequence(value)
    end

    if field.type == "map" or field.type == "record" then
        return type(value) == "table"
    end

    if field.type == "integer" then
        return type(value) == "number" and value % 1 == 0
    end

    return type(value) == field.type
end


local function validate_elements(field, value)
    local errors = {}

    for i, element in ipairs(value) do
        errors[i] = validate(field.elements, element)
    end

    return next(errors) and errors
end


local function validate_map(field, value)
    local errors = {}

    for key, element in pairs(value) do
        errors[key] = validate(field.keys, key) or validate(field.values, element)
    end

    return next(errors) and errors
end


local function validate_record(field, value)
    local errors, known = {}, {}

    for key, inner in each(field) do
        known[key] = true

        if value[key] == null or value[key] == nil then
            errors[key] = inner.required and "required field missing" or nil
        else
            errors[key] = validate(inner, value[key])
        end
    end

    for key in pairs(value) do
        if not known[key] then
            errors[key] = "unknown field"
        end
    end

    return next(errors) and errors
end


-- Returns the error of a value: a text, or a table of errors.
function validate(field, value)
    if not is_of_type(field, value) then
        return "expected " .. EXPECTED[field.type]
    end

    if field.type == "string" and #value < (field.len_min or 1) then
        return "length must be at least " .. (field.len_min or 1)
    end

    if field.one_of then
        local found

        for _, allowed in ipairs(field.one_of) do
            found = found or allowed == value
        end

        if not found then
            return "expected one of: " .. table.concat(field.one_of, ", ")
        end
    end

    local err = field.elements and validate_elements(field, value)
                or field.values and validate_map(field, value)
                or field.fields and validate_record(field, value)

    if err or not field.custom_validator then
        return err
    end

    local valid
    valid, err = field.custom_validator(value)

    if valid then
        return nil
    end

    -- schema_violation of kong/db/errors.lua prints any other one as an address.
    assert(type(err) == "string" or (type(err) == "table" and next(err)))

    for key, message in pairs(type(err) == "table" and err or {}) do
        assert(type(key) == "string" and type(message) == "string")
    end

    return err
end

_M.validate = validate


local function collect_references(field, value, key, refs)
    if type(value) == "string" and field.referenceable and value:find("^{vault://.*}$")
    then
        refs[key] = value

    elseif field.elements and type(value) == "table" then
        local inner = {}

        for i, element in ipairs(value) do
            collect_references(field.elements, element, i, inner)
        end

        refs[key] = next(inner) and inner or nil
    end
end


-- The configuration as a handler gets it: no nulls, Kong's own names, and $refs
-- if there are references (process_auto_fields on selection).
function _M.for_handler(record, config, plugin)
    local conf, refs = {}, {}

    for key, field in each(record) do
        local value = config[key]

        if value ~= null then
            conf[key] = value
            collect_references(field, value, key, refs)
        end
    end

    -- Names that kong/runloop/plugins_iterator.lua adds.
    conf.service_id = plugin.service.id
    conf.__key__ = "plugins:" .. plugin.name
    conf.__seq__ = plugin.seq
    conf.__plugin_id = plugin.id
    conf.__ws_id = "ws"
    conf.plugin_instance_name = "instance"
    conf["$refs"] = next(refs) and refs

    return conf
end


return _M
