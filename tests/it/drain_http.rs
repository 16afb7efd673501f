//! Draining by a plain HTTP request, to servers of this test.

use std::io::Write;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use drainit::signal::Signal;

use crate::drain::{MAIN, stopped};
use crate::harness::{BOTH, Init, took};
use crate::server::{Server, closed_port, listen, listen_on_one_of_both, until_closed};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn local() -> TcpListener {
    listen("127.0.0.1").expect("the loopback is there")
}

/// A drain by this one request.
fn asking(init: Init, request: &str) -> Init {
    init.flags(&["--pre-stop-timeout=1h", "--pre-stop-http", request])
}

#[test]
fn the_request_is_as_configured() {
    for mode in BOTH {
        for (method, path, expected) in [
            ("", "", "GET / HTTP/1.1"),
            ("", "/", "GET / HTTP/1.1"),
            ("GET ", "/drain?now=1&x=%20", "GET /drain?now=1&x=%20 HTTP/1.1"),
            ("POST ", "/quitquitquit", "POST /quitquitquit HTTP/1.1"),
            ("PUT ", "?x", "PUT /?x HTTP/1.1"),
        ] {
            let server = Server::saying(local(), OK);
            stopped(asking(Init::new(mode), &format!("{method}{}", server.url(path)))).silently();
            let request = server.request();
            assert_eq!(request.lines.first().map(String::as_str), Some(expected));
            assert_eq!(request.header("Host"), Some(server.host().as_str()), "{request:?}");
            assert!(!server.was_requested(), "once");
        }
    }
}

#[test]
fn a_request_with_a_method_that_has_a_body_says_that_it_is_empty() {
    let server = Server::saying(local(), OK);
    stopped(asking(Init::subreaper(), &format!("POST {}", server.url("/drain")))).silently();
    let request = server.request();
    // Without it a server may answer 411, or wait for more.
    assert_eq!(request.header("Content-Length"), Some("0"), "{request:?}");
    assert_eq!(request.header("Transfer-Encoding"), None, "{request:?}");
}

#[test]
fn the_command_is_signalled_when_the_answer_has_come() {
    for mode in BOTH {
        let (sender, answered) = std::sync::mpsc::channel();
        let server = Server::start(local(), move |stream| {
            let _ = sender.send(Instant::now());
            let _ = stream.write_all(OK.as_bytes());
        });
        let mut init = asking(Init::new(mode), &server.url("/")).workload(MAIN).start();
        init.ready(&["main"]).signal(Signal::TERM).line("main got TERM");
        assert!(answered.try_recv().is_ok(), "before");
        init.finish().exits(4).silently();
    }
}

#[test]
fn an_answer_of_success_is_silent() {
    for mode in BOTH {
        for answer in [
            OK,
            "HTTP/1.0 200 OK\r\n\r\nuntil the end",
            "HTTP/1.1 200\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 304 Not Modified\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        ] {
            let server = Server::saying(local(), answer);
            let run = stopped(asking(Init::new(mode), &server.url("/")));
            assert!(run.stderr.is_empty() && server.was_requested(), "{answer:?}: {run:?}");
        }
    }
}

#[test]
fn any_other_answer_is_one_warning() {
    for mode in BOTH {
        for (answer, part) in [
            ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "404"),
            ("HTTP/1.1 500 Internal Server Error\r\n\r\n", "500"),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\n\r\n", "503"),
            ("HTTP/1.1 100 Continue\r\n\r\n", ""),
            ("SSH-2.0-OpenSSH_9.2\r\n\r\n", ""),
            ("HTTP/1.1 2000 OK\r\n\r\n", ""),
            ("HTTP/1.1 \r\n\r\n", ""),
            ("\0\x1b[31m\r\n\r\n", ""),
            ("", ""),
        ] {
            let server = Server::saying(local(), answer);
            let run = stopped(asking(Init::new(mode), &server.url("/secret")));
            run.warns(&[&format!("pre-stop http {}: ", server.host()), part]);
            let line = run.complaint();
            assert!(!line.contains("secret") && !line.contains(char::is_control), "{line:?}");
        }
    }
}

#[test]
fn an_answer_in_small_pieces_is_an_answer() {
    for mode in BOTH {
        let server = Server::start(local(), |stream| {
            let _ = stream.set_nodelay(true);
            for byte in b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n" {
                let _ = stream.write_all(&[*byte]);
            }
        });
        stopped(asking(Init::new(mode), &server.url("/"))).silently();
        assert!(server.was_requested());
    }
}

#[test]
fn an_answer_that_never_ends_is_not_read_to_its_end() {
    for mode in BOTH {
        let server = Server::start(local(), |stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            // Ends when the client is gone.
            while stream.write_all(b"5\r\nstill\r\n").is_ok() {}
        });
        let begun = Instant::now();
        stopped(asking(Init::new(mode), &server.url("/"))).silently();
        assert!(server.was_requested());
        took(begun, Duration::ZERO);
    }
}

