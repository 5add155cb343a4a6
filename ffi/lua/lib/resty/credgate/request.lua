-- The current request: its parts for the library, and the changes to it. Bytes of
-- nginx are read in place, without a copy.

local library = require "resty.credgate.library"
local base = require "resty.core.base"
local ffi = require "ffi"

require "resty.core.request"
require "resty.core.var"


local C = library.C
local abi = library.abi
local get_request = base.get_request
local ffi_C = ffi.C
local ffi_fill = ffi.fill
local ffi_str = ffi.string
local ngx_req = ngx.req
local ngx_var = ngx.var

local value = ffi.new("char *[1]")
local size = ffi.new("size_t[1]")
local problem = ffi.new("char *[1]")
local lowcase = ffi.new("char[64]")
local wants = ffi.new("bool[1]")

-- The presented query, if it is our copy.
local kept

local room = 4096
local buffer = ffi.new("char[?]", room)

local BYTES = ffi.typeof("char *")
local QUESTION_MARK, SPACE = ("? "):byte(1, 2)

local HEADERS_AT_ONCE = 8
local HEADER_SIZE = ffi.sizeof("credgate_header")
local headers = ffi.new("credgate_header[?]", HEADERS_AT_ONCE)
local count = ffi.new("size_t[1]")


local _M = {}


-- Sets `value` and `size` to the bytes of a variable; false if it is empty or
-- absent. (Returning a pointer would allocate an object per call.)
local function peek(r, name)
    return ffi_C.ngx_http_lua_ffi_var_get(r, name, #name, lowcase, 0, value,
                                          size, problem) == 0
           and size[0] > 0
end


local function need_room(len)
    if len > room then
        room = len
        buffer = ffi.new("char[?]", room)
    end
end


-- Fills the request for the library, except the body. Valid until the light
-- thread yields.
function _M.present(into, method)
    local r = get_request()

    if not r then
        error("no request found", 3)
    end

    into.method, into.method_len = method, #method

    if peek(r, "http_authorization") then
        into.authorization, into.authorization_len = value[0], size[0]

    else
        into.authorization, into.authorization_len = nil, 0
    end

    -- Asking for its length costs a tenth of asking for its value.
    if ffi_C.ngx_http_lua_ffi_req_get_querystring_len(r) > 0 and peek(r, "args")
    then
        into.query, into.query_len = value[0], size[0]

    else
        into.query, into.query_len = nil, 0
    end

    kept = nil

    into.content_type, into.content_type_len = nil, 0
    into.body, into.body_len = nil, 0
    into.client_id, into.client_id_len = nil, 0
    into.client_secret, into.client_secret_len = nil, 0
    into.args, into.args_len = nil, 0
end


local function wants_body(gate, into, length)
    return C.credgate_gate_wants_body(gate, into, length, wants) == abi.OK
           and wants[0]
end


-- The position of a byte, or the end. (A Lua string would leave a copy in memory,
-- even after collection.)
local function find(bytes, wanted, from, to)
    for i = from, to - 1 do
        if bytes[i] == wanted then
            return i
        end
    end

    return to
end


-- Overwrites secrets in the client's query string: in `$request`, `$request_uri`
-- and `$args`, which share memory in HTTP/1; in HTTP/2 the last two do.
local function redact_after_question_mark(r, name)
    if peek(r, name) then
        local line, len = value[0], tonumber(size[0])
        local at = find(line, QUESTION_MARK, 0, len) + 1

        if at < len then
            -- In a request line the protocol follows, which counts as a part of
            -- the last value.
            C.credgate_query_redact(line + at, find(line, SPACE, at, len) - at)
        end
    end
end


-- Whether these bytes came from the client. Other bytes may be shared by all
-- requests: `set $args` makes it point into the configuration.
local function is_sent(r, bytes, len)
    return peek(r, "request_uri")
           and bytes >= value[0] and bytes + len <= value[0] + size[0]
end


-- Redacts a query that is also in `buffer`, where it is overwritten.
local function holds_a_secret(query, len)
    C.credgate_query_redact(buffer, len)

    for i = 0, len - 1 do
        if buffer[i] ~= query[i] then
            return true
        end
    end

    return false
end


local function hide_query(gate, query, len)
    need_room(len)

    if C.credgate_gate_hide_query(gate, query, len, buffer, room, size)
       ~= abi.OK
    then
        error("credgate: cannot hide the query")
    end

    local hidden

    if tonumber(size[0]) ~= len then
        hidden = ffi_str(buffer, size[0])

    elseif holds_a_secret(query, len) then
        hidden = ffi_str(query, len)

    else
        return
    end

    local r = get_request()

    ngx_req.set_uri_args(hidden)

    if kept or is_sent(r, query, len) then
        C.credgate_query_redact(ffi.cast(BYTES, query), len)
    end

    redact_after_question_mark(r, "request")
    redact_after_question_mark(r, "request_uri")
