// A certified OpenID provider on 127.0.0.1: client credentials, RS256 access tokens for the `audience` that is asked for.
//
// Environment: PORT; CLIENTS_FILE, with a JSON list of {"id", "secret", "method", "jwks", "subject"} (method: client_secret_post
// unless given; jwks: public keys of private_key_jwt, certificates in x5c of self_signed_tls_client_auth; subject: of
// the certificate of tls_client_auth); CERT and KEY (PEM files) for https, then also MTLS_PORT, where clients present
// certificates, and CLIENT_CA (a PEM file) that issues them; TTL of a token in seconds (3600).
// Control: GET /_count answers {"token", "introspection", "by_client", "refused", "handshakes"}, POST /_reset sets them to
// zero.
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer as createHttp } from "node:http";
import { createServer as createHttps } from "node:https";
import Provider from "oidc-provider";

const { PORT, CLIENTS_FILE, CERT, KEY, MTLS_PORT, CLIENT_CA, TTL = "3600" } = process.env;
const issuer = `${CERT ? "https" : "http"}://127.0.0.1:${PORT}`;

const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const signingKey = { ...privateKey.export({ format: "jwk" }), kid: "lab-1", use: "sig", alg: "RS256" };

const provider = new Provider(issuer, {
  clients: JSON.parse(readFileSync(CLIENTS_FILE)).map(({ id, secret, method = "client_secret_post", jwks, subject }) => ({
    client_id: id,
    client_secret: secret,
    token_endpoint_auth_method: method,
    jwks: jwks && { keys: jwks },
    tls_client_auth_subject_dn: subject,
    grant_types: ["client_credentials"],
    response_types: [],
    redirect_uris: [],
  })),
  clientAuthMethods: [
    "client_secret_post", "client_secret_basic", "private_key_jwt",
    ...(MTLS_PORT ? ["tls_client_auth", "self_signed_tls_client_auth"] : []),
  ],
  enabledJWA: {
    clientAuthSigningAlgValues: [
      "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
    ],
  },
  discovery: MTLS_PORT
    ? { mtls_endpoint_aliases: { token_endpoint: `https://127.0.0.1:${MTLS_PORT}/token` } }
    : {},
  jwks: { keys: [signingKey] },
  ttl: { ClientCredentials: Number(TTL) },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    mTLS: {
      enabled: Boolean(MTLS_PORT),
      tlsClientAuth: true,
      selfSignedTlsClientAuth: true,
      getCertificate: (ctx) => {
        const { raw } = ctx.req.socket.getPeerCertificate();
        return raw && new X509Certificate(raw).toString();
      },
      certificateAuthorized: (ctx) => ctx.req.socket.authorized,
      certificateSubjectMatches: (ctx, _property, expected) =>
        `CN=${ctx.req.socket.getPeerCertificate().subject.CN}` === expected,
    },
    // Every client may introspect every opaque token; the endpoint refuses JWTs.
    introspection: { enabled: true, allowedPolicy: () => true },
    resourceIndicators: {
      enabled: true,
      defaultResource: (ctx) => ctx.oidc.body?.audience,
      getResourceServerInfo: (_ctx, audience) => ({
        audience,
        scope: "openid api:read",
        accessTokenFormat: "jwt",
        accessTokenTTL: Number(TTL),
        jwt: { sign: { alg: "RS256" } },
      }),
    },
  },
});

let count;
const reset = () => { count = { token: 0, introspection: 0, by_client: {}, refused: 0, handshakes: 0 }; };
reset();
const countClient = (ctx) => {
  const id = ctx.oidc?.client?.clientId;
  if (id) count.by_client[id] = (count.by_client[id] ?? 0) + 1;
};
provider.on("grant.success", countClient);
provider.on("grant.error", (ctx) => { count.refused += 1; countClient(ctx); });

const oidc = provider.callback();
const answer = (request, response) => {
  if (request.url === "/_count" || request.url === "/_reset") {
    if (request.url === "/_reset") reset();
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(count));
    return;
  }
  if (request.method === "POST" && request.url === "/token") count.token += 1;
  if (request.method === "POST" && request.url === "/token/introspection") count.introspection += 1;
  oidc(request, response);
};

const server = CERT
  ? createHttps({ cert: readFileSync(CERT), key: readFileSync(KEY) }, answer)
  : createHttp(answer);
server.on("secureConnection", () => { count.handshakes += 1; });
server.listen({ port: Number(PORT), host: "127.0.0.1", backlog: 1024 }, () => console.log(`ready: ${issuer}`));
if (MTLS_PORT) {
  createHttps({
    cert: readFileSync(CERT), key: readFileSync(KEY), ca: readFileSync(CLIENT_CA), requestCert: true,
    // The provider decides about a certificate.
    rejectUnauthorized: false,
  }, answer).listen({ port: Number(MTLS_PORT), host: "127.0.0.1" });
}
process.on("SIGTERM", () => process.exit(0));
