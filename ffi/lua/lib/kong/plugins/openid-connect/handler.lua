-- The plugin under the name in Kong's documentation.

local handler = {}

for name, value in pairs(require "kong.plugins.credgate.handler") do
    handler[name] = value
end

handler.NAME = "openid-connect"


return handler
