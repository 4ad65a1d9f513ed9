#!/bin/sh
# A line of an event stream may be a field name without a colon (`id` resets the id, an unknown name is ignored). The
# crate sse-stream, the parser of rmcp's clients, reports "invalid line" and drops the rest of what it has just read:
# complete events after the line are lost. The error also comes before the events ahead of the line, so a client that
# ends or reconnects at the first error loses them too. A `retry` that is not a number, which is to be ignored, does
# the same. The crate eventsource-stream delivers all three events.
#
# Seen with sse-stream 0.2.6 and eventsource-stream 0.2.3, on the events one, two and three in one read:
#   eventsource-stream, id:      one, two, three
#   eventsource-stream, id       one, two, three
#   eventsource-stream, retry: - one, two, three
#   sse-stream, id:      one, two, three
#   sse-stream, id       invalid line, one
#   sse-stream, retry: - int parse error: invalid digit found in string, one
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir src
cat > Cargo.toml <<'MANIFEST'
[package]
name = "finding"
version = "0.0.0"
edition = "2024"

[dependencies]
bytes = "1"
eventsource-stream = "=0.2.3"
futures-executor = "0.3"
futures-util = "0.3"
sse-stream = "=0.2.6"
MANIFEST
cat > src/main.rs <<'MAIN'
use bytes::Bytes;
use eventsource_stream::Eventsource;
use futures_executor::block_on_stream;
use futures_util::stream;
use sse_stream::SseStream;
use std::{fmt::Display, io::Error};

fn show<E: Display>(parser: &str, line: &str, events: impl Iterator<Item = Result<String, E>>) {
    let seen: Vec<_> = events.map(|event| event.unwrap_or_else(|error| error.to_string())).collect();
    println!("{parser}, {line:<8} {}", seen.join(", "));
}

fn main() {
    let read = |line| {
        let text = format!("data: one\n\n{line}\ndata: two\n\ndata: three\n\n");
        stream::iter([Ok::<_, Error>(Bytes::from(text))])
    };
    let lines = ["id:", "id", "retry: -"];
    for line in lines {
        let events = block_on_stream(read(line).eventsource());
        show("eventsource-stream", line, events.map(|event| event.map(|event| event.data)));
    }
    for line in lines {
        let events = block_on_stream(SseStream::from_bytes_stream(read(line)));
        show("sse-stream", line, events.map(|event| event.map(|event| event.data.unwrap_or_default())));
    }
}
MAIN
CARGO_TARGET_DIR="$work/target" cargo run --quiet > output
grep -A1 -E 'name = "(sse|eventsource)-stream"' Cargo.lock | grep version
cat output
diff - output <<'EXPECTED'
eventsource-stream, id:      one, two, three
eventsource-stream, id       one, two, three
eventsource-stream, retry: - one, two, three
sse-stream, id:      one, two, three
sse-stream, id       invalid line, one
sse-stream, retry: - int parse error: invalid digit found in string, one
EXPECTED
