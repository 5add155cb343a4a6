-- Waits for outcomes without blocking the worker.
--
-- LuaJIT must not be called from another thread, and nginx watches only
-- connections that Lua made. So one light thread per worker, in a timer, connects
-- to the library's doorbell and reads it; it hands arrived outcomes to the
-- waiting requests, each of which has a semaphore. When the worker quits, nginx
-- runs pending timers at once: a timer that is due in weeks tells the light
-- thread to end, for which the worker would wait otherwise.
--
-- With lua_code_cache off every request has a Lua VM of its own without a reader,
-- so each waits at a doorbell of its own.

local library = require "resty.credgate.library"
local process = require "resty.credgate.process"
local semaphore = require "ngx.semaphore"
local ffi = require "ffi"


local C = library.C
local abi = library.abi
local message = library.message
local err = library.err

-- The seconds by which the library may exceed its deadline.
local GRACE = 2
local CONNECTING = 1000
local LONGEST = 2 ^ 31 - 1
local FAR = 20 * 86400
local FIRST_DELAY, LAST_DELAY = 0.1, 5

local OUTCOME = ffi.typeof("credgate_outcome")

local completion = ffi.new("credgate_completion")
local arrived = OUTCOME()
local path = ffi.new("char[108]")
local len = ffi.new("size_t[1]")

completion.struct_size = ffi.sizeof(completion)
arrived.struct_size = ffi.sizeof(OUTCOME)
completion.outcome = arrived

local queue
local is_alone
local waiters, waiting = {}, 0
local running, asked, delay = false, nil, FIRST_DELAY
local watching, exiting = false, false


local _M = {}


-- The outcome that has just arrived.
local function take()
    local outcome = OUTCOME()

    ffi.copy(outcome, arrived, ffi.sizeof(OUTCOME))

    return ffi.gc(outcome, C.credgate_outcome_release)
end


local function number(user_data)
    return tonumber(ffi.cast("uintptr_t", user_data))
end


-- A request that left is no longer in the table; one that was killed during its
-- wait is removed here.
local function drain()
    while queue and C.credgate_queue_next(queue, completion) == abi.OK do
        local id = number(completion.user_data)
        local waiter = waiters[id]

        if waiter then
            waiters[id] = nil
            waiting = waiting - 1
            waiter.outcome = take()
            waiter.semaphore:post(1)

        else
            C.credgate_outcome_release(arrived)
        end
    end

    process.log()
end


local function connect(to, timeout)
    local status = C.credgate_queue_listen(to, path, 108, len, err)

    if status ~= abi.OK then
        return nil, message(status)
    end

    local sock = ngx.socket.tcp()

    sock:settimeouts(CONNECTING, CONNECTING, timeout)

    local connected, problem = sock:connect("unix:" .. ffi.string(path, len[0]))

    if not connected then
        return nil, problem
    end

    status = C.credgate_queue_accept(to, err)

    if status ~= abi.OK then
        sock:close()
        return nil, message(status)
    end

    return sock
end


local function listen()
    local sock, problem = connect(queue, LONGEST)

    if not sock then
        error(problem, 0)
    end

    delay = FIRST_DELAY
    drain()

    while true do
        local rung, closed = sock:receiveany(64)

        drain()

        if not rung and closed ~= "timeout" then
            return
        end

        if exiting and waiting == 0 then
            sock:close()
            return
        end
    end
end


local function leave_if_idle()
    if exiting and waiting == 0 and queue then
        C.credgate_queue_hang_up(queue)
    end
end


local function sentinel(premature)
    if premature then
        exiting = true
        leave_if_idle()
        return
    end

    ngx.timer.at(FAR, sentinel)
end


local reader

local function start(after)
    asked = ngx.now()
    return ngx.timer.at(exiting and 0 or after, reader)
end


reader = function(premature)
    exiting = exiting or premature

    if running then
        return
    end

    running, asked = true, nil

    local ended, problem = pcall(listen)

    running = false

    if waiting == 0 then
        return
    end

    if not ended then
        ngx.log(ngx.ERR, "credgate: no outcome can be waited for: ", problem,
                "; it is tried again in ", delay, " s")
    end

    start(delay)
    delay = math.min(delay * 2, LAST_DELAY)
end


-- If nginx has reached its limit of running timers, a requested one never runs:
-- request another after a while.
local function need_reader()
    if running or asked and ngx.now() - asked < delay + 1 then
        return true
    end

    if not watching then
        watching = ngx.timer.at(FAR, sentinel)
    end

    return start(0)
end


-- The queue of this VM's requests.
function _M.queue()
    if not queue then
        local made, problem = process.queue()

        if not made then
            return nil, problem
        end

        queue = made
    end

    return queue
end


-- Whether this VM has no reader, so that each request must read for itself.
function _M.is_alone()
    if is_alone == nil then
        is_alone = tonumber(C.credgate_doorbells()) > 0
    end

    return is_alone
end


-- Waits for the outcome of a request in the VM's queue, by its number, for at
-- most this many seconds; or returns nil and "timeout" or "closed".
function _M.wait(id, ticket, seconds)
    local waiter = { semaphore = semaphore.new(0) }

    waiters[id] = waiter
    waiting = waiting + 1

    local woken, problem = need_reader()

    if woken then
        woken, problem = waiter.semaphore:wait(seconds + GRACE)
    end

    if waiters[id] then
        waiters[id] = nil
        waiting = waiting - 1
        C.credgate_ticket_cancel(queue, ticket)
    end

    leave_if_idle()

    return waiter.outcome, problem or waiter.problem
end


-- Waits for the outcome in a queue of the request's own.
function _M.wait_alone(own, seconds)
    local sock, problem = connect(own, (seconds + GRACE) * 1000)

    if not sock then
        return nil, problem
    end

    local rung
    rung, problem = sock:receiveany(64)

    sock:close()

    if rung and C.credgate_queue_next(own, completion) == abi.OK then
        return take()
    end

    return nil, problem
end


-- Ends all waits, and forgets their tickets, so that none matches a ticket of the
-- next queue.
local function send_away()
    for _, waiter in pairs(waiters) do
        waiter.problem = "closed"
        waiter.semaphore:post(1)
    end

    waiters, waiting = {}, 0
end


function _M.close()
    send_away()

    if queue then
        C.credgate_queue_hang_up(queue)
        process.free_queue(queue)
        queue, is_alone = nil, nil
    end

    process.close()
end


return _M
