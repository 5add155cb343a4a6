-- A gate: one compiled configuration, and its decisions on requests.

local library = require "resty.credgate.library"
local compile = require "resty.credgate.compile"
local supplied = require "resty.credgate.supplied"
local process = require "resty.credgate.process"
local waiting = require "resty.credgate.waiting"
local http_request = require "resty.credgate.request"
local credential_headers = require "resty.credgate.headers"
local outcomes = require "resty.credgate.outcome"
local denials = require "resty.credgate.denial"
local endpoints = require "resty.credgate.endpoint"
local ffi = require "ffi"


local C = library.C
local abi = library.abi
local message = library.message
local log = library.log
local OK = abi.OK
local PENDING = abi.PENDING
local EMPTY = abi.EMPTY
local ffi_str = ffi.string
local get_method = ngx.req.get_method

-- The structs of all requests of this VM: a cache hit allocates none.
local request = ffi.new("credgate_request")
local hit = ffi.new("credgate_outcome")
local ticket = ffi.new("uint64_t[1]")
local text = ffi.new("const char *[1]")
local len = ffi.new("size_t[1]")

request.struct_size = ffi.sizeof(request)
request.arg_size = ffi.sizeof("credgate_string")
hit.struct_size = ffi.sizeof(hit)

-- The names of the cache statuses, by number.
local CACHE_STATUSES = {}

for number = abi.CACHE_STATUS_NONE, abi.CACHE_STATUS_SHARED do
    CACHE_STATUSES[number] = ffi_str(C.credgate_cache_status_name(number))
end

local queue
local last_id = 0


local _M = {}
local methods = { __index = _M }


-- Compiles a configuration in JSON, and logs its warnings. Returns nil, the error
-- and its problems if it is invalid.
function _M.new(json)
    local fields, err, problems = compile.new(json)

    return fields and setmetatable(fields, methods), err, problems
end


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
local function authenticate(self, outcome, fill_peer)
    if not queue then
        local err
        queue, err = waiting.queue()

        if not queue then
            return nil, err
        end
    end

    local status = C.credgate_authenticate_at_once(self.handle, queue, request,
                                                   outcome)

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
local function await(self, outcome, status, own_queue)
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


local function check_string(name, value, level)
    if value ~= nil and type(value) ~= "string" then
        error("credgate: " .. name .. " must be a string", level + 1)
    end

    return value, value and #value or 0
end


-- Authenticates a request, or a client id and secret, in a table. Raises errors
-- at the caller of its caller.
local function authenticate_table(self, fields)
    request.method, request.method_len =
        check_string("method", fields.method or "GET", 3)
    request.authorization, request.authorization_len =
        check_string("authorization", fields.authorization, 3)
    request.query, request.query_len = check_string("query", fields.query, 3)
    request.content_type, request.content_type_len =
        check_string("content_type", fields.content_type, 3)
    request.body, request.body_len = check_string("body", fields.body, 3)
    request.peer, request.peer_len = check_string("peer", fields.peer, 3)
    request.traceparent, request.traceparent_len =
        check_string("traceparent", fields.traceparent, 3)
    request.client_id, request.client_id_len = nil, 0
    request.client_secret, request.client_secret_len = nil, 0
    request.args, request.args_len = nil, 0

    local id, secret = fields.client_id, fields.client_secret
    local invalid = (id or secret)
                    and supplied.fill_credentials(request, id, secret)
                    or self.arg_names
                    and supplied.fill_args(request, self, fields.args)
                    or self.headers
                    and credential_headers.fill_from_table(request, self.headers,
                                                           fields.headers or {})

    if invalid then
        error(invalid, 3)
    end

    local struct = outcomes.new_struct()
    local status, own_queue = authenticate(self, struct)

    if self.headers then
        credential_headers.empty(request)
    end

    local outcome, err = await(self, struct, status, own_queue)

    if not outcome then
        return nil, err
    end

    return outcomes.new(outcome)
end


