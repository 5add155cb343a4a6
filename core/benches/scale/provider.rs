//! A provider that grants every client the same signed token.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use credgate_core::Gate;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

/// The length of a token: header, claims and an RS256 signature of 2,048 bits.
pub(crate) const TOKEN_LEN: usize = 671;
/// The name of the threads.
pub(crate) const THREAD: &str = "provider";

const HEADER: &str = r#"{"alg":"RS256","typ":"at+jwt","kid":"rs1"}"#;
/// The length of the claims, as JSON.
const CLAIMS_LEN: usize = 203;

pub(crate) struct Provider {
    port: u16,
}

impl Provider {
    pub(crate) fn start() -> Provider {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let responses = Arc::new(Responses::of(port));
        spawn(move || {
            for connection in listener.incoming() {
                let responses = Arc::clone(&responses);
                spawn(move || respond(connection.unwrap(), &responses));
            }
        });
        Provider { port }
    }

    /// A gate that verifies tokens and has requirements.
    pub(crate) fn gate(&self) -> Gate {
        self.gate_with("")
    }

    /// A gate that shares no token with it.
    pub(crate) fn other_gate(&self) -> Gate {
        self.gate_with(r#","scopes":["other"]"#)
    }

    fn gate_with(&self, more: &str) -> Gate {
        let port = self.port;
        let json = format!(
            r#"{{"issuer":"http://127.0.0.1:{port}","allow_loopback_http":true,"auth_methods":["client_credentials"],
                "scopes_required":"read","audience_required":"https://api.example.com/"{more}}}"#
        );
        Gate::from_json(&json).unwrap()
    }
}

fn spawn(run: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().name(THREAD.to_owned());
    thread.spawn(run).unwrap();
}

struct Responses {
    documents: Vec<u8>,
    token: Vec<u8>,
}

impl Responses {
    fn of(port: u16) -> Responses {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        // RFC 8017 appendix A.1.1, of 2048 bits: the integers are 257 and 3 bytes long.
        let der = key.public_key().as_ref();
        let base64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (n, e) = (base64(&der[9..265]), base64(&der[267..]));
        let provider = format!("http://127.0.0.1:{port}");
        let token = token(&provider, &key);
        Responses {
            documents: response(&format!(
                r#"{{"issuer":"{provider}","token_endpoint":"{provider}/token","jwks_uri":"{provider}/keys",
                    "keys":[{{"kty":"RSA","kid":"rs1","alg":"RS256","use":"sig","n":"{n}","e":"{e}"}}]}}"#
            )),
            token: response(&format!(
                r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":86400}}"#
            )),
        }
    }
}

fn response(body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn token(provider: &str, key: &RsaKeyPair) -> String {
    let claims = |jti: &str| {
        format!(
            r#"{{"jti":"{jti}","sub":"client-0000000000","iss":"{provider}","aud":"https://api.example.com/","#
        ) + r#""client_id":"client-0000000000","scope":"read","iat":1750000000,"exp":4102444800}"#
    };
    let jti = "j".repeat(CLAIMS_LEN - claims("").len());
    let base64 = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let message = format!("{}.{}", base64(HEADER), base64(&claims(&jti)));
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        message.as_bytes(),
        &mut signature,
    )
    .unwrap();
    let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(&signature));
    assert_eq!(token.len(), TOKEN_LEN);
    token
}

/// Serves a connection until its client closes it.
fn respond(mut connection: TcpStream, responses: &Responses) {
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    let (mut line, mut body, mut response) = (String::new(), Vec::new(), &responses.documents);
    while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
        let header = line.trim_end().to_ascii_lowercase();
        if header.starts_with("get ") {
            response = &responses.documents;
        } else if header.starts_with("post ") {
            response = &responses.token;
        } else if let Some(length) = header.strip_prefix("content-length:") {
            body.resize(length.trim().parse().unwrap(), 0);
        } else if header.is_empty() {
            reader.read_exact(&mut body).unwrap();
            body.clear();
            connection.write_all(response).unwrap();
        }
        line.clear();
    }
}
