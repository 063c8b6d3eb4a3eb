//! A span for every request.

use dynamo_proto::node::Operation;
use tracing::{Span, field};

use crate::machine::{Answer, Ask};

pub(crate) fn span(ask: &Ask) -> Span {
    let operation = match ask.operation {
        Operation::Get { .. } | Operation::Fetch { .. } => "get",
        Operation::List(_) => "list",
        Operation::Put { .. } => "put",
        Operation::Update { .. } => "update",
    };
    tracing::debug_span!(
        "dynamo",
        operation,
        bucket = %ask.key.bucket().escape_ascii(),
        key = %ask.key.key().escape_ascii(),
        outcome = field::Empty,
    )
}

/// Said within the span.
pub(crate) fn ended(answer: &Answer) {
    let span = Span::current();
    match answer {
        Answer::Got(_) | Answer::Listed(_) | Answer::Put(_) => span.record("outcome", "done"),
        Answer::Failed(failed) => span.record("outcome", field::display(failed)),
        Answer::Unknown => span.record("outcome", "unknown"),
    };
}