-- Authenticates a request in a table, and does not touch the current request.
-- Returns the outcome, or nil and an error.
function _M.authenticate(self, fields)
    if type(fields) ~= "table" then
        error("credgate: request must be a table", 2)
    end

    if fields.headers ~= nil and type(fields.headers) ~= "table" then
        error("credgate: headers must be a table", 2)
    end

    local outcome, err = authenticate_table(self, {
        method = fields.method,
        authorization = fields.authorization,
        query = fields.query,
        content_type = fields.content_type,
        body = fields.body,
        peer = fields.peer,
        traceparent = fields.traceparent,
        headers = fields.headers,
        args = fields.args,
        client_id = fields.client_id,
        client_secret = fields.client_secret,
    })

    return outcome, err
end


-- Returns the token of a client, or of the gateway's own without an id and a
-- secret, and the outcome; nil and the outcome if the client is denied; nil and
-- an error if there is no outcome.
function _M.token(self, client_id, client_secret, args)
    local is_own = self.keeps_header and not (client_id or client_secret)

    if not is_own
       and (type(client_id) ~= "string" or type(client_secret) ~= "string")
    then
        error("credgate: client_id and client_secret must be strings", 2)
    end

    local outcome, err = authenticate_table(self, {
        client_id = client_id,
        client_secret = client_secret,
        args = args,
    })

    if not outcome then
        return nil, err
    end

    local header = outcome.authorization

    return header and header:match("^%S+%s+(.*)$"), outcome
end


-- Whether another authentication may still accept the client's header.
local function keeps_authorization_for_others(denial, options)
    local http_status = denial.http_status

    return options and options.keep_authorization
           and (http_status == 401 or http_status == 403)
end


-- Removes the headers that the gate may set, in every spelling, from the
-- current request. `Authorization` stays, because it may hold the credentials.
function _M.clear_headers(self)
    local bypass = outcomes.new_struct()

    C.credgate_gate_bypass(self.handle, bypass)

    for name in pairs(outcomes.headers { struct = bypass }) do
        if name ~= "authorization" then
            http_request.clear_header(name)
        end
    end
end


-- Authenticates the current request. Allows it with its token, and returns the
-- client id and the cache status; or sends the denial.
function _M.access(self, options)
    local method = get_method()
    local uri_variable = options and options.uri_variable
    local headers = self.headers
    local body, content_type

    http_request.fill(request, method)

    if headers then
        credential_headers.fill(request, headers)
    end

    -- The library ignores the body of a GET: most requests save the call.
    if method ~= "GET" then
        body, content_type = http_request.read_body(self.handle, request, method,
                                                    uri_variable)

        if headers then
            credential_headers.fill(request, headers)
        end
    end

    local invalid = supplied.fill(request, self, options)

    if invalid then
        -- nginx logs the request line with the error.
        http_request.hide_query(self.handle, request, uri_variable)
        error(invalid, 2)
    end

    local keeps_outcome = options and options.ctx
    local keeps_header = self.keeps_header
                         or options and options.keep_authorization
    local struct = keeps_outcome and outcomes.new_struct() or hit
    local status, own_queue = authenticate(self, struct, http_request.fill_peer)

    -- Before any wait: if the client disconnects, nginx logs the request.
    http_request.hide_query(self.handle, request, uri_variable)

    if body then
        http_request.hide_body(self.handle, body, content_type)
    end

    if not keeps_header then
        http_request.overwrite_authorization(request)
    end

    if headers then
        credential_headers.empty(request)

        if headers.are_hidden then
            credential_headers.overwrite_secret(headers)
        end
    end

    local outcome, err, code = await(self, struct, status, own_queue)

    if keeps_outcome and outcome then
        ngx.ctx.credgate = outcomes.new(outcome)
    end

    if not outcome or outcome.http_status ~= 0 then
        local denial = denials.new(self.handle, outcome, err, code)

        C.credgate_outcome_release(hit)

        if not self.keeps_header
           and not keeps_authorization_for_others(denial, options)
        then
            http_request.remove_authorization()
        end

        if headers then
            http_request.clear_header(headers.id)
            http_request.clear_header(headers.secret)
        end

        if options and options.on_denied then
            -- The request may go on.
            self:clear_headers()
        end

        return denials.send(denial, options)
    end

    if keeps_header and not self.keeps_header then
        http_request.remove_authorization()
    end

    http_request.set_headers(outcome, options and options.variable)

    local client_id = ffi_str(outcome.client_id, outcome.client_id_len)
    local cache_status = CACHE_STATUSES[outcome.cache_status]

    C.credgate_outcome_release(hit)

    return client_id, cache_status
