-- Tables whose unknown names are errors: Kong's are nil, and a mistake shows late.

return function(owner, members)
    return setmetatable(members, {
        __index = function(_, name)
            error("the stand-in has no " .. owner .. "." .. tostring(name), 2)
        end,
    })
end