end


-- Removes credentials from the query for the upstream, and overwrites them for
-- the logs.
function _M.hide_query(gate, shown)
    if shown.query ~= nil then
        hide_query(gate, shown.query, tonumber(shown.query_len))
    end
end


-- Hides the query early, and returns the original.
local function take_query(gate, shown)
    if shown.query == nil then
        return nil, 0
    end

    local len = tonumber(shown.query_len)
    local query = ffi.new("char[?]", len)

    ffi.copy(query, shown.query, len)
    _M.hide_query(gate, shown)

    return query, len
end


-- Reads a body from nginx's file only within the size limit: reading blocks the
-- worker.
local function read_file(gate, into, path)
    local file = io.open(path, "rb")

    if not file then
        error("credgate: cannot read the body that nginx wrote to " .. path)
    end

    local length = file:seek("end")
    local body

    if wants_body(gate, into, length) then
        file:seek("set")
        body = file:read(length)
    end

    file:close()

    return body
end


-- Reads the body if it may hold credentials, and presents it to the library. May
-- yield. Returns the body and its type, which must stay alive while the library
-- reads them.
function _M.read_body(gate, into, method)
    local content_type = ngx_var.http_content_type
    local length = tonumber(ngx_var.http_content_length)

    if not content_type or length == 0 then
        return
    end

    into.content_type, into.content_type_len = content_type, #content_type

    if not wants_body(gate, into, length or -1) then
        return
    end

    -- If the client disconnects meanwhile, nginx logs the request.
    local query, query_len = take_query(gate, into)

    ngx_req.read_body()

    -- Another request may have been presented meanwhile.
    _M.present(into, method)
    kept = query
    into.query, into.query_len = query, query_len
    into.content_type, into.content_type_len = content_type, #content_type

    local body = ngx_req.get_body_data()
    local path = not body and ngx_req.get_body_file()

    if path then
        body = read_file(gate, into, path)
    end

    if body and wants_body(gate, into, #body) then
        into.body, into.body_len = body, #body
        return body, content_type
    end
end


-- Removes the credentials from the body for the upstream.
function _M.hide_body(gate, body, content_type)
    need_room(#body)

    if C.credgate_gate_hide_body(gate, content_type, #content_type, body, #body,
                                 buffer, room, size) ~= abi.OK
    then
        error("credgate: cannot hide the body")
    end

    ngx_req.set_body_data(ffi_str(buffer, size[0]))
end


-- Overwrites the presented header in place: `$http_authorization` shows it until
-- the request ends.
function _M.overwrite_authorization(shown)
    if shown.authorization ~= nil then
        ffi_fill(ffi.cast(BYTES, shown.authorization), shown.authorization_len,
                 42)
    end
end


-- Does the same after another request was presented, and forwards no header.
function _M.remove_authorization()
    if peek(get_request(), "http_authorization") then
        ffi_fill(value[0], size[0], 42)
        ngx_req.clear_header("Authorization")
    end
end


-- Other spellings that an upstream may treat as the same header.
local function clear_alike(name)
    local plain = name:gsub("_", "-")

    for sent in pairs(ngx_req.get_headers(0, true)) do
        if sent:lower():gsub("_", "-") == plain then
            ngx_req.clear_header(sent)
        end
    end
end


local function text_of(header)
    return header.value ~= nil and ffi_str(header.value, header.value_len)
end


local function is_authorization(header)
    return header.name_len == 13 and ffi_str(header.name, 13) == "authorization"
end


local function set_header(header, variable)
    local text = text_of(header)

    if variable and is_authorization(header) then
        ngx_var[variable] = text or ""
        return
    end

    local name = ffi_str(header.name, header.name_len)

    if name:find("[-_]") then
        clear_alike(name)

    elseif not text then
        ngx_req.clear_header(name)
    end

    if text then
        ngx_req.set_header(name, text)
    end
end


local function set_all(outcome, variable)
    local first = 0

    repeat
        if C.credgate_outcome_headers(outcome, first, headers, HEADERS_AT_ONCE,
                                      HEADER_SIZE, count) ~= abi.OK
        then
            error("credgate: the outcome has no headers")
        end

        local n = tonumber(count[0])

        for i = 0, n - 1 do
            set_header(headers[i], variable)
        end

        first = first + n
    until n == 0
end


-- Applies the outcome's headers to the request. The token goes to an nginx
-- variable if one is named.
function _M.set_headers(outcome, variable)
    -- The common case, without a loop, which would end the trace.
    if outcome.authorization_only ~= 0 and variable then
        ngx_var[variable] = ffi_str(outcome.authorization,
                                    outcome.authorization_len)

    else
        set_all(outcome, variable)
    end
end


return _M
