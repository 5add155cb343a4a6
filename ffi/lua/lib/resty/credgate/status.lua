-- The status page of a worker: HTML for browsers, and the report for programs.

local library = require "resty.credgate.library"
local process = require "resty.credgate.process"
local numbers = require "resty.credgate.numbers"
local ffi = require "ffi"


local C = library.C
local abi = library.abi
local message = library.message

local PAGE = ffi.typeof("credgate_page")
local STRING = ffi.typeof("credgate_string[1]")
local RECORDS = ffi.typeof("credgate_record[?]")

local PROVIDERS_CAPACITY = 65536

local text = ffi.new("const char *[1]")
local len = ffi.new("size_t[1]")
local preferred = ffi.new("bool[1]")

-- The arrays that a page points to: the page alone does not keep them.
local anchored


local _M = {}


-- Returns whether the client of the current request prefers the page.
local function is_page_preferred()
    local accept = ngx.req.get_headers()["accept"] or ""

    if type(accept) == "table" then
        accept = table.concat(accept, ",")
    end

    C.credgate_page_is_preferred(accept, #accept, preferred)

    return preferred[0]
end


-- Returns an array of the latest records, and their number.
local function latest_records()
    local latest = process.latest_records()
    local records = RECORDS(#latest)

    for i, record in ipairs(latest) do
        local one = records[i - 1]

        one.time = record.time
        one.level = record.level
        one.text = record.text
        one.text_len = #record.text
    end

    return records, #latest
end


-- Returns the page, or nil and the error.
local function render()
    local engine, err = process.engine()

    if not engine then
        return nil, err
    end

    local counters
    counters, err = numbers.counters()

    if not counters then
        return nil, err
    end

    local clients, clients_len = numbers.clients()

    if not clients then
        return nil, clients_len
    end

    local providers = ffi.new("char[?]", PROVIDERS_CAPACITY)
    local status = C.credgate_engine_providers(engine, providers,
                                               PROVIDERS_CAPACITY, len)

    if status ~= abi.OK then
        return nil, message(status)
    end

    local states = STRING()
    states[0].data = providers
    states[0].len = len[0]

    local records, records_len = latest_records()
    local page = PAGE()

    page.struct_size = ffi.sizeof(PAGE)
    page.processes = 1
    page.counters = counters
    page.counters_len = abi.COUNTERS
    page.clients = clients
    page.clients_len = clients_len
    page.client_size = ffi.sizeof("credgate_client")
    page.providers = states
    page.providers_len = 1
    page.string_size = ffi.sizeof("credgate_string")
    page.records = records
    page.records_len = records_len
    page.record_size = ffi.sizeof("credgate_record")

    anchored = { clients, providers, states, records }

    C.credgate_page_html(page, nil, 0, len)

    local capacity = len[0]
    local out = ffi.new("char[?]", capacity)

    status = C.credgate_page_html(page, out, capacity, len)

    anchored = nil

    if status ~= abi.OK then
        return nil, message(status)
    end

    return ffi.string(out, len[0])
end


-- Adds the headers that protect the page: it has no script, needs no other file,
-- and belongs in no frame.
local function protect()
    C.credgate_page_policy(text, len)

    ngx.header["Content-Security-Policy"] = ffi.string(text[0], len[0])
    ngx.header["X-Content-Type-Options"] = "nosniff"
    ngx.header["X-Frame-Options"] = "DENY"
    ngx.header["Referrer-Policy"] = "no-referrer"
end


-- Responds to the current request. Returns true, or nil and the error.
function _M.send()
    local is_page = is_page_preferred()
    local body, err

    if is_page then
        body, err = render()

    else
        body, err = numbers.as_text(C.credgate_counters_report)
    end

    if not body then
        return nil, err
    end

    if is_page then
        protect()
    end

    ngx.header["Vary"] = "Accept"
    ngx.header["Cache-Control"] = "no-store"
    ngx.header["Content-Type"] = is_page and "text/html; charset=utf-8"
                                 or "application/json; charset=utf-8"
    ngx.header["Content-Length"] = #body
    ngx.print(body)

    return true
end


return _M
