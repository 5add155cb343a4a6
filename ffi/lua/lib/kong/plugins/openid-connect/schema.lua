return require("kong.plugins.credgate.settings").schema "openid-connect"
