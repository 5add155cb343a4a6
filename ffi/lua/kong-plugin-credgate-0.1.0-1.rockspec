package = "kong-plugin-credgate"
version = "0.1.0-1"
source = {
   url = "."
}
description = {
   summary = "Client credentials of API clients in Kong Gateway: exchanged at an OpenID provider, cached, forwarded as a Bearer token",
   detailed = [[
      Two plugins, credgate and openid-connect, which are one under two names. It
      is not the openid-connect of Kong Gateway Enterprise. Needs
      libcredgate.so.1, which is not a part of this rock.
   ]],
   license = "Apache-2.0 OR MIT"
}
dependencies = {
   "lua >= 5.1, < 5.2",
   "lua-resty-credgate == 0.1.0"
}
build = {
   type = "builtin",
   modules = {
      ["kong.plugins.credgate.fields"] = "lib/kong/plugins/credgate/fields.lua",
      ["kong.plugins.credgate.handler"] = "lib/kong/plugins/credgate/handler.lua",
      ["kong.plugins.credgate.identity"] = "lib/kong/plugins/credgate/identity.lua",
      ["kong.plugins.credgate.schema"] = "lib/kong/plugins/credgate/schema.lua",
      ["kong.plugins.credgate.settings"] = "lib/kong/plugins/credgate/settings.lua",
      ["kong.plugins.openid-connect.handler"] = "lib/kong/plugins/openid-connect/handler.lua",
      ["kong.plugins.openid-connect.schema"] = "lib/kong/plugins/openid-connect/schema.lua"
   }
}
