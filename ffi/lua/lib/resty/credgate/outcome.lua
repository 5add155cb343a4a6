-- An outcome as a table, with methods that call the library.

local library = require "resty.credgate.library"
local process = require "resty.credgate.process"
local ffi = require "ffi"


local C = library.C
local abi = library.abi
local ffi_str = ffi.string

local text = ffi.new("const char *[1]")
local len = ffi.new("size_t[1]")
local seconds = ffi.new("uint64_t[1]")
local dropped = ffi.new("bool[1]")
local header = ffi.new("credgate_header[1]")
local count = ffi.new("size_t[1]")

local HEADER_SIZE = ffi.sizeof("credgate_header")
local OUTCOME = ffi.typeof("credgate_outcome")

local SOURCES = {
    [abi.SOURCE_HEADER] = "header",
    [abi.SOURCE_QUERY] = "query",
    [abi.SOURCE_BODY] = "body",
    [abi.SOURCE_HOST] = "host",
    [abi.SOURCE_HEADERS] = "headers",
}


local _M = {}
local methods = { __index = _M }


local function string_of(data, size)
    if size > 0 then
        return ffi_str(data, size)
    end
end


-- Returns a struct for the library to fill. The garbage collector releases it.
function _M.new_struct()
    local struct = OUTCOME()

    struct.struct_size = ffi.sizeof(OUTCOME)

    return ffi.gc(struct, C.credgate_outcome_release)
end


-- Copies a struct into a table. The methods need the struct: the table keeps
-- one with a finalizer alive, and is valid until its owner releases any other.
function _M.new(struct)
    local outcome = {
        struct = struct,
        allowed = struct.http_status == 0,
        cache_status = ffi_str(C.credgate_cache_status_name(struct.cache_status)),
        source = SOURCES[struct.source],
    }

    if outcome.allowed then
        outcome.client_id = string_of(struct.client_id, struct.client_id_len)
        outcome.authorization = string_of(struct.authorization,
                                          struct.authorization_len)

    else
        outcome.http_status = struct.http_status
        outcome.cause = ffi_str(C.credgate_cause_name(struct.code))
        outcome.challenge = string_of(struct.challenge, struct.challenge_len)
        outcome.content_type = string_of(struct.content_type,
                                         struct.content_type_len)
        outcome.body = string_of(struct.body, struct.body_len)
        outcome.detail = string_of(struct.detail, struct.detail_len)

        if struct.retry_after > 0 then
            outcome.retry_after = struct.retry_after
        end
    end

    return setmetatable(outcome, methods)
end


-- Returns a claim of the token, by its name or by a path joined by "__": a string
-- unchanged, any other value as JSON. Returns nil if there is no such claim.
function _M.claim(self, name)
    if type(name) ~= "string" then
        error("credgate: name must be a string", 2)
    end

    if C.credgate_outcome_claim(self.struct, name, #name, text, len) == abi.OK
    then
        return ffi_str(text[0], len[0])
    end

    return nil
end


-- Returns the seconds for which the cache still serves the token; nil if it is
-- not cached.
function _M.expires_in(self)
    if C.credgate_outcome_expires_in(self.struct, seconds) == abi.OK then
        return tonumber(seconds[0])
    end

    return nil
end


-- Returns the body of a token endpoint's success response, JSON; nil without a
-- token.
function _M.token_response(self)
    if C.credgate_outcome_token_response(self.struct, text, len) == abi.OK then
        return ffi_str(text[0], len[0])
    end

    return nil
end


-- Returns the headers for the upstream by lower-case name: the value, or false
-- if the client's header must be removed.
function _M.headers(self)
    local headers, first = {}, 0

    while C.credgate_outcome_headers(self.struct, first, header, 1, HEADER_SIZE,
                                     count) == abi.OK
          and count[0] > 0
    do
        local name = ffi_str(header[0].name, header[0].name_len)

        headers[name] = header[0].value ~= nil
                        and ffi_str(header[0].value, header[0].value_len)
        first = first + 1
    end

    return headers
end


-- Reports the HTTP status of the upstream's response. Returns true if that
-- dropped the token.
function _M.upstream_status(self, http_status)
    if type(http_status) ~= "number" then
        error("credgate: http_status must be a number", 2)
    end

    local engine = process.engine()

    return engine ~= nil
           and C.credgate_outcome_upstream_status(self.struct, engine,
                                                  http_status, dropped) == abi.OK
           and dropped[0]
end


return _M
