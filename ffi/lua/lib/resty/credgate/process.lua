-- The engine of the worker, and its queues. Both are created on first use, so
-- that nginx's master process has neither.

local library = require "resty.credgate.library"
local ffi = require "ffi"


local C = library.C
local abi = library.abi
local message = library.message
local log = library.log
local error_out = library.error_out

local ENGINE = ffi.typeof("credgate_engine *[1]")
local QUEUE = ffi.typeof("credgate_queue *[1]")

-- Longer records are cut.
local LINE_CAPACITY = 512

-- The number of records that the status page shows.
local MAX_RECORDS = 24

local LEVELS = {
    [abi.LEVEL_NOTICE] = ngx.NOTICE,
    [abi.LEVEL_WARNING] = ngx.WARN,
    [abi.LEVEL_ERROR] = ngx.ERR,
}

local level = ffi.new("uint32_t[1]")
local line = ffi.new("char[?]", LINE_CAPACITY)
local len = ffi.new("size_t[1]")

local options
local engine

-- The latest records, the oldest first: tables with time, level and text.
local latest = {}


local _M = {}


-- Checks the options of the engine, in JSON, and keeps them for its creation.
function _M.configure(json)
    if engine then
        local err = "the engine of this worker is already running"
        return nil, err, { { message = err } }
    end

    local status = C.credgate_engine_check(json, #json, error_out)

    if status ~= abi.OK then
        return nil, message(status)
    end

    options = json
    return true
end


-- Returns the engine, or nil and the error.
function _M.engine()
    if engine then
        return engine
    end

    -- Workers would inherit the master's engine, but not its thread.
    if ngx.get_phase() == "init" then
        return nil, "tokens are available in a worker only, not in init_by_lua"
    end

    local out = ENGINE()
    local status = C.credgate_engine_new(options, options and #options or 0,
                                         out, error_out)

    if status ~= abi.OK then
        return nil, message(status)
    end

    engine = ffi.gc(out[0], C.credgate_engine_free)
    return engine
end


-- Returns a new queue of the engine, or nil and the error.
function _M.new_queue()
    local current, err = _M.engine()

    if not current then
        return nil, err
    end

    local out = QUEUE()
    local status = C.credgate_queue_new(current, out, error_out)

    if status ~= abi.OK then
        return nil, message(status)
    end

    return ffi.gc(out[0], C.credgate_queue_free)
end


function _M.free_queue(queue)
    C.credgate_queue_free(ffi.gc(queue, nil))
end


-- Purges the tokens and cached refusals of a gate (nil: of all gates), of a client
-- (nil: of all clients). Returns true, or nil and the error. Raises errors at the
-- caller of its caller.
function _M.purge(gate, client_id)
    if client_id ~= nil and type(client_id) ~= "string" then
        error("credgate: client_id must be a string", 3)
    end

    local current, err = _M.engine()

    if not current then
        return nil, err
    end

    local status = C.credgate_engine_purge(current, gate, client_id,
                                           client_id and #client_id or 0)

    if status ~= abi.OK then
        return nil, message(status)
    end

    return true
end


function _M.close()
    if engine then
        C.credgate_engine_free(ffi.gc(engine, nil))
        engine = nil
    end
end


-- Writes the library's log records to nginx's log.
function _M.write_log()
    while engine and C.credgate_engine_record(engine, level, line, LINE_CAPACITY,
                                              len) == abi.OK
    do
        local text = ffi.string(line, len[0])

        log(LEVELS[level[0]] or ngx.ERR, text)

        if #latest == MAX_RECORDS then
            table.remove(latest, 1)
        end

        latest[#latest + 1] = { time = ngx.time(), level = level[0], text = text }
    end
end


-- Returns the latest records that were written, the oldest first.
function _M.latest_records()
    return latest
end


return _M
