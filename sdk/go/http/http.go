// Package http sends requests to hosts that the pipeline grants. The world needs `import wasi:http/outgoing-handler@0.2.6;`, and
// wit/deps/ the files of oxide-sdk/wasi/.
//
//	client := http.Client()
//	answer, err := client.Get("https://api.example/releases")
//
// The client is that of net/http. The host connects, speaks TLS, and puts the value of a secret where its placeholder stands. A redirect is
// followed with a new request, which needs its own grant.
package http

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	handler "oxide/bindings/wasi_http_outgoing_handler"
	wasi "oxide/bindings/wasi_http_types"
	poll "oxide/bindings/wasi_io_poll"
	streams "oxide/bindings/wasi_io_streams"
	"oxide/internal/host"
	"oxide/wit/types"
)

// Client is a client that sends its requests through the host.
func Client() *http.Client {
	return &http.Client{Transport: Transport{}}
}

// Transport sends requests through the host. It fits into any client that takes an [http.RoundTripper].
type Transport struct{}

const (
	// The most that one call of the interface takes.
	writeBytes = 4096
	readBytes  = 64 << 10
)

// RoundTrip is [http.RoundTripper]. A deadline of the context bounds the wait for the connection, for the answer, and between two pieces
// of it.
func (Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	if address := request.URL; address.Scheme != "http" && address.Scheme != "https" || address.Host == "" {
		return nil, fmt.Errorf("write http:// or https:// and a host")
	}
	body, err := contents(request)
	if err != nil {
		return nil, err
	}
	if err := request.Context().Err(); err != nil {
		return nil, err
	}
	outgoing, err := newRequest(request, body)
	if err != nil {
		return nil, err
	}
	answer, err := exchange(outgoing, body, options(request.Context()))
	if err != nil {
		return nil, err
	}
	return newResponse(request, answer)
}

// The body is read before: the host wants to know its length, and fills in secrets.
func contents(request *http.Request) ([]byte, error) {
	if request.Body == nil || request.Body == http.NoBody {
		return nil, nil
	}
	defer request.Body.Close()
	return io.ReadAll(request.Body)
}

func newRequest(request *http.Request, body []byte) (*wasi.OutgoingRequest, error) {
	var entries []types.Tuple2[string, []uint8]
	for name, values := range request.Header {
		for _, value := range values {
			entries = append(entries, types.Tuple2[string, []uint8]{F0: strings.ToLower(name), F1: []byte(value)})
		}
	}
	if body != nil {
		length := fmt.Sprint(len(body))
		entries = append(entries, types.Tuple2[string, []uint8]{F0: "content-length", F1: []byte(length)})
	}
	authority := request.Host
	if authority == "" {
		authority = request.URL.Host
	}
	if err := host.CheckTexts(request.Method, authority, request.URL.RequestURI()); err != nil {
		return nil, err
	}
	outgoing := host.Call(func() *wasi.OutgoingRequest {
		fields := wasi.FieldsFromList(entries)
		if fields.IsErr() {
			return nil
		}
		outgoing := wasi.MakeOutgoingRequest(fields.Ok())
		usable := outgoing.SetMethod(method(request.Method)).IsOk() &&
			outgoing.SetScheme(types.Some(scheme(request.URL.Scheme))).IsOk() &&
			outgoing.SetAuthority(types.Some(authority)).IsOk() &&
			outgoing.SetPathWithQuery(types.Some(request.URL.RequestURI())).IsOk()
		if !usable {
			outgoing.Drop()
			return nil
		}
		return outgoing
	})
	if outgoing == nil {
		return nil, fmt.Errorf("the method, the address or a header of the request has characters that HTTP refuses")
	}
	return outgoing, nil
}

