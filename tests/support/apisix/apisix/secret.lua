-- Replaces `$secret://` references from the shared dictionary "secrets". An
-- unknown one stays as it is, as in APISIX.


local function resolve(value)
    if type(value) == "table" then
        local copy = {}

        for key, element in pairs(value) do
            copy[key] = resolve(element)
        end

        return copy
    end

    local name = type(value) == "string" and value:match("^%$secret://(.*)")

    return name and ngx.shared.secrets:get(name) or value
end


return {
    fetch_secrets = function(refs)
        return resolve(refs)
    end,
}
