-- A gate: one compiled configuration, and its decisions on requests.

local library = require "resty.credgate.library"
local process = require "resty.credgate.process"
local waiting = require "resty.credgate.waiting"
local nginx = require "resty.credgate.request"
local outcomes = require "resty.credgate.outcome"
local denials = require "resty.credgate.denial"
local ffi = require "ffi"


local C = library.C
local abi = library.abi
local message = library.message
local log = library.log
local OK = abi.OK
local PENDING = abi.PENDING
local ffi_str = ffi.string
local get_method = ngx.req.get_method

local OUTCOME = ffi.typeof("credgate_outcome")
local STRINGS = ffi.typeof("credgate_string[?]")
local GATE = ffi.typeof("credgate_gate *[1]")

local request = ffi.new("credgate_request")
local hit = ffi.new("credgate_outcome")
local ticket = ffi.new("uint64_t[1]")
local text = ffi.new("const char *[1]")
local len = ffi.new("size_t[1]")
local number = ffi.new("uint32_t[1]")
local purged = ffi.new("uint64_t[1]")

request.struct_size = ffi.sizeof(request)
request.arg_size = ffi.sizeof("credgate_string")
hit.struct_size = ffi.sizeof(OUTCOME)

-- The names of the cache statuses, by number.
local CACHE_STATUSES = {}

for number = abi.CACHE_STATUS_NONE, abi.CACHE_STATUS_SHARED do
    CACHE_STATUSES[number] = ffi_str(C.credgate_cache_status_name(number))
end

-- Keeps strings alive while the library reads them.
local strings

local queue
local last = 0


local _M = {}
local methods = { __index = _M }


