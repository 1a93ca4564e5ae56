//! What the log lines of a request have in common.

use std::{fmt, net::IpAddr};

use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::trace_context::TraceParent;
use crate::domain::RequestId;

tokio::task_local! {
    static CURRENT: LogFields;
}

/// The request that is being answered, as log lines tell it. A span could carry the same, but is written
/// out for every request, and nearly none of them logs a line.
#[derive(Clone, Debug)]
pub struct LogFields {
    pub(super) id: RequestId,
    pub(super) method: &'static str,
    pub(super) route: &'static str,
    pub(super) client: IpAddr,
    /// The caller's trace, and the span in it that called: lower-case hex.
    trace: Option<(Box<str>, Box<str>)>,
}

impl LogFields {
    pub(super) fn new(
        id: RequestId,
        method: &'static str,
        route: &'static str,
        client: IpAddr,
        parent: Option<TraceParent<'_>>,
    ) -> Self {
        Self {
            id,
            method,
            route,
            client,
            trace: parent.map(|parent| (parent.trace_id.into(), parent.parent_id.into())),
        }
    }

    /// Runs `future`, whose log lines have these fields.
    pub(super) async fn scope<F: Future>(self, future: F) -> F::Output {
        CURRENT.scope(self, future).await
    }

    /// Calls `f` with the fields of the request that is being answered here, if one is.
    pub fn with_current<T>(f: impl FnOnce(&Self) -> T) -> Option<T> {
        CURRENT.try_with(f).ok()
    }
}

impl Serialize for LogFields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", "request")?;
        map.serialize_entry("request_id", &format_args!("{}", self.id))?;
        map.serialize_entry("method", self.method)?;
        map.serialize_entry("route", self.route)?;
        map.serialize_entry("client", &self.client)?;
        if let Some((trace_id, parent_id)) = &self.trace {
            map.serialize_entry("trace_id", trace_id)?;
            map.serialize_entry("parent_id", parent_id)?;
        }
        map.end()
    }
}

impl fmt::Display for LogFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id,
            method,
            route,
            client,
            trace,
        } = self;
        write!(
            f,
            "request_id={id} method={method} route={route} client={client}"
        )?;
        match trace {
            Some((trace_id, parent_id)) => write!(f, " trace_id={trace_id} parent_id={parent_id}"),
            None => Ok(()),
        }
    }
}
