//! An OpenID provider on loopback, as small as a benchmark needs it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

/// Starts a provider whose one response is its metadata and this token. Returns its port.
pub(crate) fn start(token: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            std::thread::spawn(move || respond(connection.unwrap(), port, token));
        }
    });
    port
}

/// Serves a connection until its client closes it.
fn respond(mut connection: TcpStream, port: u16, token: &str) {
    let provider = format!("http://127.0.0.1:{port}");
    let body = format!(
        r#"{{"issuer":"{provider}","token_endpoint":"{provider}/token",
            "access_token":"{token}","token_type":"Bearer","expires_in":86400}}"#
    );
    let length = body.len();
    let response = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    let (mut line, mut body) = (String::new(), 0);
    while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
        let header = line.trim_end().to_ascii_lowercase();
        if let Some(length) = header.strip_prefix("content-length:") {
            body = length.trim().parse().unwrap();
        }
        if header.is_empty() {
            reader.read_exact(&mut vec![0; body]).unwrap();
            connection.write_all(response.as_bytes()).unwrap();
        }
        line.clear();
    }
}
