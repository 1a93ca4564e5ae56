//! A way to a server on loopback that can be closed.

use std::{
    io::copy,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

#[derive(Default)]
struct State {
    closed: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
}

/// Passes bytes on to a server until it is closed; then it ends all connections.
pub(super) struct Gate {
    address: SocketAddr,
    state: Arc<State>,
}

impl Gate {
    pub(super) fn to(server: &str) -> Self {
        let server = server.replace("http://", "");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let gate = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::default(),
        };
        let state = Arc::clone(&gate.state);
        thread::spawn(move || {
            for inbound in listener.incoming() {
                let inbound = inbound.unwrap();
                if state.closed.load(Ordering::SeqCst) {
                    continue;
                }
                let outbound = TcpStream::connect(&server).unwrap();
                let mut streams = state.streams.lock().unwrap();
                for (from, to) in [(&inbound, &outbound), (&outbound, &inbound)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    thread::spawn(move || {
                        let _ = copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Write);
                    });
                }
                streams.extend([inbound, outbound]);
            }
        });
        gate
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn close(&self) {
        self.state.closed.store(true, Ordering::SeqCst);
        for stream in self.state.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub(super) fn open(&self) {
        self.state.closed.store(false, Ordering::SeqCst);
    }
}
