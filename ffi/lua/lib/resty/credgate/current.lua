-- A gate's decisions on the current request.

local library = require "resty.credgate.library"
local attempt = require "resty.credgate.attempt"
local compile = require "resty.credgate.compile"
local supplied = require "resty.credgate.supplied"
local http_request = require "resty.credgate.request"
local credential_headers = require "resty.credgate.headers"
local outcomes = require "resty.credgate.outcome"
local denials = require "resty.credgate.denial"
local endpoints = require "resty.credgate.endpoint"
local option_tables = require "resty.credgate.options"
local ffi = require "ffi"


local C = library.C
local abi = library.abi
local OK = abi.OK
local log = library.log
local request = attempt.request
local ffi_str = ffi.string
local get_method = ngx.req.get_method

-- The functions of a cache hit are locals: compiled code has these as constants,
-- but searches and checks a function in a table (15 instructions each).
local authenticate = attempt.authenticate
local await = attempt.await
local fill_supplied = supplied.fill
local fill_request = http_request.fill
local fill_peer = http_request.fill_peer
local hide_query = http_request.hide_query
local overwrite_authorization = http_request.overwrite_authorization
local set_headers = http_request.set_headers
local presented_client_id = denials.presented_client_id
local check_options = option_tables.check
local release = C.credgate_outcome_release

-- The outcome of all cache hits of this VM. Compiled code has a pointer to it as
-- a constant, but loads and checks a struct.
local hit_struct = ffi.new("credgate_outcome")
local hit = ffi.cast("credgate_outcome *", hit_struct)

hit.struct_size = ffi.sizeof(hit_struct)

-- The names of the cache statuses, by number.
local CACHE_STATUSES = {}

for number = abi.CACHE_STATUS_NONE, abi.CACHE_STATUS_SHARED do
    CACHE_STATUSES[number] = ffi_str(C.credgate_cache_status_name(number))
end


local _M = {
    -- The pointer does not keep it alive.
    hit_struct = hit_struct,
}


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


-- Fills the struct from the current request. Returns the body and its type if
-- the gate searches it, and an error of the caller's options. May yield.
local function fill(self, method, options, uri_variable)
    local headers = self.headers
    local body, content_type

    fill_request(request, method)

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

    return body, content_type, fill_supplied(request, self, options)
end


-- Hides the credentials of the struct's request from the upstream and the logs.
-- A subrequest shares its headers with the main request, which may need them.
local function hide(self, body, content_type, uri_variable, keeps_header,
                    shares_headers)
    local headers = self.headers

    hide_query(self.handle, request, uri_variable)

    if body then
        http_request.hide_body(self.handle, body, content_type)
    end

    if not (keeps_header or shares_headers) then
        overwrite_authorization(request)
    end

    if headers then
        credential_headers.empty(request)

        if headers.are_hidden and not shares_headers then
            credential_headers.overwrite_secret(headers)
        end
    end
end


-- Authenticates the current request, and hides its credentials. Returns the client
-- id that it presents, unless it is a hit; and the filled struct, or nil, the error,
-- and the code of its cause if the error does not imply it. Raises errors at the
-- caller of its caller.
local function decide(self, method, options, struct, shares_headers)
    local uri_variable = options and options.uri_variable
    local body, content_type, invalid = fill(self, method, options, uri_variable)

    if invalid then
        -- nginx logs the request line with the error.
        hide_query(self.handle, request, uri_variable)
        error(invalid, 3)
    end

    local status, own_queue = authenticate(self, struct, fill_peer)
    local client_id

    if status ~= OK or struct.http_status ~= 0 then
        client_id = presented_client_id(self.handle, request)
    end

    -- Before any wait: if the client disconnects, nginx logs the request.
    hide(self, body, content_type, uri_variable,
         self.keeps_header or options and options.keep_authorization,
         shares_headers)

    return client_id, await(self, struct, status, own_queue)
end


-- Forwards an allowed request with its token.
local function forward(self, options, outcome)
    if options and options.keep_authorization and not self.keeps_header then
        http_request.remove_authorization()
    end

    set_headers(outcome, options and options.variable)
end


-- Whether another authentication may still accept the client's header.
local function keeps_authorization_for_others(denial, options)
    local http_status = denial.http_status

    return options and options.keep_authorization
           and (http_status == 401 or http_status == 403)
end


-- Removes the credentials of a denied request, which may go on.
local function withdraw(self, options, denial)
    local headers = self.headers

    if not self.keeps_header
       and not keeps_authorization_for_others(denial, options)
    then
        http_request.remove_authorization()
    end

    if headers then
        http_request.clear_header(headers.id)
        http_request.clear_header(headers.secret)
    end
