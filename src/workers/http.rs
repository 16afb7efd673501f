//! A plain HTTP/1.1 request, as a kubelet's httpGet hook makes it: an answer of 2xx or 3xx is a success.
//!
//! The answer's body is not read, and a redirect is not followed. There is no timeout here: the plan ends this child.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use crate::plan::Request;
use crate::text::plain;

/// More than the head of any server's answer.
const HEAD_SIZE: usize = 64 * 1024;
const HEADERS: usize = 4096;

/// Sends the request, and waits for the head of the answer.
///
/// # Errors
/// Why the request failed, in words.
pub fn request(request: &Request) -> Result<(), String> {
    let mut stream = connect(request)?;
    let Request { method, host, path, .. } = request;
    let length = if method == "GET" || method == "HEAD" { "" } else { "Content-Length: 0\r\n" };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: drainit/{}\r\nAccept: */*\r\n{length}Connection: close\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    );
    stream.write_all(head.as_bytes()).map_err(|error| plain(&error))?;
    match read_status(&mut stream)? {
        200..=399 => Ok(()),
        status => Err(format!("answered {status}")),
    }
}

/// A connection to the first address that accepts one.
fn connect(request: &Request) -> Result<TcpStream, String> {
    let mut refusal = String::new();
    for address in &request.addresses {
        match TcpStream::connect(address) {
            Ok(stream) => return Ok(stream),
            Err(error) if refusal.is_empty() => refusal = plain(&error),
            Err(_) => {}
        }
    }
    Err(refusal)
}

/// The status of the first final answer (RFC 9110, section 15.2: any number of 1xx may come before it).
///
/// # Errors
/// Why there is none.
pub fn read_status(stream: &mut impl Read) -> Result<u16, String> {
    let mut bytes = Vec::new();
    loop {
        while let Some((status, length)) = parse_head(&bytes)? {
            if status >= 200 || status == 101 {
                return Ok(status);
            }
            bytes.drain(..length);
        }
        if bytes.len() >= HEAD_SIZE {
            return Err("the head of the answer is too long".to_owned());
        }
        let mut chunk = [0; 2048];
        match stream.read(&mut chunk) {
            Ok(0) => return Err("the connection was closed before an answer".to_owned()),
            Ok(length) => bytes.extend(chunk.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(plain(&error)),
        }
    }
}

/// The status of a complete head, and its length; `None` if it is not complete yet.
fn parse_head(bytes: &[u8]) -> Result<Option<(u16, usize)>, String> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    // Only the status counts: odd headers are no reason to call a drain a failure.
    let mut lenient = httparse::ParserConfig::default();
    lenient.allow_obsolete_multiline_headers_in_responses(true);
    lenient.allow_spaces_after_header_name_in_responses(true);
    lenient.ignore_invalid_headers_in_responses(true);
    let parsed =
        lenient.parse_response(&mut response, bytes).map_err(|error| format!("no HTTP answer: {error}"))?;
    Ok(match (parsed, response.code) {
        (httparse::Status::Complete(length), Some(code)) => Some((code, length)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(answer: &str) -> Result<u16, String> {
        read_status(&mut answer.as_bytes())
    }

    #[test]
    fn the_first_final_answer_counts() {
        assert_eq!(status("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), Ok(200));
        assert_eq!(status("HTTP/1.0 404 Not Found\r\n\r\nbody"), Ok(404));
        assert_eq!(
            status("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\nHTTP/1.1 204 x\r\n\r\n"),
            Ok(204)
        );
        assert_eq!(status("HTTP/1.1 200 OK\r\nA: b\r\n c\r\nD e: f\r\n\r\n"), Ok(200));
        assert_eq!(status(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(3_000))), Ok(200));
        assert_eq!(status("HTTP/1.1 101 Switching\r\n\r\n"), Ok(101));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        assert!(status("").is_err());
        assert!(status("HTTP/1.1 200 OK\r\nContent").is_err(), "cut off");
        assert!(status("SSH-2.0-OpenSSH\r\n").is_err());
        assert!(read_status(&mut io::repeat(b'H')).is_err());
        let endless = b"HTTP/1.1 200 OK\r\nX: ".chain(io::repeat(b'x'));
        assert!(read_status(&mut { endless }).expect_err("endless").contains("too long"));
    }
}
