-- The headers of kong/constants.lua that authentication plugins use.

local names = {
    CONSUMER_ID = "X-Consumer-ID",
    CONSUMER_CUSTOM_ID = "X-Consumer-Custom-ID",
    CONSUMER_USERNAME = "X-Consumer-Username",
    CREDENTIAL_IDENTIFIER = "X-Credential-Identifier",
    AUTHENTICATED_GROUPS = "X-Authenticated-Groups",
    ANONYMOUS = "X-Anonymous-Consumer",
}


return { HEADERS = require("standin.strict")("kong.constants.HEADERS", names) }