end


-- Authenticates the current request. Allows it with its token, and returns the
-- client id and the cache status; or sends the denial.
function _M.access(self, options)
    check_options(options)

    local keeps_outcome = options and options.ctx
    local struct = keeps_outcome and outcomes.new_struct() or hit
    local presented, outcome, err, code = decide(self, get_method(), options, struct)

    if keeps_outcome and outcome then
        ngx.ctx.credgate = outcomes.new(outcome)
    end

    if not outcome or outcome.http_status ~= 0 then
        local denial = denials.new(self.handle, presented, outcome, err, code)

        release(hit)
        withdraw(self, options, denial)

        if options and options.on_denied then
            -- The request may go on.
            self:clear_headers()
        end

        return denials.send(denial, options)
    end

    forward(self, options, outcome)

    local client_id = ffi_str(outcome.client_id, outcome.client_id_len)
    local cache_status = CACHE_STATUSES[outcome.cache_status]

    release(hit)

    return client_id, cache_status
end


-- Authenticates the current request, and answers nothing. Returns the outcome: an
-- allowed request has its token, and a denied one neither credentials nor headers
-- of the gate.
function _M.judge(self, options)
    check_options(options)

    local presented, struct, err, code = decide(self, get_method(), options,
                                                outcomes.new_struct())
    local outcome

    if struct and struct.http_status == 0 then
        forward(self, options, struct)
        outcome = outcomes.new(struct)

    else
        outcome = denials.new(self.handle, presented, struct, err, code)
        withdraw(self, options, outcome)
        self:clear_headers()
    end

    if options and options.ctx then
        ngx.ctx.credgate = outcome
    end

    return outcome
end


-- Removes the credentials from the current request, and the headers that the gate
-- may set, without a decision: for a request that something else lets in.
function _M.hide(self, options)
    check_options(options)

    local uri_variable = options and options.uri_variable
    local body, content_type = fill(self, get_method(), nil, uri_variable)
    local keeps_header = self.keeps_header
                         or options and options.keep_authorization

    hide(self, body, content_type, uri_variable, keeps_header)

    if not keeps_header then
        http_request.remove_authorization()
    end

    self:clear_headers()
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


-- Lets an endpoint decide on the current request. Returns the outcome, or nil and
-- the denial. Raises errors at the caller of its caller.
local function decide_at_endpoint(gate, method, options)
    local presented, outcome, err, code = decide(gate, method, options,
                                                 outcomes.new_struct(),
                                                 ngx.is_subrequest)

    endpoints.forbid_caching(gate.is_token_endpoint)

    if outcome and outcome.http_status == 0 then
        return outcomes.new(outcome)
    end

    return nil, denials.new(gate.handle, presented, outcome, err, code)
end


-- Serves a token endpoint in content_by_lua, for RFC 6749 section 4.4, from the
-- cache.
function _M.token_endpoint(self, options)
    check_options(options)

    local gate = derived(self, "token_gate", C.credgate_gate_token_endpoint)

    gate.is_token_endpoint = true

    local outcome, denial = decide_at_endpoint(gate, get_method(), options)

    if not outcome then
        return denials.send(denial, options)
    end

    return endpoints.send_token(outcome)
end


-- In content_by_lua: answers another proxy that asks about its request, with 200
-- and the headers for the upstream, or with the denial.
function _M.check(self, options)
    check_options(options)

    local gate = derived(self, "check_gate", C.credgate_gate_external)

    -- A subrequest is always a GET.
    local outcome, denial = decide_at_endpoint(gate, ngx.var.request_method, options)

    if not outcome then
        return endpoints.send_denial(denial, options)
    end

    return endpoints.send_headers(outcome)
end


-- In log_by_lua: overwrites the secrets for the logs, and drops the token if the
-- upstream refused it. The latter needs the outcome in ngx.ctx. `http_status` is that
-- of the upstream, if nginx does not know it.
function _M.log(_, http_status)
    if http_status ~= nil and type(http_status) ~= "number" then
        error("credgate: http_status must be a number", 2)
    end

    http_request.redact()

    local outcome = ngx.ctx.credgate

    if not outcome or not outcome.allowed then
        return
    end

    if not http_status then
        local statuses = ngx.var.upstream_status

        -- The last one is the status of the response that the client got.
        http_status = statuses and tonumber(statuses:match("(%d+)%s*$"))
    end

    if http_status and outcome:upstream_status(http_status) then
        log(ngx.INFO, "dropped the token, because the upstream returned ",
            http_status)
    end
end


return _M
