-- An attempt to authenticate: the library's call, and the wait for its outcome.

local library = require "resty.credgate.library"
local process = require "resty.credgate.process"
local waiting = require "resty.credgate.waiting"
local ffi = require "ffi"


local C = library.C
local abi = library.abi
local message = library.message
local OK = abi.OK
local PENDING = abi.PENDING
local EMPTY = abi.EMPTY
local authenticate_at_once = C.credgate_authenticate_at_once

-- The struct of all requests of this VM: a cache hit allocates none. Compiled
-- code has a pointer to it as a constant, but loads and checks a struct.
local struct = ffi.new("credgate_request")
local request = ffi.cast("credgate_request *", struct)
local ticket = ffi.new("uint64_t[1]")

request.struct_size = ffi.sizeof(struct)
request.arg_size = ffi.sizeof("credgate_string")

local queue
local last_id = 0


local _M = {
    request = request,
    -- The pointer does not keep it alive.
    struct = struct,
}


-- Authenticates the request in a queue of its own, because this Lua VM has no
-- reader.
local function authenticate_in_own_queue(self, outcome)
    local own_queue, err = process.new_queue()

    if not own_queue then
        return nil, err
    end

    local status = C.credgate_authenticate(self.handle, own_queue, request, nil,
                                           outcome, ticket)

    if status == PENDING then
        return PENDING, own_queue
    end

    process.free_queue(own_queue)

    return status
end


-- Authenticates the request. Returns the library's status, and the request's
-- own queue if it has one; or nil and the error if there is no engine. Fills
-- `outcome` if the status is OK. `fill_peer` is called if an exchange is needed.
-- The library does not read the request's strings afterwards.
function _M.authenticate(self, outcome, fill_peer)
    if not queue then
        local err
        queue, err = waiting.queue()

        if not queue then
            return nil, err
        end
    end

    local status = authenticate_at_once(self.handle, queue, request, outcome)

    if status ~= EMPTY then
        return status
    end

    if fill_peer then
        fill_peer(request)
    end

    last_id = last_id + 1

    status = C.credgate_authenticate(self.handle, queue, request,
                                     ffi.cast("void *", last_id), outcome,
                                     ticket)

    if status == PENDING and waiting.needs_own_queue() then
        C.credgate_ticket_cancel(queue, ticket[0])
        return authenticate_in_own_queue(self, outcome)
    end

    return status
end


-- Takes the results of `authenticate`, without a yield in between. Returns
-- `outcome` if it is filled, or waits for another one. Otherwise returns nil,
-- the error, and the code of its cause if the error does not imply it.
function _M.await(self, outcome, status, own_queue)
    if status == OK then
        return outcome
    end

    if not status then
        local err = own_queue
        return nil, err, abi.ENGINE_UNAVAILABLE
    end

    if status ~= PENDING then
        return nil, message(status)
    end

    if not own_queue then
        return waiting.wait(last_id, ticket[0], self.timeout)
    end

    local err
    outcome, err = waiting.wait_in_own_queue(own_queue, self.timeout)

    process.free_queue(own_queue)

    return outcome, err
end


-- Closes the engine and ends all waits.
function _M.close()
    queue = nil
    waiting.close()
end


return _M
