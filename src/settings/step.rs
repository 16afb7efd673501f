//! The steps that run before the processes are signalled, and after the last one has ended.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::values::{self, Separator, UsageError, Values};
use crate::cli::Setting;
use crate::plan::{Request, Step};

/// The option of one kind of step, and how its values are read.
type StepOption = (Setting, Separator, fn(&str) -> Result<Step, String>);

/// The order in which the environment's steps run.
const PRE_STOP: [StepOption; 4] = [
    (Setting::PRE_STOP_SLEEP, Separator::Comma, sleep),
    (Setting::PRE_STOP, Separator::Newline, command),
    (Setting::PRE_STOP_HTTP, Separator::Newline, http),
    (Setting::PRE_STOP_IDLE, Separator::Comma, idle),
];

const POST_EXIT: [StepOption; 3] = [
    (Setting::POST_EXIT_SLEEP, Separator::Comma, sleep),
    (Setting::POST_EXIT, Separator::Newline, command),
    (Setting::POST_EXIT_HTTP, Separator::Newline, http),
];

pub(super) fn pre_stop(values: &Values<'_>) -> Result<Vec<Step>, UsageError> {
    steps(values, &PRE_STOP)
}

pub(super) fn post_exit(values: &Values<'_>) -> Result<Vec<Step>, UsageError> {
    steps(values, &POST_EXIT)
}

/// First the environment's steps of kinds that were not typed, then those that were typed, in their order.
fn steps(values: &Values<'_>, options: &[StepOption]) -> Result<Vec<Step>, UsageError> {
    let mut steps = Vec::new();
    let mut typed = Vec::new();
    for &(setting, separator, read) in options {
        for (place, step) in values.placed(setting, separator, read)? {
            match place {
                Some(place) => typed.push((place, step)),
                None => steps.push(step),
            }
        }
    }
    // No two were typed at the same place.
    typed.sort_unstable_by_key(|&(place, _)| place);
    steps.extend(typed.into_iter().map(|(_, step)| step));
    Ok(steps)
}

/// Words as a POSIX shell splits them; nothing is expanded, and no shell runs.
fn command(text: &str) -> Result<Step, String> {
    let words = shlex::split(text).ok_or("a quote is not closed, or a backslash ends it")?;
    match words.first() {
        Some(program) if !program.is_empty() => {
            Ok(Step::Command(words.into_iter().map(OsString::from).collect()))
        }
        _ => Err("it names no program".to_owned()),
    }
}

fn sleep(text: &str) -> Result<Step, String> {
    values::duration(text).map(Step::Sleep)
}

fn idle(text: &str) -> Result<Step, String> {
    port(text).map(Step::Idle)
}

fn port(text: &str) -> Result<u16, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|&port| digits && port != 0)
        .ok_or_else(|| "a port is a number from 1 to 65535".to_owned())
}

/// `[METHOD ]http://ADDRESS[:PORT][/PATH]`.
fn http(text: &str) -> Result<Step, String> {
    let (method, url) = text.trim().split_once(' ').unwrap_or(("GET", text.trim()));
    if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err("a method is written in capitals, as in 'POST http://127.0.0.1:8080/drain'".to_owned());
    }
    let url = url.trim_start();
    if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("a URL holds no blanks and only ASCII: write others as %20".to_owned());
    }
    let (scheme, rest) = url.split_once(':').unwrap_or_default();
    let rest = match rest.strip_prefix("//") {
        Some(rest) if scheme.eq_ignore_ascii_case("http") => rest,
        Some(_) if scheme.eq_ignore_ascii_case("https") => {
            return Err("drainit speaks no TLS: run a command that does, such as curl".to_owned());
        }
        _ => return Err("the URL begins with http://".to_owned()),
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let slash = if path.starts_with('/') { "" } else { "/" };
    Ok(Step::Http(Request {
        method: method.to_owned(),
        host: host.to_owned(),
        addresses: addresses(host)?,
        path: format!("{slash}{path}"),
    }))
}

