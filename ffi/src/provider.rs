//! A provider for tests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// Starts a provider on loopback that returns the same token to every client, and returns its issuer.
pub(crate) fn provider() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let issuer = format!("http://{}", listener.local_addr().expect("an address"));
    let document = format!(
        r#"{{"issuer":"{issuer}","token_endpoint":"{issuer}/token","token_endpoint_auth_methods_supported":["client_secret_post"]}}"#
    );
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            respond(connection, &document);
        }
    });
    issuer
}

/// Responds to requests on a connection until the client closes it.
fn respond(mut connection: TcpStream, document: &str) {
    let mut reader = BufReader::new(connection.try_clone().expect("a connection"));
    loop {
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let start = head.len();
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = head[start..]
                .to_ascii_lowercase()
                .strip_prefix("content-length:")
            {
                length = value.trim().parse().expect("a length");
            }
        }
        reader.read_exact(&mut vec![0; length]).expect("the form");
        let body = if head.starts_with("POST") {
            r#"{"access_token":"t0ken","token_type":"Bearer","expires_in":3600}"#
        } else {
            document
        };
        write!(
            connection,
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("a response");
    }
}
