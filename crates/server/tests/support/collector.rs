//! An OTLP collector on loopback.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
};

/// Passes the path and body of each request to `take`. Returns the port. Runs until the test program ends.
pub(crate) fn collector(take: impl Fn(&str, &[u8]) + Send + Sync + 'static) -> io::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let take = Arc::new(take);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let take = Arc::clone(&take);
            std::thread::spawn(move || requests(&stream, &*take));
        }
    });
    Ok(port)
}

/// Reads the requests of a connection.
fn requests(stream: &TcpStream, take: &dyn Fn(&str, &[u8])) {
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    loop {
        let (mut line, mut length) = (String::new(), 0);
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            break;
        }
        let path = line.strip_prefix("POST ").and_then(|rest| rest.split(' ').next()).expect("a POST").to_owned();
        while line.trim() != "" {
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().expect("a length");
            }
            line.clear();
            reader.read_line(&mut line).expect("a header");
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("a body");
        take(&path, &body);
        writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n").ok();
    }
}
