package = "apisix-plugin-credgate"
version = "0.1.0-1"
source = {
   url = "."
}
description = {
   summary = "Client credentials of API clients in Apache APISIX: exchanged at an OpenID provider, cached, forwarded as a Bearer token",
   detailed = [[
      Needs libcredgate.so.1, which is not a part of this rock.
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
      ["apisix.plugins.credgate"] = "lib/apisix/plugins/credgate.lua"
   }
}
