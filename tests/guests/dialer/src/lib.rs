//! Speaks TCP with nothing but the standard library: the tests of `wasi:sockets` run it.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{TcpListener, TcpStream, UdpSocket},
};

wit_bindgen::generate!({ path: ["../../../wit", "wit"], world: "test:dialer/dialer", generate_all });

struct Dialer;

export!(Dialer);

impl Guest for Dialer {
    fn run(inputs: Inputs) -> Result<Outputs, Failure> {
        let answer = match inputs.act {
            Act::Connect => ask(&inputs.address),
            Act::Listen => TcpListener::bind(&inputs.address).map(|_| "listening".to_owned()),
            Act::Datagram => UdpSocket::bind("0.0.0.0:0")
                .and_then(|socket| socket.send_to(b"hello", &inputs.address))
                .map(|_| "sent".to_owned()),
        };
        let answer = answer.map_err(|error| Failure::Other(format!("{:?}: {error}", error.kind())))?;
        Ok(Outputs { answer })
    }
}

fn ask(address: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"hello\n")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line.trim().to_owned())
}
