-- A script for wrk: each request has the Basic credentials of another client, which bench/cold.py names alike.

-- The base64 of every number of three digits: three bytes become four characters, whatever stands beside them.
local digits = {}
local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local number, before, after


function init(arguments)
    local method, path
    method, path, before, after, wrk.body = unpack(arguments)
    for i = 0, 999 do
        local a, b, c = string.format("%03d", i):byte(1, 3)
        local bits = a * 65536 + b * 256 + c
        local four = ""
        for place = 3, 0, -1 do
            local value = math.floor(bits / 64 ^ place) % 64 + 1
            four = four .. alphabet:sub(value, value)
        end
        digits[i] = four
    end
    number = -1
    wrk.headers["Content-Type"] = wrk.body and "application/x-www-form-urlencoded"
    wrk.headers["Authorization"] = "Basic @"
    local text = wrk.format(method, path, wrk.headers, wrk.body)
    local head, tail = text:match("^(.-)@(.*)$")
    before, after = head .. before, after .. tail
end


function request()
    number = number + 1
    return before .. digits[math.floor(number / 1000)] .. digits[number % 1000] .. after
end


function done(summary, latency)
    print(string.format("p50 %d us, p99 %d us", latency:percentile(50), latency:percentile(99)))
end
