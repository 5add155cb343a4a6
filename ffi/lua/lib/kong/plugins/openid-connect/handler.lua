-- The plugin under the name in Kong's documentation.

local handler = { NAME = "openid-connect" }


return setmetatable(handler, { __index = require "kong.plugins.credgate.handler" })
