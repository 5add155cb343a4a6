-- Waits for outcomes without blocking the worker, and wakes the waiting
-- requests.
--
-- LuaJIT must not be called from another thread, and nginx watches only
-- connections that Lua made. So one light thread per worker, the reader, runs
-- in a timer, connects to the library's doorbell, a Unix socket, and reads it.
-- When the library rings, the reader takes the completions out of the queue and
-- wakes each waiter by its semaphore.
--
-- A worker that quits waits for its light threads, and runs all pending timers
-- at once. So an exit timer, due in weeks, ends the reader.
--
-- With lua_code_cache off, each request has a Lua VM of its own. Only the first
-- VM has a reader; the other requests wait at a doorbell of their own.

local library = require "resty.credgate.library"
local process = require "resty.credgate.process"
local semaphore = require "ngx.semaphore"
local ffi = require "ffi"


local C = library.C
local abi = library.abi
local message = library.message
local log = library.log
local error_out = library.error_out

-- In seconds: the time by which the library may exceed the gate's timeout.
local GRACE = 2
-- In seconds: the period of the exit timer, and the delays between attempts to
-- connect.
local EXIT_TIMER = 20 * 86400
local MIN_DELAY, MAX_DELAY = 0.1, 5
-- In milliseconds.
local CONNECT_TIMEOUT = 1000
local MAX_TIMEOUT = 2 ^ 31 - 1

local PATH_CAPACITY = 108

local OUTCOME = ffi.typeof("credgate_outcome")

local completion = ffi.new("credgate_completion")
local arrived = OUTCOME()
local path = ffi.new("char[?]", PATH_CAPACITY)
local len = ffi.new("size_t[1]")

completion.struct_size = ffi.sizeof(completion)
arrived.struct_size = ffi.sizeof(OUTCOME)
completion.outcome = arrived

local queue
local needs_own_queue

-- The waiters by the id of their request, and their number.
local waiters, waiting = {}, 0

-- Whether the reader runs; otherwise, the time at which its timer was started.
-- The delay before the next attempt.
local is_reading, scheduled_at, delay = false, nil, MIN_DELAY
local has_exit_timer, is_exiting = false, false


local _M = {}


-- Moves the outcome that has arrived to a struct that the garbage collector
-- releases.
local function take_outcome()
    local outcome = OUTCOME()

    ffi.copy(outcome, arrived, ffi.sizeof(OUTCOME))

    return ffi.gc(outcome, C.credgate_outcome_release)
end


local function remove_waiter(id)
    waiters[id] = nil
    waiting = waiting - 1
end


-- Wakes the waiter of this id: its `wait` returns the outcome, or nil and the
-- error.
local function wake(id, outcome, err)
    local waiter = waiters[id]

    remove_waiter(id)
    waiter.outcome, waiter.err = outcome, err
    waiter.semaphore:post(1)
end


-- Wakes the waiters of all outcomes that have arrived. nginx may have killed
-- the light thread of a waiter; then the post has no effect.
local function wake_arrived()
    while queue and C.credgate_queue_next(queue, completion) == abi.OK do
        local id = tonumber(ffi.cast("uintptr_t", completion.user_data))

        if waiters[id] then
            wake(id, take_outcome())

        else
            C.credgate_outcome_release(arrived)
        end
    end

    process.write_log()
end


-- Connects to the doorbell of a queue. The timeout of reads is in milliseconds.
local function connect(to, read_timeout)
    local status = C.credgate_queue_listen(to, path, PATH_CAPACITY, len,
                                           error_out)

    if status ~= abi.OK then
        return nil, message(status)
    end

    local sock = ngx.socket.tcp()

    sock:settimeouts(CONNECT_TIMEOUT, CONNECT_TIMEOUT, read_timeout)

    local connected, err = sock:connect("unix:" .. ffi.string(path, len[0]))

    if not connected then
        return nil, err
    end

    status = C.credgate_queue_accept(to, error_out)

    if status ~= abi.OK then
        sock:close()
        return nil, message(status)
    end

    return sock
end


