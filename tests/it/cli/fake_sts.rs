//! An STS that records what it is asked and answers as it is told.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};

use super::{Form, fake_idp::now, parse_form, serve};

#[derive(Default)]
struct Inner {
    forms: Vec<Form>,
    refusals: VecDeque<(u16, String, String)>,
    life: u64,
    delay: Duration,
}

#[derive(Clone)]
pub(super) struct FakeSts {
    inner: Arc<Mutex<Inner>>,
    url: String,
}

impl FakeSts {
    pub(super) const SECRET: &'static str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    pub(super) const SESSION: &'static str = "FwoGZXIvYXdzEXAMPLESESSIONTOKEN==";

    pub(super) fn start() -> Self {
        let inner = Arc::new(Mutex::new(Inner {
            life: 3600,
            ..Inner::default()
        }));
        let app = Router::new()
            .route("/", post(assume))
            .with_state(Arc::clone(&inner));
        Self {
            url: format!("http://{}", serve(app)),
            inner,
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The next request is refused so.
    pub(super) fn refuse(&self, status: u16, code: &str, message: &str) {
        let mut inner = self.inner.lock().unwrap();
        inner
            .refusals
            .push_back((status, code.to_owned(), message.to_owned()));
    }

    /// Credentials live this many seconds from now on.
    pub(super) fn set_life(&self, seconds: u64) {
        self.inner.lock().unwrap().life = seconds;
    }

    /// Every answer takes this long from now on.
    pub(super) fn set_delay(&self, delay: Duration) {
        self.inner.lock().unwrap().delay = delay;
    }

    pub(super) fn forms(&self) -> Vec<Form> {
        self.inner.lock().unwrap().forms.clone()
    }
}

async fn assume(State(inner): State<Arc<Mutex<Inner>>>, body: Bytes) -> (StatusCode, String) {
    let delay = inner.lock().unwrap().delay;
    tokio::time::sleep(delay).await;
    let mut inner = inner.lock().unwrap();
    inner.forms.push(parse_form(&body));
    if let Some((status, code, message)) = inner.refusals.pop_front() {
        return (
            StatusCode::from_u16(status).unwrap(),
            format!(
                "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender\
                 </Type><Code>{code}</Code><Message>{message}</Message></Error>\
                 <RequestId>r-1</RequestId></ErrorResponse>"
            ),
        );
    }
    let expires = i64::try_from(now() + inner.life).unwrap();
    let expires = idp::domain::Timestamp::from_secs(expires);
    (
        StatusCode::OK,
        format!(
            "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
             <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId>\
             <SecretAccessKey>{}</SecretAccessKey><SessionToken>{}</SessionToken>\
             <Expiration>{expires}</Expiration></Credentials><AssumedRoleUser>\
             <AssumedRoleId>AROA:s</AssumedRoleId>\
             <Arn>arn:aws:sts::123456789012:assumed-role/demo/s</Arn></AssumedRoleUser>\
             </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>",
            FakeSts::SECRET,
            FakeSts::SESSION
        ),
    )
}
