local fields = require "kong.plugins.credgate.fields"
local settings = require "kong.plugins.credgate.settings"


return fields.schema("credgate", settings.judge)