-- Reads the doorbell until the library hangs up. Raises an error if it cannot
-- connect.
local function read_doorbell()
    local sock, err = connect(queue, MAX_TIMEOUT)

    if not sock then
        error(err, 0)
    end

    delay = MIN_DELAY
    wake_arrived()

    while true do
        local bytes, closed = sock:receiveany(64)

        wake_arrived()

        if not bytes and closed ~= "timeout" then
            return
        end

        if is_exiting and waiting == 0 then
            sock:close()
            return
        end
    end
end


-- Ends the reader of a worker that quits, after its last waiter.
local function end_idle_reader()
    if is_exiting and waiting == 0 and queue then
        C.credgate_queue_hang_up(queue)
    end
end


local function on_exit_timer(premature)
    if premature then
        is_exiting = true
        end_idle_reader()
        return
    end

    ngx.timer.at(EXIT_TIMER, on_exit_timer)
end


local run_reader

local function schedule_reader(after)
    scheduled_at = ngx.now()
    return ngx.timer.at(is_exiting and 0 or after, run_reader)
end


run_reader = function(premature)
    is_exiting = is_exiting or premature

    if is_reading then
        return
    end

    is_reading, scheduled_at = true, nil

    local connected, err = pcall(read_doorbell)

    is_reading = false

    if waiting == 0 then
        return
    end

    if not connected then
        log(ngx.ERR, "cannot receive outcomes: ", err, "; retrying in ", delay,
            " s")
    end

    schedule_reader(delay)
    delay = math.min(delay * 2, MAX_DELAY)
end


-- Starts the reader if none runs. nginx drops a timer when
-- lua_max_running_timers run, so a timer that is late is started again. Returns
-- nil and the error if nginx refuses the timer.
local function ensure_reader()
    if is_reading or scheduled_at and ngx.now() - scheduled_at < delay + 1 then
        return true
    end

    if not has_exit_timer then
        has_exit_timer = ngx.timer.at(EXIT_TIMER, on_exit_timer)
    end

    return schedule_reader(0)
end


-- Returns the queue of this VM's requests, or nil and the error.
function _M.queue()
    if not queue then
        local new_queue, err = process.new_queue()

        if not new_queue then
            return nil, err
        end

        queue = new_queue
    end

    return queue
end


-- Whether another VM of this process has the reader, so that each request of
-- this one needs a queue of its own.
function _M.needs_own_queue()
    if needs_own_queue == nil then
        needs_own_queue = tonumber(C.credgate_doorbells()) > 0
    end

    return needs_own_queue
end


-- Waits for the outcome of a request, by its id, until the gate's timeout in
-- seconds. Returns nil and "timeout", "closed" or another error if there is
-- none.
function _M.wait(id, ticket, timeout)
    local waiter = { semaphore = semaphore.new(0) }

    waiters[id] = waiter
    waiting = waiting + 1

    local ok, err = ensure_reader()

    if ok then
        ok, err = waiter.semaphore:wait(timeout + GRACE)
    end

    if waiters[id] then
        remove_waiter(id)
        C.credgate_ticket_cancel(queue, ticket)
    end

    end_idle_reader()

    return waiter.outcome, err or waiter.err
end


-- Waits for the outcome in the request's own queue. Returns as `wait`.
function _M.wait_in_own_queue(own_queue, timeout)
    local sock, err = connect(own_queue, (timeout + GRACE) * 1000)

    if not sock then
        return nil, err
    end

    local bytes
    bytes, err = sock:receiveany(64)

    sock:close()

    if bytes and C.credgate_queue_next(own_queue, completion) == abi.OK then
        return take_outcome()
    end

    return nil, err
end


-- Wakes all waiters with the error "closed", and closes the queue and the
-- engine. A woken waiter cancels no ticket, since the next queue may have an
-- equal one.
function _M.close()
    for id in pairs(waiters) do
        wake(id, nil, "closed")
    end

    if queue then
        C.credgate_queue_hang_up(queue)
        process.free_queue(queue)
        queue, needs_own_queue = nil, nil
    end

    process.close()
end


return _M
