-- The engine of a worker, and the queue of this Lua VM. Both are created on first
-- use, so an nginx master has neither.

local library = require "resty.credgate.library"
local ffi = require "ffi"


local C = library.C
local abi = library.abi
local message = library.message
local err = library.err

local ENGINE = ffi.typeof("credgate_engine *[1]")
local QUEUE = ffi.typeof("credgate_queue *[1]")

local options
local engine


local _M = {}


-- The options of the next engine, as JSON.
function _M.configure(json)
    if engine then
        return nil, "the engine of this worker runs already"
    end

    local status = C.credgate_engine_check(json, #json, err)

    if status ~= abi.OK then
        return nil, message(status)
    end

    options = json
    return true
end


function _M.engine()
    if engine then
        return engine
    end

    -- Workers would inherit the engine of the master, but not its thread.
    if ngx.get_phase() == "init" then
        return nil, "no token can be had in init_by_lua, but in a worker only"
    end

    local out = ENGINE()
    local status = C.credgate_engine_new(options, options and #options or 0,
                                         out, err)

    if status ~= abi.OK then
        return nil, message(status)
    end

    engine = ffi.gc(out[0], C.credgate_engine_free)
    return engine
end


function _M.queue()
    local made, problem = _M.engine()

    if not made then
        return nil, problem
    end

    local out = QUEUE()
    local status = C.credgate_queue_new(made, out, err)

    if status ~= abi.OK then
        return nil, message(status)
    end

    return ffi.gc(out[0], C.credgate_queue_free)
end


function _M.free_queue(queue)
    C.credgate_queue_free(ffi.gc(queue, nil))
end


function _M.close()
    if engine then
        C.credgate_engine_free(ffi.gc(engine, nil))
        engine = nil
    end
end


local level = ffi.new("uint32_t[1]")
local line = ffi.new("char[512]")
local len = ffi.new("size_t[1]")
local LEVELS = {
    [abi.LEVEL_NOTICE] = ngx.NOTICE,
    [abi.LEVEL_WARNING] = ngx.WARN,
    [abi.LEVEL_ERROR] = ngx.ERR,
}


-- Writes the library's records to nginx's log.
function _M.log()
    while engine and C.credgate_engine_record(engine, level, line, 512, len)
                     == abi.OK
    do
        ngx.log(LEVELS[level[0]] or ngx.ERR, "credgate: ",
                ffi.string(line, len[0]))
    end
end


return _M
