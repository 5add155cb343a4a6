-- A gate: one compiled configuration, and its decisions.

local library = require "resty.credgate.library"
local attempt = require "resty.credgate.attempt"
local compile = require "resty.credgate.compile"
local supplied = require "resty.credgate.supplied"
local process = require "resty.credgate.process"
local credential_headers = require "resty.credgate.headers"
local outcomes = require "resty.credgate.outcome"
local current = require "resty.credgate.current"
local ffi = require "ffi"


local C = library.C
local request = attempt.request
local authenticate = attempt.authenticate
local await = attempt.await
local ffi_str = ffi.string

local text = ffi.new("const char *[1]")
local len = ffi.new("size_t[1]")


local _M = {
    close = attempt.close,
}

-- The methods on the current request are in a module of their own.
for name, method in pairs(current) do
    _M[name] = method
end

local methods = { __index = _M }


-- Compiles a configuration in JSON, and logs its warnings. Returns nil, the error
-- and its problems if it is invalid.
function _M.new(json)
    local fields, err, problems = compile.new(json)

    return fields and setmetatable(fields, methods), err, problems
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


-- Purges the tokens and cached refusals of one client, or of all. Returns true,
-- or nil and the error.
function _M.purge(self, client_id)
    local done, err = process.purge(self.handle, client_id)

    return done, err
end


-- Returns the configuration as JSON, with defaults, and with the operator's
-- secrets masked.
function _M.config(self)
    C.credgate_gate_config(self.handle, text, len)
    return ffi_str(text[0], len[0])
end


return _M
