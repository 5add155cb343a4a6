-- The counters of the worker's engine, and those of its clients.

local library = require "resty.credgate.library"
local process = require "resty.credgate.process"
local ffi = require "ffi"


local C = library.C
local abi = library.abi
local message = library.message

local TEXT_CAPACITY = 65536

local CLIENTS = ffi.typeof("credgate_client[?]")
local CLIENT_SIZE = ffi.sizeof("credgate_client")

local counters = ffi.new("uint64_t[?]", abi.COUNTERS)
local len = ffi.new("size_t[1]")


local _M = {}


-- Returns the counters, an array of abi.COUNTERS numbers, or nil and the error.
function _M.counters()
    local engine, err = process.engine()

    if not engine then
        return nil, err
    end

    process.write_log()

    local status = C.credgate_engine_counters(engine, counters, abi.COUNTERS)

    if status ~= abi.OK then
        return nil, message(status)
    end

    return counters
end


-- Returns the counters as text, written by a function of the library, or nil and
-- the error.
function _M.as_text(write)
    local all, err = _M.counters()

    if not all then
        return nil, err
    end

    local out = ffi.new("char[?]", TEXT_CAPACITY)
    local status = write(all, abi.COUNTERS, out, TEXT_CAPACITY, len)

    if status ~= abi.OK then
        return nil, message(status)
    end

    return ffi.string(out, len[0])
end


-- Returns an array of the clients with counters, and their number, which is 0
-- without metrics_clients; or nil and the error.
function _M.clients()
    local engine, err = process.engine()

    if not engine then
        return nil, err
    end

    local capacity = 16
    local clients, status

    repeat
        capacity = capacity * 4
        clients = CLIENTS(capacity)
        status = C.credgate_engine_clients(engine, 0, clients, capacity,
                                           CLIENT_SIZE, len)

        if status ~= abi.OK then
            return nil, message(status)
        end
    until len[0] < capacity

    return clients, tonumber(len[0])
end


-- Returns the counters of clients as text, or nil and the error.
function _M.clients_as_text()
    local clients, n = _M.clients()

    if not clients then
        return nil, n
    end

    if n == 0 then
        return ""
    end

    C.credgate_clients_text(clients, n, CLIENT_SIZE, nil, 0, len)

    local capacity = len[0]
    local out = ffi.new("char[?]", capacity)
    local status = C.credgate_clients_text(clients, n, CLIENT_SIZE, out,
                                           capacity, len)

    if status ~= abi.OK then
        return nil, message(status)
    end

    return ffi.string(out, len[0])
end


return _M
