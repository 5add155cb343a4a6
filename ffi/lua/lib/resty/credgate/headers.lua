-- The two headers that a gate names for id and secret: fills the library's struct
-- from the current request or from a table, and hides the secret.

require "resty.core.request"

local base = require "resty.core.base"
local ffi = require "ffi"


local get_request = base.get_request
local ffi_C = ffi.C
local ffi_fill = ffi.fill
local ffi_str = ffi.string

local BYTES = ffi.typeof("char *")
local ASTERISK = ("*"):byte()
local SENT_HEADERS = ffi.typeof("ngx_http_lua_ffi_table_elt_t[?]")

local truncated = ffi.new("int[1]")


local _M = {}


-- The name of a header as an upstream may read it that does not distinguish
-- "_" and "-".
local function folded(name)
    return (name:lower():gsub("_", "-"))
end


-- The names of the headers with id and secret, for the functions below.
function _M.new(id, secret)
    return {
        exact = { [id] = "client_id_header", [secret] = "client_secret_header" },
        folded = { [folded(id)] = id, [folded(secret)] = secret },
        id = id,
        secret = secret,
    }
end


-- Empties the struct's fields that `fill` fills.
function _M.empty(request)
    request.client_id_header, request.client_id_header_len = nil, 0
    request.client_secret_header, request.client_secret_header_len = nil, 0
    request.repeated_header = 0
end


-- Puts a header into the struct if it has one of the names. Counts the headers
-- that an upstream may treat as the same; alone, one with "_" in place of "-" is
-- another header.
local function fill_credential_header(request, names, counts, name, data, size)
    local wanted = names.folded[folded(name)]

    if not wanted then
        return
    end

    counts[wanted] = (counts[wanted] or 0) + 1

    local field = names.exact[name:lower()]

    if field then
        request[field], request[field .. "_len"] = data, size
    end
end


local function note_repeated(request, names, counts)
    if (request.client_id_header ~= nil and counts[names.id] > 1)
       or (request.client_secret_header ~= nil and counts[names.secret] > 1)
    then
        request.repeated_header = 1
    end
end


-- The headers of the current request, and their number. Their values do not
-- become Lua strings, which would stay in memory.
local function sent_headers()
    local r = get_request()
    local n = ffi_C.ngx_http_lua_ffi_req_get_headers_count(r, 0, truncated)
    local sent = SENT_HEADERS(n)

    if n < 0 or ffi_C.ngx_http_lua_ffi_req_get_headers(r, sent, n, 1) ~= 0 then
        error("credgate: cannot read the headers of the request")
    end

    return sent, n
end


-- Fills the credentials in two headers, for a gate that names them.
function _M.fill(request, names)
    local sent, n = sent_headers()
    local counts = {}

    _M.empty(request)

    for i = 0, n - 1 do
        local key, sent_value = sent[i].key, sent[i].value

        fill_credential_header(request, names, counts,
                               ffi_str(key.data, key.len), sent_value.data,
                               sent_value.len)
    end

    note_repeated(request, names, counts)
end


-- The same from a table, by name: a string, or a list of strings. Returns an
-- error if the table is invalid.
function _M.fill_from_table(request, names, fields)
    local counts = {}

    _M.empty(request)

    for name, list in pairs(fields) do
        for _, text in ipairs(type(list) == "table" and list or { list }) do
            if type(name) ~= "string" or type(text) ~= "string" then
                return "credgate: names and values of headers must be strings"
            end

            fill_credential_header(request, names, counts, name, text, #text)
        end
    end

    note_repeated(request, names, counts)
end


-- Overwrites the secret in place: otherwise the header's variable shows it until
-- the request ends.
function _M.overwrite_secret(names)
    local sent, n = sent_headers()

    for i = 0, n - 1 do
        local key, sent_value = sent[i].key, sent[i].value

        if names.folded[folded(ffi_str(key.data, key.len))] == names.secret then
            ffi_fill(ffi.cast(BYTES, sent_value.data), sent_value.len, ASTERISK)
        end
    end
end


return _M
