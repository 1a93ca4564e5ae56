//! nginx as a reverse proxy that signs nothing: what forwarding a request costs at least.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use super::{
    process::{Running, clean, cpu_of},
    site::free_address,
    upstream::Upstream,
};

/// A running nginx.
pub(crate) struct Nginx {
    master: Running,
    /// Where it forwards without TLS to the upstream without TLS.
    pub(crate) plain: SocketAddr,
    /// Where it forwards with TLS on both sides.
    pub(crate) tls: SocketAddr,
}

impl Nginx {
    /// Starts it in `dir`, with as many workers as there are cores. `None` where it is not installed.
    pub(crate) fn start(dir: &Path, upstream: &Upstream) -> Option<Self> {
        version()?;
        let (plain, tls) = (free_address(), free_address());
        let config = format!(
            "daemon off; user root; worker_processes auto; pid {dir}/nginx.pid;
            error_log {dir}/nginx.log;
            events {{ worker_connections 4096; }}
            http {{
                access_log off;
                client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
                fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
                keepalive_requests 1000000; client_max_body_size 0;
                proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host;
                proxy_request_buffering off; proxy_max_temp_file_size 0;
                ssl_session_tickets off;
                upstream plain {{ server {up_plain}; keepalive 256; keepalive_requests 1000000; }}
                upstream secure {{ server {up_tls}; keepalive 256; keepalive_requests 1000000; }}
                server {{ listen {plain} reuseport; location / {{ proxy_pass http://plain; }} }}
                server {{
                    listen {tls} ssl reuseport;
                    ssl_certificate {certificate}; ssl_certificate_key {key};
                    location / {{
                        proxy_pass https://secure; proxy_ssl_server_name on; proxy_ssl_name $host;
                        proxy_ssl_verify on; proxy_ssl_trusted_certificate {ca};
                        proxy_ssl_protocols TLSv1.2 TLSv1.3;
                    }}
                }}
            }}",
            dir = dir.display(),
            up_plain = upstream.plain,
            up_tls = upstream.tls,
            certificate = upstream.certificate().display(),
            key = upstream.key().display(),
            ca = upstream.ca().display(),
        );
        fs::write(dir.join("nginx.conf"), config).expect("the directory is writable");
        let mut master = Running::start(
            clean("nginx", dir)
                .arg("-p")
                .arg(dir)
                .arg("-c")
                .arg(dir.join("nginx.conf"))
                .stderr(Stdio::null()),
        );
        let start = Instant::now();
        while TcpStream::connect(plain).is_err() || TcpStream::connect(tls).is_err() {
            let ended = master.child().try_wait().expect("it is a child");
            assert!(
                ended.is_none() && start.elapsed() < Duration::from_mins(1),
                "nginx does not listen: {}",
                fs::read_to_string(dir.join("nginx.log")).unwrap_or_default()
            );
            sleep(Duration::from_millis(5));
        }
        Some(Self { master, plain, tls })
    }

    /// CPU time that its workers have used so far; exact to 10 ms for each.
    pub(crate) fn cpu(&self) -> Duration {
        let id = self.master.id();
        let children = format!("/proc/{id}/task/{id}/children");
        let children = fs::read_to_string(children).expect("a child that runs is there");
        children
            .split_whitespace()
            .map(|id| cpu_of(id.parse().expect("a process id")))
            .sum()
    }
}

/// `nginx/1.22.1`; `None` where it is not installed.
pub(crate) fn version() -> Option<String> {
    let output = Command::new("nginx").arg("-v").output().ok()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Some(said.trim().rsplit_once(' ')?.1.replace('/', " "))
}
