-- The plugin under the name in Kong's documentation.

return setmetatable({ NAME = "openid-connect" }, {
    __index = require "kong.plugins.credgate.handler",
})