// Sends the request and waits for the answer.
func exchange(outgoing *wasi.OutgoingRequest, body []byte, options types.Option[*wasi.RequestOptions]) (*wasi.IncomingResponse, error) {
	var sending *wasi.OutgoingBody
	if body != nil {
		made := host.Method(outgoing, (*wasi.OutgoingRequest).Body)
		if made.IsErr() {
			return nil, fmt.Errorf("the request takes no body")
		}
		sending = made.Ok()
	}
	started := host.Call(func() types.Result[*wasi.FutureIncomingResponse, wasi.ErrorCode] {
		return handler.Handle(outgoing, options)
	})
	if started.IsErr() {
		return nil, errorOf(started.Err())
	}
	if sending != nil {
		send(sending, body)
	}
	answer := started.Ok()
	// What comes from another handle is dropped before it: the host holds one by the other.
	defer answer.Drop()
	wait(host.Method(answer, (*wasi.FutureIncomingResponse).Subscribe))
	got := host.Method(answer, (*wasi.FutureIncomingResponse).Get).Some().Ok()
	if got.IsErr() {
		return nil, errorOf(got.Err())
	}
	return got.Ok(), nil
}

// The server may answer before it has read all: what it answers, or why it does not, tells more than an error here.
func send(body *wasi.OutgoingBody, contents []byte) {
	opened := host.Method(body, (*wasi.OutgoingBody).Write)
	if opened.IsErr() {
		body.Drop()
		return
	}
	stream := opened.Ok()
	for len(contents) > 0 {
		part := contents[:min(len(contents), writeBytes)]
		written := host.Method(stream, func(stream *streams.OutputStream) types.Result[types.Unit, streams.StreamError] {
			return stream.BlockingWriteAndFlush(part)
		})
		if written.IsErr() {
			dropError(written.Err())
			stream.Drop()
			body.Drop()
			return
		}
		contents = contents[len(part):]
	}
	stream.Drop()
	host.Call(func() types.Result[types.Unit, wasi.ErrorCode] {
		return wasi.OutgoingBodyFinish(body, types.None[*wasi.Fields]())
	})
}

func wait(pollable *poll.Pollable) {
	host.Method(pollable, func(pollable *poll.Pollable) types.Unit {
		pollable.Block()
		return types.Unit{}
	})
	pollable.Drop()
}

func newResponse(request *http.Request, answer *wasi.IncomingResponse) (*http.Response, error) {
	header := http.Header{}
	fields := host.Method(answer, (*wasi.IncomingResponse).Headers)
	for _, field := range host.Method(fields, (*wasi.Fields).Entries) {
		header.Add(field.F0, string(field.F1))
	}
	fields.Drop()
	status := int(host.Method(answer, (*wasi.IncomingResponse).Status))
	body, err := newBody(answer)
	if err != nil {
		return nil, err
	}
	length := int64(-1)
	if _, err := fmt.Sscan(header.Get("Content-Length"), &length); err != nil || request.Method == http.MethodHead {
		length = -1
	}
	return &http.Response{
		Status:        fmt.Sprintf("%d %s", status, http.StatusText(status)),
		StatusCode:    status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        header,
		Body:          body,
		ContentLength: length,
		Request:       request,
	}, nil
}

// The body of an answer, with the handles that it hangs on.
type body struct {
	answer *wasi.IncomingResponse
	body   *wasi.IncomingBody
	stream *streams.InputStream
	rest   []byte
	err    error
}

func newBody(answer *wasi.IncomingResponse) (io.ReadCloser, error) {
	consumed := host.Method(answer, (*wasi.IncomingResponse).Consume)
	if consumed.IsErr() {
		return nil, fmt.Errorf("the answer has no body to read")
	}
	opened := host.Method(consumed.Ok(), (*wasi.IncomingBody).Stream)
	if opened.IsErr() {
		return nil, fmt.Errorf("the body of the answer cannot be read")
	}
	return &body{answer: answer, body: consumed.Ok(), stream: opened.Ok()}, nil
}

