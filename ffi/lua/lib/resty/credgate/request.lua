-- The current request of nginx: fills the library's struct from it, hides its
-- credentials, and sets its headers. Reads nginx's bytes in place, without a
-- copy.

local library = require "resty.credgate.library"
local credential_headers = require "resty.credgate.headers"
local base = require "resty.core.base"
local ffi = require "ffi"

require "resty.core.request"
require "resty.core.var"


local C = library.C
local abi = library.abi
local OK = abi.OK
local get_request = base.get_request
local ffi_C = ffi.C
local ffi_cast = ffi.cast
local ffi_fill = ffi.fill
local ffi_str = ffi.string
local ngx_req = ngx.req
local ngx_var = ngx.var

-- As locals, these are constants of compiled code.
local get_variable = ffi_C.ngx_http_lua_ffi_var_get
local set_variable = ffi_C.ngx_http_lua_ffi_var_set
local set_request_header = ffi_C.ngx_http_lua_ffi_req_set_header
local get_querystring_len = ffi_C.ngx_http_lua_ffi_req_get_querystring_len
local get_headers_count = ffi_C.ngx_http_lua_ffi_req_get_headers_count
local get_headers = ffi_C.ngx_http_lua_ffi_req_get_headers
local find_header = C.credgate_header_find

-- The results of `read_variable`.
local value = ffi.new("char *[1]")
local value_len = ffi.new("size_t[1]")

local NAME_CAPACITY = 64
local ERROR_CAPACITY = 256

local lowcase = ffi.new("char[?]", NAME_CAPACITY)
local error_text = ffi.new("char *[1]")
local error_buffer = ffi.new("unsigned char[?]", ERROR_CAPACITY)
local error_len = ffi.new("size_t[1]")
local wants = ffi.new("bool[1]")
local out_len = ffi.new("size_t[1]")

-- The headers that the client sent.
local SENT_CAPACITY = 64
local SENT_SIZE = ffi.sizeof("ngx_http_lua_ffi_table_elt_t")
local sent_headers = ffi.new("ngx_http_lua_ffi_table_elt_t[?]", SENT_CAPACITY)
local sent = ffi_cast("ngx_http_lua_ffi_table_elt_t *", sent_headers)
local sent_names = ffi_cast("credgate_header_name *", sent_headers)
local position = ffi.new("size_t[1]")
local truncated = ffi.new("int[1]")

-- The query of the struct, if it is a copy of our own.
local query_copy

local capacity = 4096
local buffer = ffi.new("char[?]", capacity)

local BYTES = ffi.typeof("char *")
local QUESTION_MARK, SPACE, ASTERISK = ("? *"):byte(1, 3)

local HEADERS_AT_ONCE = 8
local HEADER_SIZE = ffi.sizeof("credgate_header")
local headers = ffi.new("credgate_header[?]", HEADERS_AT_ONCE)
local count = ffi.new("size_t[1]")


local _M = {
    -- The pointers do not keep them alive.
    sent_headers = sent_headers,
}


-- Points `value` and `value_len` to the bytes of a variable. Returns false if
-- it is empty or absent. (Returning a pointer would allocate an object for each
-- call.)
local function read_variable(r, name)
    return get_variable(r, name, #name, lowcase, 0, value, value_len,
                        error_text) == 0
           and value_len[0] > 0
end


-- The same for the client's Authorization header. The library finds it among the
-- headers with 900 instructions less than nginx finds the variable, whose name it
-- hashes and compares to prefixes.
local function read_authorization(r)
    local n = get_headers_count(r, 0, truncated)

    if n > 0 and n <= SENT_CAPACITY
       and get_headers(r, sent, n, 0) == 0
       and find_header(sent_names, n, SENT_SIZE, "authorization", 13, position)
           == OK
    then
        local header = sent[position[0]].value

        value[0], value_len[0] = ffi_cast(BYTES, header.data), header.len
        return header.len > 0
    end

    -- None, several, or too many headers.
    return read_variable(r, "http_authorization")
end


local function reserve(len)
    if len > capacity then
        capacity = len
        buffer = ffi.new("char[?]", capacity)
    end
end


-- Fills the library's struct, except the body. Valid until the light thread
-- yields.
function _M.fill(request, method)
    local r = get_request()

    if not r then
        error("no request found", 3)
    end

    request.method, request.method_len = method, #method

    if read_authorization(r) then
        request.authorization = value[0]
        request.authorization_len = value_len[0]

    else
        request.authorization, request.authorization_len = nil, 0
    end

    -- The call for the length costs a tenth of the call for the value.
    if get_querystring_len(r) > 0
       and read_variable(r, "args")
    then
        request.query, request.query_len = value[0], value_len[0]

    else
        request.query, request.query_len = nil, 0
    end

    query_copy = nil

    request.content_type, request.content_type_len = nil, 0
    request.body, request.body_len = nil, 0
    request.client_id, request.client_id_len = nil, 0
    request.client_secret, request.client_secret_len = nil, 0
    request.args, request.args_len = nil, 0
    request.peer, request.peer_len = nil, 0