end


-- Returns the gate of an endpoint. Raises its error at the caller of its caller.
local function derived(self, name, derive)
    local gate = self[name]

    if not gate then
        local err

        gate, err = compile.derived(self.handle, derive)

        if not gate then
            error("credgate: " .. err, 3)
        end

        self[name] = gate
    end

    return gate
end


-- Lets an endpoint decide on the current request. Returns the outcome, or sends
-- the denial. Raises errors at the caller of its caller.
local function decide(gate, method, options)
    local is_token_endpoint = gate.is_token_endpoint
    local headers = gate.headers
    local body, content_type

    http_request.fill(request, method)

    if headers then
        credential_headers.fill(request, headers)
    end

    if is_token_endpoint then
        body, content_type = http_request.read_body(gate.handle, request, method)
    end

    local invalid = supplied.fill(request, gate, options)

    if invalid then
        http_request.hide_query(gate.handle, request)
        error(invalid, 3)
    end

    local struct = outcomes.new_struct()
    local status, own_queue = authenticate(gate, struct, http_request.fill_peer)

    http_request.hide_query(gate.handle, request)

    if body then
        http_request.hide_body(gate.handle, body, content_type)
    end

    -- A subrequest shares its headers with the main request.
    if not (ngx.is_subrequest or gate.keeps_header) then
        http_request.overwrite_authorization(request)
    end

    if headers then
        credential_headers.empty(request)

        if headers.are_hidden and not ngx.is_subrequest then
            credential_headers.overwrite_secret(headers)
        end
    end

    local outcome, err, code = await(gate, struct, status, own_queue)

    endpoints.forbid_caching(is_token_endpoint)

    if outcome and outcome.http_status == 0 then
        return outcomes.new(outcome)
    end

    return nil, denials.new(gate.handle, outcome, err, code)
end


-- Serves a token endpoint in content_by_lua, for RFC 6749 section 4.4, from the
-- cache.
function _M.token_endpoint(self, options)
    local gate = derived(self, "token_gate", C.credgate_gate_token_endpoint)

    gate.is_token_endpoint = true

    local outcome, denial = decide(gate, get_method(), options)

    if not outcome then
        return denials.send(denial, options)
    end

    return endpoints.send_token(outcome)
end


-- In content_by_lua: answers another proxy that asks about its request, with 200
-- and the headers for the upstream, or with the denial.
function _M.check(self, options)
    local gate = derived(self, "check_gate", C.credgate_gate_check)

    -- A subrequest is always a GET.
    local outcome, denial = decide(gate, ngx.var.request_method, options)

    if not outcome then
        return endpoints.send_denial(denial, options)
    end

    return endpoints.send_headers(outcome)
end


-- In log_by_lua: drops the token if the upstream refused it. Needs the outcome
-- in ngx.ctx.
function _M.log()
    local outcome = ngx.ctx.credgate
    local statuses = ngx.var.upstream_status

    if outcome and outcome.allowed and statuses then
        -- The last one is the status of the response that the client got.
        local http_status = tonumber(statuses:match("(%d+)%s*$"))

        if http_status and outcome:upstream_status(http_status) then
            log(ngx.INFO, "dropped the token, because the upstream returned ",
                http_status)
        end
    end
end


-- Purges the tokens and cached refusals of one client, or of all. Returns true,
-- or nil and the error.
function _M.purge(self, client_id)
    local id, id_len = check_string("client_id", client_id, 2)
    local engine, err = process.engine()

    if not engine then
        return nil, err
    end

    local status = C.credgate_engine_purge(engine, self.handle, id, id_len)

    if status ~= OK then
        return nil, message(status)
    end

    return true
end


-- Returns the configuration as JSON, with defaults, and with the operator's
-- secrets masked.
function _M.config(self)
    C.credgate_gate_config(self.handle, text, len)
    return ffi_str(text[0], len[0])
end


-- Closes the engine and ends all waits.
function _M.close()
    queue = nil
    waiting.close()
end


return _M
