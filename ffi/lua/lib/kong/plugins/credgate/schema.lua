return require("kong.plugins.credgate.settings").schema "credgate"