#[test]
fn an_answer_that_goes_on_with_nothing_is_an_answer() {
    for mode in BOTH {
        let server = Server::start(local(), |stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n");
            until_closed(stream);
        });
        let begun = Instant::now();
        stopped(asking(Init::new(mode), &server.url("/"))).silently();
        assert!(server.was_requested());
        took(begun, Duration::ZERO);
    }
}

#[test]
fn a_head_that_never_ends_takes_no_memory_and_not_more_than_the_time() {
    for mode in BOTH {
        let server = Server::start(local(), |stream| while stream.write_all(b"HTTP/1.1 200 OK ").is_ok() {});
        let begun = Instant::now();
        let flags = ["--pre-stop-timeout=1s", "--pre-stop-http", &server.url("/")];
        let run = stopped(Init::new(mode).flags(&flags));
        took(begun, Duration::ZERO);
        assert!(server.was_requested());
        assert!(run.warnings().len() <= 1, "{run:?}");
    }
}

#[test]
fn a_redirection_is_not_followed() {
    for mode in BOTH {
        let elsewhere = Server::saying(local(), OK);
        let location = elsewhere.url("/");
        let server = Server::start(local(), move |stream| {
            let _ = write!(stream, "HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        });
        stopped(asking(Init::new(mode), &server.url("/"))).silently();
        assert!(server.was_requested());
        assert!(!elsewhere.was_requested());
    }
}

#[test]
fn a_server_that_never_answers_takes_no_more_than_the_time() {
    for mode in BOTH {
        let server = Server::start(local(), until_closed);
        let begun = Instant::now();
        let flags = ["--pre-stop-timeout=500ms", "--pre-stop-http", &server.url("/")];
        let run = stopped(Init::new(mode).flags(&flags));
        took(begun, Duration::from_millis(500));
        run.warns(&["pre-stop http ", &server.host(), "timed out"]);
    }
}

#[test]
fn a_server_that_never_accepts_takes_no_more_than_the_time() {
    for mode in BOTH {
        let listener = local();
        let address = listener.local_addr().expect("it is bound");
        let begun = Instant::now();
        let flags = ["--pre-stop-timeout=500ms", "--pre-stop-http", &format!("http://{address}/")];
        let run = stopped(Init::new(mode).flags(&flags));
        took(begun, Duration::from_millis(500));
        run.warns(&["pre-stop http ", &address.to_string(), "timed out"]);
    }
}

#[test]
fn a_refused_connection_is_one_warning() {
    for mode in BOTH {
        let port = closed_port();
        for host in ["127.0.0.1", "localhost"] {
            let run = stopped(asking(Init::new(mode), &format!("http://{host}:{port}/")));
            run.warns(&[&format!("pre-stop http {host}:{port}: ")]);
        }
    }
}

#[test]
fn localhost_is_either_family() {
    for mode in BOTH {
        for address in ["127.0.0.1", "::1"] {
            let Some((listener, _reserved)) = listen_on_one_of_both(address) else { continue };
            let server = Server::saying(listener, OK);
            let host = format!("localhost:{}", server.port());
            stopped(asking(Init::new(mode), &format!("http://{host}/drain"))).silently();
            assert_eq!(server.request().header("Host"), Some(host.as_str()));
        }
    }
}

#[test]
fn an_address_of_the_newer_family_stands_in_brackets() {
    let Some(listener) = listen("::1") else { return };
    let server = Server::saying(listener, OK);
    assert!(server.host().starts_with("[::1]:"));
    for mode in BOTH {
        stopped(asking(Init::new(mode), &server.url("/drain"))).silently();
        assert_eq!(server.request().header("Host"), Some(server.host().as_str()));
    }
}

#[test]
fn a_request_is_dropped_when_the_command_ends_meanwhile() {
    for mode in BOTH {
        let server = Server::start(local(), until_closed);
        let mut init = asking(Init::new(mode), &server.url("/"))
            .workload("name=main catch=USR1:1ms:7 ready hold")
            .start();
        init.ready(&["main"]).signal(Signal::TERM);
        let _ = server.request();
        let begun = Instant::now();
        init.signal(Signal::USR1);
        init.finish().exits(7).silently();
        took(begun, Duration::ZERO);
    }
}

#[test]
fn a_server_that_hangs_up_is_one_warning() {
    for mode in BOTH {
        let listener = local();
        let address = listener.local_addr().expect("it is bound");
        // What was sent and not read makes it a reset.
        let server = std::thread::spawn(move || drop(listener.accept()));
        let run = stopped(asking(Init::new(mode), &format!("http://{address}/")));
        run.warns(&[&format!("pre-stop http {address}: ")]);
        server.join().expect("it has accepted");
    }
}