/// An IP literal, IPv6 in brackets, or localhost, which may listen on either family.
fn addresses(host: &str) -> Result<Vec<SocketAddr>, String> {
    const WRONG: &str =
        "the host is an IP address (IPv6 in brackets) or localhost: names are not looked up here";
    let (name, port) = match host.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((literal, rest))) => (IpAddr::V6(literal.parse().map_err(|_| WRONG)?).into(), rest),
        Some(None) => return Err(WRONG.to_owned()),
        None => {
            let (name, rest) = host.split_at(host.find(':').unwrap_or(host.len()));
            let literal = name.parse::<Ipv4Addr>().ok().map(IpAddr::V4);
            if literal.is_none() && !name.eq_ignore_ascii_case("localhost") {
                return Err(WRONG.to_owned());
            }
            (literal, rest)
        }
    };
    let port = match port.strip_prefix(':') {
        Some(digits) => self::port(digits)?,
        None if port.is_empty() => 80,
        None => return Err(WRONG.to_owned()),
    };
    let both = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let addresses = name.map_or(both.to_vec(), |address: IpAddr| vec![address]);
    Ok(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_split_as_a_shell_would() {
        let words = |text: &str| match command(text) {
            Ok(Step::Command(words)) => words,
            other => panic!("{text:?} gave {other:?}"),
        };
        assert_eq!(words("nginx -s quit"), ["nginx", "-s", "quit"]);
        assert_eq!(words(r#"sh -c 'a  b' "c d" e\ f"#), ["sh", "-c", "a  b", "c d", "e f"]);
        assert_eq!(words("x '' $HOME *"), ["x", "", "$HOME", "*"]);
        for text in ["", "  ", "sh -c 'x", "a \"b", "x \\", "''"] {
            assert!(command(text).is_err(), "{text:?}");
        }
    }

    fn request(text: &str) -> Request {
        match http(text) {
            Ok(Step::Http(request)) => request,
            other => panic!("{text:?} gave {other:?}"),
        }
    }

    #[test]
    fn a_url_is_an_address_and_a_path() {
        let plain = request("http://127.0.0.1");
        assert_eq!((plain.method.as_str(), plain.path.as_str()), ("GET", "/"));
        assert_eq!(plain.addresses, ["127.0.0.1:80".parse().expect("good")]);
        let post = request("POST HTTP://[::1]:15020/quitquitquit?now=1#x");
        assert_eq!((post.method.as_str(), post.host.as_str()), ("POST", "[::1]:15020"));
        assert_eq!(post.path, "/quitquitquit?now=1");
        assert_eq!(post.addresses, ["[::1]:15020".parse().expect("good")]);
        let query = request("http://localhost:81?x");
        assert_eq!(query.path, "/?x");
        assert_eq!(
            query.addresses,
            ["127.0.0.1:81".parse().expect("good"), "[::1]:81".parse().expect("good")]
        );
    }

    #[test]
    fn what_cannot_be_requested_is_refused() {
        assert!(http("https://127.0.0.1/").expect_err("TLS").contains("curl"));
        for text in [
            "",
            "127.0.0.1:80",
            "ftp://127.0.0.1/",
            "http://example.org/",
            "http://::1/",
            "http://[::1",
            "http://[127.0.0.1]/",
            "http://[::1]x/",
            "http://127.0.0.1:0/",
            "http://127.0.0.1:65536/",
            "http://127.0.0.1:/",
            "http://127.0.0.1:+1/",
            "http://user@127.0.0.1/",
            "http:///x",
            "http://127.0.0.1/a b",
            "get http://127.0.0.1/",
            "http://127.0.0.1/\r\nX: y",
            "http://127.1/",
        ] {
            assert!(http(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn ports_are_numbers_that_can_be_listened_on() {
        assert_eq!(idle("8080"), Ok(Step::Idle(8080)));
        for text in ["", "0", "65536", "-1", "+1", "http", "80 "] {
            assert!(idle(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn arguments_and_paths_are_not_shown() {
        let shown = |step: Result<Step, String>| step.expect("good").to_string();
        assert_eq!(shown(command("login --password secret")), "command login");
        assert_eq!(shown(http("http://127.0.0.1:1/?token=secret")), "http 127.0.0.1:1");
    }
}
