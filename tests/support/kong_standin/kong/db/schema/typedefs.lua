-- kong/db/schema/typedefs.lua: the definitions that every Kong from 3.4 to 3.9 has.

return require("standin.strict")("typedefs", {
    no_consumer = { type = "foreign", reference = "consumers", eq = ngx.null },
    protocols_http = { type = "set", required = true },
})
