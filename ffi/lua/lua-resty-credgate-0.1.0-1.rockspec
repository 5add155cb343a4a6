package = "lua-resty-credgate"
version = "0.1.0-1"
source = {
   url = "."
}
description = {
   summary = "Client credentials of API clients, exchanged at an OpenID provider, cached, forwarded as a Bearer token",
   detailed = [[
      For OpenResty and nginx with lua-nginx-module, over LuaJIT's FFI. Needs
      libcredgate.so.1, which is not a part of this rock.
   ]],
   license = "Apache-2.0 OR MIT"
}
dependencies = {
   "lua >= 5.1, < 5.2",
   "lua-cjson"
}
build = {
   type = "builtin",
   modules = {
      ["resty.credgate"] = "lib/resty/credgate.lua",
      ["resty.credgate.abi"] = "lib/resty/credgate/abi.lua",
      ["resty.credgate.attempt"] = "lib/resty/credgate/attempt.lua",
      ["resty.credgate.compile"] = "lib/resty/credgate/compile.lua",
      ["resty.credgate.configuration"] = "lib/resty/credgate/configuration.lua",
      ["resty.credgate.current"] = "lib/resty/credgate/current.lua",
      ["resty.credgate.denial"] = "lib/resty/credgate/denial.lua",
      ["resty.credgate.endpoint"] = "lib/resty/credgate/endpoint.lua",
      ["resty.credgate.gate"] = "lib/resty/credgate/gate.lua",
      ["resty.credgate.handle"] = "lib/resty/credgate/handle.lua",
      ["resty.credgate.headers"] = "lib/resty/credgate/headers.lua",
      ["resty.credgate.library"] = "lib/resty/credgate/library.lua",
      ["resty.credgate.numbers"] = "lib/resty/credgate/numbers.lua",
      ["resty.credgate.options"] = "lib/resty/credgate/options.lua",
      ["resty.credgate.outcome"] = "lib/resty/credgate/outcome.lua",
      ["resty.credgate.process"] = "lib/resty/credgate/process.lua",
      ["resty.credgate.request"] = "lib/resty/credgate/request.lua",
      ["resty.credgate.status"] = "lib/resty/credgate/status.lua",
      ["resty.credgate.stream"] = "lib/resty/credgate/stream.lua",
      ["resty.credgate.supplied"] = "lib/resty/credgate/supplied.lua",
      ["resty.credgate.waiting"] = "lib/resty/credgate/waiting.lua"
   }
}
