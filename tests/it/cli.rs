//! The command line of an environment, run as users run it, against fakes of the servers that it
//! talks to.

mod aws;
mod enroll;
mod explain;
mod fake_idp;
mod fake_sts;
mod lint;
mod login;
mod place;
mod rotate;
mod token;
mod usage;

use std::net::SocketAddr;

use self::{
    fake_idp::{FakeIdp, opened},
    fake_sts::FakeSts,
    place::{Place, ROLE},
};

/// Serves `app` on loopback from a thread of its own until the test process ends.
fn serve(app: axum::Router) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, app).await.unwrap();
            });
    });
    address
}

/// A form's fields, in order.
type Form = Vec<(String, String)>;

fn parse_form(body: &[u8]) -> Form {
    url::form_urlencoded::parse(body).into_owned().collect()
}

/// The one value of a field.
#[track_caller]
fn field<'a>(form: &'a [(String, String)], name: &str) -> &'a str {
    let mut values = form.iter().filter(|(key, _)| key == name);
    let (_, value) = values
        .next()
        .unwrap_or_else(|| panic!("no {name}: {form:?}"));
    assert!(values.next().is_none(), "{name} twice");
    value
}
