//! Sends one HTTP request, follows redirects if asked, and tells what came back: the tests of `wasi:http` run it.

use wasip2::{
    http::{
        outgoing_handler,
        types::{
            ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
            RequestOptions, Scheme,
        },
    },
    io::streams::StreamError,
};

wit_bindgen::generate!({ path: ["../../../wit", "wit"], world: "test:poster/poster", generate_all });

struct Poster;

export!(Poster);

impl Guest for Poster {
    fn run(inputs: Inputs) -> Result<Outputs, Failure> {
        let mut under_way = Vec::new();
        for _ in 1..inputs.times.unwrap_or(1) {
            under_way.push(wait(send(&inputs, &inputs.url)?)?);
        }
        let mut answer = wait(send(&inputs, &inputs.url)?)?;
        if inputs.follow.unwrap_or(false) {
            while let Some(location) = header(&answer, "location") {
                println!("redirected to {location}");
                answer = wait(send(&inputs, &location)?)?;
            }
        }
        let headers = inputs.headers.unwrap_or_default();
        Ok(Outputs {
            status: answer.status(),
            echo: letters(&header(&answer, "x-echo").unwrap_or_default()),
            letters: letters(&read(&answer)?),
            held_placeholder: headers.iter().any(|(_, value)| value.contains("oxide_secret_")),
        })
    }
}

fn send(inputs: &Inputs, url: &str) -> Result<FutureIncomingResponse, Failure> {
    let fields = Fields::new();
    for (name, value) in inputs.headers.iter().flatten() {
        fields.append(name, value.as_bytes()).map_err(failure)?;
    }
    let text = inputs.body.as_deref().unwrap_or_default();
    if inputs.content_length.unwrap_or(false) {
        fields.append("content-length", text.len().to_string().as_bytes()).map_err(failure)?;
    }
    let (scheme, rest) = url.split_once("://").ok_or_else(|| failure("no URL"))?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let request = OutgoingRequest::new(fields);
    let refused = |()| failure("the request cannot be made");
    request.set_method(&method(inputs)).map_err(refused)?;
    request.set_scheme(Some(&if scheme == "http" { Scheme::Http } else { Scheme::Https })).map_err(refused)?;
    request.set_authority(Some(authority)).map_err(refused)?;
    request.set_path_with_query(Some(if path.is_empty() { "/" } else { path })).map_err(refused)?;
    let options = RequestOptions::new();
    let patience = inputs.patience_ms.map(|ms| u64::from(ms) * 1_000_000);
    options.set_first_byte_timeout(patience).map_err(refused)?;
    options.set_between_bytes_timeout(patience).map_err(refused)?;
    let body = request.body().map_err(refused)?;
    let answer = outgoing_handler::handle(request, Some(options)).map_err(failure)?;
    let stream = body.write().map_err(refused)?;
    for chunk in text.as_bytes().chunks(1000) {
        // Who refuses the request says so in the answer.
        if stream.blocking_write_and_flush(chunk).is_err() {
            drop(stream);
            return Ok(answer);
        }
    }
    drop(stream);
    OutgoingBody::finish(body, None).map_err(failure)?;
    Ok(answer)
}

fn method(inputs: &Inputs) -> Method {
    match inputs.method.as_deref() {
        None | Some("GET") => Method::Get,
        Some("POST") => Method::Post,
        Some(other) => Method::Other(other.to_owned()),
    }
}

fn wait(answer: FutureIncomingResponse) -> Result<IncomingResponse, Failure> {
    answer.subscribe().block();
    let answer = answer.get().ok_or_else(|| failure("there is no answer yet"))?;
    answer.map_err(|()| failure("the answer was taken"))?.map_err(failure)
}

fn read(answer: &IncomingResponse) -> Result<String, Failure> {
    let body = answer.consume().map_err(|()| failure("the body was taken"))?;
    let stream = body.stream().map_err(|()| failure("the body is being read"))?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(piece) => bytes.extend(piece),
            Err(StreamError::Closed) => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(StreamError::LastOperationFailed(error)) => {
                let code: Option<ErrorCode> = wasip2::http::types::http_error_code(&error);
                return Err(failure(code.ok_or("the body broke off")));
            }
        }
    }
}

fn header(answer: &IncomingResponse, name: &str) -> Option<String> {
    let values = answer.headers().get(name);
    values.first().map(|value| String::from_utf8_lossy(value).into_owned())
}

fn letters(text: &str) -> String {
    text.chars().map(String::from).collect::<Vec<_>>().join(" ")
}

fn failure(error: impl std::fmt::Debug) -> Failure {
    Failure::Other(format!("{error:?}"))
}
