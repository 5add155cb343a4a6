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
local headers = ffi.new("credgate_header[1]")

local HEADER_SIZE = ffi.sizeof("credgate_header")
local OUTCOME = ffi.typeof("credgate_outcome")

local SOURCES = {
    [abi.SOURCE_HEADER] = "header",
    [abi.SOURCE_QUERY] = "query",
    [abi.SOURCE_BODY] = "body",
    [abi.SOURCE_HOST] = "host",
}


local _M = {}
local methods = { __index = _M }


local function string_of(start, size)
    if size > 0 then
        return ffi_str(start, size)
    end
end


-- An empty outcome, released when it is collected.
function _M.empty()
    local outcome = OUTCOME()

    outcome.struct_size = ffi.sizeof(OUTCOME)

    return ffi.gc(outcome, C.credgate_outcome_release)
end


-- The owner of `bytes` keeps it alive, or this table is its only owner.
function _M.new(bytes)
    local outcome = {
        bytes = bytes,
        allowed = bytes.http_status == 0,
        cache_status = ffi_str(C.credgate_cache_status_name(bytes.cache_status)),
        source = SOURCES[bytes.source],
    }

    if outcome.allowed then
        outcome.client_id = string_of(bytes.client_id, bytes.client_id_len)
        outcome.authorization = string_of(bytes.authorization,
                                          bytes.authorization_len)

    else
        outcome.http_status = bytes.http_status
        outcome.cause = ffi_str(C.credgate_cause_name(bytes.code))
        outcome.challenge = string_of(bytes.challenge, bytes.challenge_len)
        outcome.content_type = string_of(bytes.content_type,
                                         bytes.content_type_len)
        outcome.body = string_of(bytes.body, bytes.body_len)
        outcome.detail = string_of(bytes.detail, bytes.detail_len)

        if bytes.retry_after > 0 then
            outcome.retry_after = bytes.retry_after
        end
    end

    return setmetatable(outcome, methods)
end


-- A claim of the token, by its name or by a path of names joined by "__". Text as
-- it is, any other value as JSON; nil if there is none.
function _M.claim(self, name)
    if C.credgate_outcome_claim(self.bytes, name, #name, text, len) == abi.OK then
        return ffi_str(text[0], len[0])
    end

    return nil
end


-- The remaining seconds for which the token is served; nil if it is not cached.
function _M.expires_in(self)
    if C.credgate_outcome_expires_in(self.bytes, seconds) == abi.OK then
        return tonumber(seconds[0])
    end

    return nil
end


-- The headers for the upstream: a value, or false for a client's header to
-- remove.
function _M.headers(self)
    local all, first = {}, 0

    while C.credgate_outcome_headers(self.bytes, first, headers, 1,
                                     HEADER_SIZE, len)
          == abi.OK and len[0] > 0
    do
        local header = headers[0]

        all[ffi_str(header.name, header.name_len)] = header.value ~= nil
            and ffi_str(header.value, header.value_len)
        first = first + 1
    end

    return all
end


-- Reports the upstream's status. True if the token was dropped.
function _M.upstream_status(self, status)
    local engine = process.engine()

    return engine ~= nil
           and C.credgate_outcome_upstream_status(self.bytes, engine, status,
                                                  dropped) == abi.OK
           and dropped[0]
end


return _M