end


-- Fills the address of the client, which only an exchange needs.
function _M.fill_peer(request)
    local r = get_request()

    if r and read_variable(r, "remote_addr") then
        request.peer, request.peer_len = value[0], value_len[0]

    else
        request.peer, request.peer_len = nil, 0
    end
end


-- Fills the header for a gate that forwards it. Other gates ignore it, so that
-- `fill` need not clear it. Several headers are no valid value, and the variable
-- may have the first of them.
function _M.fill_traceparent(request)
    if read_variable(get_request(), "http_traceparent")
       and type(ngx_req.get_headers(0).traceparent) == "string"
    then
        request.traceparent, request.traceparent_len = value[0], value_len[0]

    else
        request.traceparent, request.traceparent_len = nil, 0
    end
end


local function wants_body(gate, request, length)
    return C.credgate_gate_wants_body(gate, request, length, wants) == abi.OK
           and wants[0]
end


-- Returns the position of a byte, or `to`. (string.find needs a Lua string,
-- which would stay in memory, even after its collection.)
local function find(bytes, byte, from, to)
    for i = from, to - 1 do
        if bytes[i] == byte then
            return i
        end
    end

    return to
end


-- Overwrites secrets in the query of `$request` or `$request_uri`. Both share
-- memory with `$args` in HTTP/1; in HTTP/2 only the latter does.
local function redact_query_of(r, name)
    if read_variable(r, name) then
        local line, len = value[0], tonumber(value_len[0])
        local query = find(line, QUESTION_MARK, 0, len) + 1

        if query < len then
            -- Without the " HTTP/1.1" of a request line, which would count as a
            -- part of the last value.
            C.credgate_query_redact(line + query,
                                    find(line, SPACE, query, len) - query)
        end
    end
end


-- Whether the client sent these bytes. Other bytes may be shared by all
-- requests: after `set $args`, they are a part of the configuration.
local function is_from_client(r, bytes, len)
    return read_variable(r, "request_uri")
           and bytes >= value[0] and bytes + len <= value[0] + value_len[0]
end


local function contains_secret(query, len)
    return C.credgate_text_contains_secret(query, len, wants) ~= abi.OK
           or wants[0]
end


-- The path as the client sent it, with the query for the upstream: nginx has no
-- function that changes the query and leaves the path.
local function uri_without_credentials(gate, r)
    read_variable(r, "request_uri")

    local uri, len = value[0], tonumber(value_len[0])
    local path = find(uri, QUESTION_MARK, 0, len)
    local query = path + 1

    if query >= len then
        return ffi_str(uri, path)
    end

    reserve(len)

    if C.credgate_gate_hide_query(gate, uri + query, len - query, buffer,
                                  capacity, out_len) ~= abi.OK
    then
        error("credgate: cannot remove the credentials from the query")
    end

    local left = ffi_str(buffer, out_len[0])

    return ffi_str(uri, path) .. (left ~= "" and "?" .. left or "")
end


local function hide_query(gate, query, len, uri_variable)
    reserve(len)

    if C.credgate_gate_hide_query(gate, query, len, buffer, capacity, out_len)
       ~= abi.OK
    then
        error("credgate: cannot remove the credentials from the query")
    end

    local forwarded

    if tonumber(out_len[0]) ~= len then
        forwarded = ffi_str(buffer, out_len[0])

    elseif contains_secret(query, len) then
        -- The gate forwards it, but the logs must not contain it.
        forwarded = ffi_str(query, len)

    else
        return
    end

    local r = get_request()

    if uri_variable then
        ngx_var[uri_variable] = uri_without_credentials(gate, r)
    end

    ngx_req.set_uri_args(forwarded)

    if query_copy or is_from_client(r, query, len) then
        C.credgate_query_redact(ffi.cast(BYTES, query), len)
    end

    redact_query_of(r, "request")
    redact_query_of(r, "request_uri")
end


-- Removes credentials from the query for the upstream, and overwrites secrets
-- for the logs. With a variable, puts the URI without credentials into it.
function _M.hide_query(gate, request, uri_variable)
    if request.query ~= nil then
        hide_query(gate, request.query, tonumber(request.query_len),
                   uri_variable)
    end
end


-- Overwrites secrets in the request line and the query of the current request,
-- which no gate may have searched. Other phases must not need them any more.
function _M.redact()
    local r = get_request()

    redact_query_of(r, "request")

    if read_variable(r, "args") then
        local query, len = value[0], value_len[0]

        if is_from_client(r, query, len) then
            C.credgate_query_redact(query, len)
        end
    end

    redact_query_of(r, "request_uri")
end


-- Hides the query, and returns a copy of the original and its length.
local function take_query(gate, request, uri_variable)
    if request.query == nil then
        return nil, 0
    end

    local len = tonumber(request.query_len)
    local query = ffi.new("char[?]", len)

    ffi.copy(query, request.query, len)
    _M.hide_query(gate, request, uri_variable)

    return query, len
end


