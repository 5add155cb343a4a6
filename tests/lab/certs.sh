#!/usr/bin/env bash
# certs.sh DIRECTORY: a private CA (ca.pem) and its certificate for 127.0.0.1 and localhost (server.pem, server.key).
set -euo pipefail
cd "$1"

key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }
key ca.key
key server.key

openssl req -x509 -new -key ca.key -days 30 -subj "/CN=Credgate lab CA" -out ca.pem \
  -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign"
openssl req -new -key server.key -subj "/CN=127.0.0.1" -out server.csr
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out server.pem 2>/dev/null \
  -extfile <(printf '%s\n' "subjectAltName=IP:127.0.0.1,DNS:localhost" "extendedKeyUsage=serverAuth,clientAuth" \
    "basicConstraints=CA:FALSE" "subjectKeyIdentifier=hash" "authorityKeyIdentifier=keyid")
rm -f server.csr ca.srl ca.key
chmod 0600 server.key
