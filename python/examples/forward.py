"""Forward a request with a token in place of the client's credentials.

CLIENT_ID=… CLIENT_SECRET=… python forward.py
"""

import os
from urllib.request import Request, urlopen

import credgate

gate = credgate.Gate(issuer="https://tenant.auth0.com/", audience="https://example.com/")
token = gate.token(os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"])
headers = {"Authorization": token.authorization}
with urlopen(Request("http://127.0.0.1:8080/", headers=headers)) as response:
    print(response.read().decode())
