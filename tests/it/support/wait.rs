//! Servers that need a moment.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread::sleep,
    time::{Duration, Instant},
};

use super::Running;

/// How long a server may take to answer for the first time, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_mins(1);

/// A port of 127.0.0.1 that nobody listened on a moment ago. Somebody else may take it before the
/// caller does: where a server can listen on port 0 and say what it got, let it.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .unwrap()
        .port()
}

/// Waits until `url` (`http://HOST:PORT/…`) answers, whatever the status. An error says what happened
/// instead: the server ended, or it was silent for a minute.
pub(crate) fn wait_until(url: &str, server: &mut Running) -> Result<(), String> {
    let start = Instant::now();
    loop {
        if let Some(status) = server.ended() {
            return Err(format!(
                "{} ended before it answered: {status}",
                server.name()
            ));
        }
        match answers(url) {
            Ok(()) => return Ok(()),
            Err(error) if start.elapsed() > PATIENCE => {
                return Err(format!(
                    "{} does not answer at {url}: {error}",
                    server.name()
                ));
            }
            Err(_) => sleep(Duration::from_millis(20)),
        }
    }
}

fn answers(url: &str) -> std::io::Result<()> {
    let rest = url.strip_prefix("http://").expect("a plain http URL");
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(authority)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    // The rest is read so that the server can finish what it writes.
    stream.read_to_end(&mut Vec::new()).ok();
    if &head == b"HTTP/" {
        Ok(())
    } else {
        Err(std::io::Error::other("that is not HTTP"))
    }
}

mod tests {
    use std::io::{BufRead as _, BufReader};

    use super::super::clean_command;
    use super::*;

    #[test]
    fn a_server_that_ended_is_not_waited_for() {
        let url = format!("http://127.0.0.1:{}/", free_port());
        let mut server = Running::start(&mut clean_command("false"));
        let error = wait_until(&url, &mut server).unwrap_err();
        assert!(
            error.starts_with("false ended before it answered"),
            "{error}"
        );
    }

    #[test]
    fn any_status_is_an_answer_and_other_protocols_are_none() {
        for (answer, is_http) in [
            ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", true),
            ("SSH-2.0-server\r\n", false),
        ] {
            let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = BufReader::new(&stream).lines();
                while request.next().is_some_and(|line| !line.unwrap().is_empty()) {}
                stream.write_all(answer.as_bytes()).unwrap();
            });
            assert_eq!(answers(&url).is_ok(), is_http);
            server.join().unwrap();
        }
    }
}