// Read is [io.Reader].
func (b *body) Read(into []byte) (int, error) {
	if len(b.rest) == 0 && b.err == nil && len(into) > 0 {
		part := host.Method(b.stream, func(stream *streams.InputStream) types.Result[[]uint8, streams.StreamError] {
			return stream.BlockingRead(readBytes)
		})
		switch {
		case part.IsOk():
			b.rest = part.Ok()
		case part.Err().Tag() == streams.StreamErrorClosed:
			b.err = io.EOF
		default:
			dropError(part.Err())
			b.err = io.ErrUnexpectedEOF
		}
	}
	if len(b.rest) == 0 {
		return 0, b.err
	}
	count := copy(into, b.rest)
	b.rest = b.rest[count:]
	return count, nil
}

// Close is [io.Closer].
func (b *body) Close() error {
	if b.err != http.ErrBodyReadAfterClose {
		b.rest, b.err = nil, http.ErrBodyReadAfterClose
		b.stream.Drop()
		b.body.Drop()
		b.answer.Drop()
	}
	return nil
}

// An error of a stream hangs on the stream.
func dropError(err streams.StreamError) {
	if err.Tag() == streams.StreamErrorLastOperationFailed {
		err.LastOperationFailed().Drop()
	}
}

func options(context context.Context) types.Option[*wasi.RequestOptions] {
	deadline, has := context.Deadline()
	if !has {
		return types.None[*wasi.RequestOptions]()
	}
	left := types.Some(uint64(max(time.Until(deadline), time.Millisecond)))
	return types.Some(host.Call(func() *wasi.RequestOptions {
		options := wasi.MakeRequestOptions()
		options.SetConnectTimeout(left)
		options.SetFirstByteTimeout(left)
		options.SetBetweenBytesTimeout(left)
		return options
	}))
}

func scheme(name string) wasi.Scheme {
	if name == "http" {
		return wasi.MakeSchemeHttp()
	}
	return wasi.MakeSchemeHttps()
}

func method(name string) wasi.Method {
	switch name {
	case "", http.MethodGet:
		return wasi.MakeMethodGet()
	case http.MethodHead:
		return wasi.MakeMethodHead()
	case http.MethodPost:
		return wasi.MakeMethodPost()
	case http.MethodPut:
		return wasi.MakeMethodPut()
	case http.MethodDelete:
		return wasi.MakeMethodDelete()
	case http.MethodOptions:
		return wasi.MakeMethodOptions()
	case http.MethodPatch:
		return wasi.MakeMethodPatch()
	default:
		return wasi.MakeMethodOther(name)
	}
}

// The log of the step says more: what was refused, and what to grant.
func errorOf(code wasi.ErrorCode) error {
	switch code.Tag() {
	case wasi.ErrorCodeHttpRequestDenied:
		return &host.Error{Kind: host.Denied, Message: "the step may not reach this host"}
	case wasi.ErrorCodeDestinationIpProhibited:
		return &host.Error{Kind: host.Denied, Message: "the host leads to a private network"}
	case wasi.ErrorCodeDnsError, wasi.ErrorCodeDestinationNotFound:
		return &host.Error{Kind: host.NotFound, Message: "there is no such host"}
	case wasi.ErrorCodeConnectionRefused:
		return &host.Error{Kind: host.Other, Message: "the connection was refused"}
	case wasi.ErrorCodeConnectionTimeout, wasi.ErrorCodeHttpResponseTimeout, wasi.ErrorCodeConnectionReadTimeout:
		return context.DeadlineExceeded
	case wasi.ErrorCodeTlsCertificateError, wasi.ErrorCodeTlsProtocolError, wasi.ErrorCodeTlsAlertReceived:
		return &host.Error{Kind: host.Other, Message: "the server could not be trusted (TLS)"}
	case wasi.ErrorCodeHttpRequestBodySize:
		return &host.Error{Kind: host.Limit, Message: "the body of the request is too large"}
	case wasi.ErrorCodeInternalError:
		return &host.Error{Kind: host.Other, Message: code.InternalError().SomeOr("the host could not send it")}
	default:
		return &host.Error{Kind: host.Other, Message: fmt.Sprintf("the exchange failed (error code %d of wasi:http)", code.Tag())}
	}
}
