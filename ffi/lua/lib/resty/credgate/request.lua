-- The request that nginx is at: what the library is shown of it, and what is
-- changed in it. What nginx holds is read where it lies, without a copy.

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

-- The query that is shown, where it is a copy of ours.
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


-- A variable's own bytes go to `value` and `size`; false where it is empty or not
-- there. (A pointer that is answered would be an object for each call.)
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


-- Fills what the library is shown, but for a body. It is good until the light
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

    -- To ask how long it is costs a tenth of asking for it.
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


-- Where a byte is, or where the bytes end. (A Lua string would keep a copy of them
-- until it is collected, and in memory after that.)
local function find(bytes, wanted, from, to)
    for i = from, to - 1 do
        if bytes[i] == wanted then
            return i
        end
    end

    return to
end


-- Overwrites secrets of a query string as the client sent it: in `$request`,
-- `$request_uri` and `$args`, which share memory in HTTP/1; in HTTP/2 the last two
-- do.
local function redact_after_question_mark(r, name)
    if peek(r, name) then
        local line, len = value[0], tonumber(size[0])
        local at = find(line, QUESTION_MARK, 0, len) + 1

        if at < len then
            -- What follows in a request line is the protocol, which goes for a
            -- part of the last value.
            C.credgate_query_redact(line + at, find(line, SPACE, at, len) - at)
        end
    end
end


-- Whether nginx has these bytes from the client. What it has from elsewhere may be
-- there for all requests: `set $args` makes it point into the configuration.
local function is_sent(r, bytes, len)
    return peek(r, "request_uri")
           and bytes >= value[0] and bytes + len <= value[0] + size[0]
end


-- Of a query that is in `buffer` as well, which it is overwritten in.
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


-- Takes credentials out of the query that was shown on its way upstream, and
-- overwrites them for the logs.
function _M.hide_query(gate, shown)
    if shown.query ~= nil then
        hide_query(gate, shown.query, tonumber(shown.query_len))
    end
end


-- Hides the query before its turn, and answers what it was.
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


-- What nginx has written to a file is read only where it is no longer than what is
-- looked at: nobody is served until it is read.
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


-- Reads the body where it may hold credentials, and shows it to the library. May
-- yield. Answers the body and its type, for as long as the library looks at them.
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

    -- Where its client leaves in the meantime, it is logged.
    local query, query_len = take_query(gate, into)

    ngx_req.read_body()

    -- What was shown is somebody else's by now.
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


-- The body goes upstream without its credentials.
function _M.hide_body(gate, body, content_type)
    need_room(#body)

    if C.credgate_gate_hide_body(gate, content_type, #content_type, body, #body,
                                 buffer, room, size) ~= abi.OK
    then
        error("credgate: cannot hide the body")
    end

    ngx_req.set_body_data(ffi_str(buffer, size[0]))
end


-- Overwrites the header that was shown, as the client sent it:
-- `$http_authorization` shows it until the request is over.
function _M.overwrite_authorization(shown)
    if shown.authorization ~= nil then
        ffi_fill(ffi.cast(BYTES, shown.authorization), shown.authorization_len,
                 42)
    end
end


-- The same when what was shown is somebody else's by now, and nobody gets it.
function _M.remove_authorization()
    if peek(get_request(), "http_authorization") then
        ffi_fill(value[0], size[0], 42)
        ngx_req.clear_header("Authorization")
    end
end


-- Other spellings under which an upstream may take a header for this one.
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


-- Sets what the outcome says of the request's headers. The token goes to an nginx
-- variable where one is named.
function _M.set_headers(outcome, variable)
    -- The usual case, without a loop, at which a trace would end.
    if outcome.authorization_only ~= 0 and variable then
        ngx_var[variable] = ffi_str(outcome.authorization,
                                    outcome.authorization_len)

    else
        set_all(outcome, variable)
    end
end


return _M