-- The names of the arguments whose values arrive with a request.
local function names_of(gate)
    local names = {}

    while C.credgate_gate_arg(gate, #names, text, len) == OK do
        names[#names + 1] = ffi_str(text[0], len[0])
    end

    return names
end


function _M.new(json)
    local out = GATE()
    local status = C.credgate_gate_new(json, #json, out, library.err)

    if status ~= OK then
        return nil, message(status)
    end

    local gate = ffi.gc(out[0], C.credgate_gate_free)
    local index = 0

    while C.credgate_gate_warning(gate, index, text, len) == OK do
        log(ngx.WARN, ffi_str(text[0], len[0]))
        index = index + 1
    end

    C.credgate_gate_timeout(gate, number)

    local names = names_of(gate)

    return setmetatable({
        gate = gate,
        timeout = number[0] / 1000,
        args = names[1] and names,
    }, methods)
end


-- Presents the values of this request's arguments, from a table by name. Returns
-- the error if they are invalid.
local function present_args(self, values)
    local names = self.args
    strings = STRINGS(#names)

    for i, name in ipairs(names) do
        local value = values and values[name]

        if value ~= nil then
            if type(value) ~= "string" then
                return "credgate: the argument " .. name .. " is no string"
            end

            strings[i - 1].data, strings[i - 1].len = value, #value
        end
    end

    for name in pairs(values or {}) do
        local known

        for _, declared in ipairs(names) do
            known = known or declared == name
        end

        if not known then
            return "credgate: the gate has no argument " .. tostring(name)
                   .. " in its token_post_args_host"
        end
    end

    request.args, request.args_len = strings, #names
end


-- Without a reader in this Lua VM, the request authenticates again in a queue of
-- its own.
local function ask_alone(self, outcome)
    local own, problem = process.queue()

    if not own then
        return nil, problem
    end

    local status = C.credgate_authenticate(self.gate, own, request, nil, outcome,
                                           ticket)

    if status == PENDING then
        return PENDING, own
    end

    process.free_queue(own)

    return status
end


-- Authenticates the presented request. Returns the library's status, and the
-- queue if the request has its own; or nil and the error. Fills `outcome` if it
-- is known at once. The presented strings are not needed afterwards.
local function ask(self, outcome)
    if not queue then
        local problem
        queue, problem = waiting.queue()

        if not queue then
            return nil, problem
        end
    end

    last = last + 1

    local status = C.credgate_authenticate(self.gate, queue, request,
                                           ffi.cast("void *", last), outcome,
                                           ticket)

    if status == PENDING and waiting.is_alone() then
        C.credgate_ticket_cancel(queue, ticket[0])
        return ask_alone(self, outcome)
    end

    return status
end


-- Returns the outcome of the request that was presented last: `outcome`, or a new
-- one that arrives later.
local function settle(self, outcome, status, own)
    if status == OK then
        return outcome
    end

    if status ~= PENDING then
        return nil, status and message(status) or own
    end

    if not own then
        return waiting.wait(last, ticket[0], self.timeout)
    end

    local problem
    outcome, problem = waiting.wait_alone(own, self.timeout)

    process.free_queue(own)

    return outcome, problem
end


local function optional(name, value)
    if value ~= nil and type(value) ~= "string" then
        error("credgate: " .. name .. " is no string", 3)
    end

    return value, value and #value or 0
end


-- Judges a request or credentials in a table.
local function judge(self, shown)
    request.method, request.method_len = optional("method", shown.method or "GET")
    request.authorization, request.authorization_len =
        optional("authorization", shown.authorization)
    request.query, request.query_len = optional("query", shown.query)
    request.content_type, request.content_type_len =
        optional("content_type", shown.content_type)
    request.body, request.body_len = optional("body", shown.body)
    request.client_id, request.client_id_len =
        optional("client_id", shown.client_id)
    request.client_secret, request.client_secret_len =
        optional("client_secret", shown.client_secret)
    request.args, request.args_len = nil, 0

    local mistake = self.args and present_args(self, shown.args)

    if mistake then
        error(mistake, 3)
    end

    local given = outcomes.empty()
    local outcome, problem = settle(self, given, ask(self, given))

    if not outcome then
        return nil, problem
    end

    return outcomes.new(outcome)
end


-- Judges a request in a table: method, authorization, query, content_type, body,
-- args. Has no other effect.
function _M.authenticate(self, shown)
    if type(shown) ~= "table" then
        error("credgate: the request is no table", 2)
    end

    return judge(self, {
        method = shown.method,
        authorization = shown.authorization,
        query = shown.query,
        content_type = shown.content_type,
        body = shown.body,
        args = shown.args,
    })
end


-- Returns the token of a client with a known id and secret; or nil and the
-- outcome.
function _M.token(self, client_id, client_secret, args)
    if type(client_id) ~= "string" or type(client_secret) ~= "string" then
        error("credgate: id and secret are strings", 2)
    end

    local outcome, problem = judge(self, {
        client_id = client_id,
        client_secret = client_secret,
        args = args,
    })

    if not outcome then
        return nil, problem
    end

    local token = outcome.authorization

    return token and token:match("^%S+%s+(.*)$"), outcome
end


-- Whether another module may still allow the request, perhaps by the same header.
local function is_left_to_others(denial, options)
    local status = denial.http_status

    return options and options.keep_authorization
           and (status == 401 or status == 403)
end


-- Judges the current request: allows it with its token, or sends the denial.
function _M.access(self, options)
    local method = get_method()
    local body, content_type

    nginx.present(request, method)

    -- A GET body is never read, which spares most requests the call.
    if method ~= "GET" then
        body, content_type = nginx.read_body(self.gate, request, method)
    end

    local mistake = self.args and present_args(self, options and options.args)

    if mistake then
        -- nginx logs the request along with it.
        nginx.hide_query(self.gate, request)
        error(mistake, 2)
    end

    local keep = options and options.ctx
    local keeps_header = options and options.keep_authorization
    local given = keep and outcomes.empty() or hit
    local status, own = ask(self, given)

    -- Before any wait, so that no log and no later handler sees the secrets, even
    -- if the client disconnects.
    nginx.hide_query(self.gate, request)

    if body then
        nginx.hide_body(self.gate, body, content_type)
    end

    if not keeps_header then
        nginx.overwrite_authorization(request)
    end

    local outcome, problem = settle(self, given, status, own)

    if keep and outcome then
        ngx.ctx.credgate = outcomes.new(outcome)
    end

    if not outcome or outcome.http_status ~= 0 then
        local denial = denials.of(self.gate, outcome, problem)

        C.credgate_outcome_release(hit)

        if not is_left_to_others(denial, options) then
            nginx.remove_authorization()
        end

        return denials.answer(denial, options)
    end

    if keeps_header then
        nginx.remove_authorization()
    end

    nginx.set_headers(outcome, options and options.variable)

    local client_id = ffi_str(outcome.client_id, outcome.client_id_len)
    local cache_status = CACHE_STATUSES[outcome.cache_status]

    C.credgate_outcome_release(hit)

    return client_id, cache_status
end


-- In log_by_lua: drops a token that the upstream refused. For requests whose
-- outcome was kept (`ctx` of access).
function _M.log()
    local outcome = ngx.ctx.credgate
    local statuses = ngx.var.upstream_status

    if outcome and outcome.allowed and statuses then
        local status = tonumber(statuses:match("(%d+)%s*$"))

        if status and outcome:upstream_status(status) then
            log(ngx.INFO, "dropped the token, because the upstream returned ",
                status)
        end
    end
end


-- Drops the tokens of one client, or of all, and the cached refusals. Returns the
-- number of tokens dropped in this worker.
function _M.purge(self, client_id)
    local engine, problem = process.engine()

    if not engine then
        return nil, problem
    end

    local id, size = optional("client_id", client_id)
    local status = C.credgate_engine_purge(engine, self.gate, id, size, purged)

    if status ~= OK then
        return nil, message(status)
    end

    return tonumber(purged[0])
end


-- The effective configuration as JSON: defaults included, the operator's secrets
-- masked.
function _M.config(self)
    C.credgate_gate_config(self.gate, text, len)
    return ffi_str(text[0], len[0])
end


function _M.close()
    queue = nil
    waiting.close()
end


return _M
