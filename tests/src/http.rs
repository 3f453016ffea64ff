//! A simple HTTP/1.1 client: one connection per request.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use crate::patience::PATIENCE;

/// The server's address.
#[derive(Debug, Clone, Copy)]
pub struct Http(SocketAddr);

/// A response.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers as received.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Http {
    /// Returns a client for the server at an address.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self(address)
    }

    /// Returns the server's address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0
    }

    /// Connects, for a client that does something unusual.
    #[must_use]
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.0).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Gets a path.
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[])
    }

    /// Gets a path with these headers.
    #[must_use]
    pub fn get_with(&self, path: &str, headers: &[&str]) -> Answer {
        self.ask("GET", path, headers)
    }

    /// Sends a request with any method.
    #[must_use]
    pub fn ask(&self, method: &str, path: &str, headers: &[&str]) -> Answer {
        let mut stream = self.connect();
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.0);
        for header in headers {
            request.push_str(header);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        Answer::read(&bytes)
    }
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let rest = &bytes[end + 4..];
        let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        let body = if is_chunked { join_chunks(rest) } else { rest.to_vec() };
        Self { status, head, body }
    }

    /// Returns the body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// Returns the value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(its, _)| its.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Returns the text of an error.
    #[must_use]
    pub fn error(&self) -> String {
        let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        json["error"].as_str().unwrap().to_owned()
    }
}

fn join_chunks(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").unwrap();
        let size = usize::from_str_radix(str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
}
