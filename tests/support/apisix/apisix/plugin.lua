return {
    plugin_attr = function(name)
        return plugin_attr and plugin_attr[name]
    end,
}