-- Reads a body from nginx's temporary file if it is short enough: reading
-- blocks the worker.
local function read_file(gate, request, path)
    local file = io.open(path, "rb")

    if not file then
        error("credgate: cannot read the request body from " .. path)
    end

    local length = file:seek("end")
    local body

    if wants_body(gate, request, length) then
        file:seek("set")
        body = file:read(length)
    end

    file:close()

    return body
end


-- Reads the body into the struct if it may contain credentials. May yield.
-- Returns the body and its type; the caller keeps them alive while the library
-- reads them.
function _M.read_body(gate, request, method, uri_variable)
    local content_type = ngx_var.http_content_type
    local length = tonumber(ngx_var.http_content_length)

    if not content_type or length == 0 then
        return
    end

    request.content_type, request.content_type_len = content_type, #content_type

    if not wants_body(gate, request, length or -1) then
        return
    end

    -- If the client disconnects meanwhile, nginx logs the request.
    local query, query_len = take_query(gate, request, uri_variable)

    credential_headers.empty(request)
    ngx_req.read_body()

    -- Meanwhile another request may have filled the struct.
    _M.fill(request, method)
    query_copy = query
    request.query, request.query_len = query, query_len
    request.content_type, request.content_type_len = content_type, #content_type

    local body = ngx_req.get_body_data()
    local path = not body and ngx_req.get_body_file()

    if path then
        body = read_file(gate, request, path)
    end

    if body and wants_body(gate, request, #body) then
        request.body, request.body_len = body, #body
        return body, content_type
    end
end


-- Removes the credentials from the body for the upstream.
function _M.hide_body(gate, body, content_type)
    reserve(#body)

    if C.credgate_gate_hide_body(gate, content_type, #content_type, body, #body,
                                 buffer, capacity, out_len) ~= abi.OK
    then
        error("credgate: cannot remove the credentials from the body")
    end

    ngx_req.set_body_data(ffi_str(buffer, out_len[0]))
end


-- Overwrites the header in place: otherwise `$http_authorization` shows it
-- until the request ends.
function _M.overwrite_authorization(request)
    if request.authorization ~= nil then
        ffi_fill(ffi_cast(BYTES, request.authorization),
                 request.authorization_len, ASTERISK)
    end
end


-- Overwrites the header in place, also when the struct belongs to another
-- request, and removes it for the upstream.
function _M.remove_authorization()
    if read_authorization(get_request()) then
        ffi_fill(value[0], value_len[0], ASTERISK)
        ngx_req.clear_header("Authorization")
    end
end


-- Removes all spellings that an upstream may treat as the same header.
local function clear_spellings(name)
    local plain = name:gsub("_", "-")

    for sent in pairs(ngx_req.get_headers(0, true)) do
        if sent:lower():gsub("_", "-") == plain then
            ngx_req.clear_header(sent)
        end
    end
end


local function is_authorization(header)
    return header.name_len == 13 and ffi_str(header.name, 13) == "authorization"
end


-- Removes the client's headers of a name, in any spelling.
function _M.clear_header(name)
    if name:find("[-_]") then
        clear_spellings(name)

    else
        ngx_req.clear_header(name)
    end
end


local function set_header(header, variable)
    local text = header.value ~= nil and ffi_str(header.value, header.value_len)

    if variable and is_authorization(header) then
        ngx_var[variable] = text or ""
        return
    end

    local name = ffi_str(header.name, header.name_len)

    -- Without another spelling, setting it replaces it.
    if not text or name:find("[-_]") then
        _M.clear_header(name)
    end

    if text then
        ngx_req.set_header(name, text)
    end
end


local function set_all_headers(outcome, variable)
    local first = 0

    repeat
        if C.credgate_outcome_headers(outcome, first, headers, HEADERS_AT_ONCE,
                                      HEADER_SIZE, count) ~= abi.OK
        then
            error("credgate: cannot read the headers for the upstream")
        end

        local n = tonumber(count[0])

        for i = 0, n - 1 do
            set_header(headers[i], variable)
        end

        first = first + n
    until n == 0
end


-- Puts the token into the variable, or into the header without one. nginx copies
-- the library's bytes: as a Lua string, the token would stay in memory, and cost
-- 200 instructions more. Returns false if nginx refuses that.
local function set_authorization(outcome, variable)
    local token, len = outcome.authorization, outcome.authorization_len
    local r = get_request()

    if not variable then
        return set_request_header(r, "authorization", 13, token, len, nil, 0, 1,
                                  error_text) == 0
    end

    error_len[0] = ERROR_CAPACITY

    return #variable <= NAME_CAPACITY
           and set_variable(r, variable, #variable, lowcase, token, len,
                            error_buffer, error_len) == 0
end


-- Sets the outcome's headers for the upstream. With a variable, the token goes
-- into it instead of the Authorization header.
function _M.set_headers(outcome, variable)
    -- The common case needs no loop, which would end the trace.
    if outcome.authorization_only == 0
       or not set_authorization(outcome, variable)
    then
        -- Raises the error if nginx refuses a header or the variable.
        set_all_headers(outcome, variable)
    end
end


return _M
