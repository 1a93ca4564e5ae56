//! A request's span as a part of its caller's trace.

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::trace_context::TraceParent;

/// Makes `span` a child of the caller's. Whether it is recorded is the caller's decision then.
pub(super) fn continue_trace(span: &Span, parent: TraceParent<'_>) {
    let (Ok(trace), Ok(caller)) = (
        TraceId::from_hex(parent.trace_id),
        SpanId::from_hex(parent.parent_id),
    ) else {
        return;
    };
    let flags = if parent.sampled {
        TraceFlags::SAMPLED
    } else {
        TraceFlags::default()
    };
    let remote = SpanContext::new(trace, caller, flags, true, TraceState::default());
    // Fails where no spans are exported.
    let _ = span.set_parent(Context::new().with_remote_span_context(remote));
}
