// Package host calls the host.
//
// What the host writes into the memory of the plugin stays there until it is let go. The bindings do so once for a step, which is too
// late for one that reads a lot: here it is done after each call.
package host

import (
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"sync"
	"unicode/utf8"

	"oxide/bindings/oxide_ci_types"
	support "oxide/wit/runtime"
	"oxide/wit/types"
)

// One call at a time: what one wrote is not let go while another goroutine still reads.
var calling sync.Mutex

// Call calls a function of the host.
func Call[T any](call func() T) T {
	calling.Lock()
	defer calling.Unlock()
	value := call()
	support.Unpin()
	return value
}

// Method calls a function of a handle, which is not dropped as long as it takes.
func Method[H, T any](handle *H, call func(*H) T) T {
	value := Call(func() T { return call(handle) })
	runtime.KeepAlive(handle)
	return value
}

// Value is what a call of the host gave, or why it did not succeed.
func Value[T any](result types.Result[T, oxide_ci_types.Error]) (T, error) {
	if result.IsErr() {
		var none T
		return none, errorOf(result.Err())
	}
	return result.Ok(), nil
}

// Done is why a call of the host did not succeed, or nil.
func Done(result types.Result[types.Unit, oxide_ci_types.Error]) error {
	_, err := Value(result)
	return err
}

// Text is a text that the host takes: what is not UTF-8 in it is replaced.
func Text(text string) string {
	return strings.ToValidUTF8(text, "\uFFFD")
}

// CheckTexts is an error if one of the texts is not UTF-8, which the host would not take.
func CheckTexts(texts ...string) error {
	for _, text := range texts {
		if !utf8.ValidString(text) {
			return &Error{Invalid, fmt.Sprintf("%q is not UTF-8", text)}
		}
	}
	return nil
}

// Kind is what kind of error the host answered.
type Kind string

// The kinds of errors, as in oxide:ci/types.
const (
	NotFound Kind = "not-found"
	Denied   Kind = "denied"
	Invalid  Kind = "invalid"
	Limit    Kind = "limit"
	Other    Kind = "other"
)

// Error is the answer of the host to a call that did not succeed.
type Error struct {
	// Kind is what kind of error it is.
	Kind Kind
	// Message is a sentence for people.
	Message string
}

func (e *Error) Error() string { return e.Message }

// Is tells that NotFound is [fs.ErrNotExist], Denied is [fs.ErrPermission], and Invalid is [fs.ErrInvalid].
func (e *Error) Is(target error) bool {
	switch e.Kind {
	case NotFound:
		return target == fs.ErrNotExist
	case Denied:
		return target == fs.ErrPermission
	case Invalid:
		return target == fs.ErrInvalid
	default:
		return false
	}
}

func errorOf(err oxide_ci_types.Error) error {
	switch err.Tag() {
	case oxide_ci_types.ErrorNotFound:
		return &Error{NotFound, err.NotFound()}
	case oxide_ci_types.ErrorDenied:
		return &Error{Denied, err.Denied()}
	case oxide_ci_types.ErrorInvalid:
		return &Error{Invalid, err.Invalid()}
	case oxide_ci_types.ErrorLimit:
		return &Error{Limit, err.Limit()}
	default:
		return &Error{Other, err.Other()}
	}
}

// Optional is a pointer to the value of an option, or nil.
func Optional[T any](option types.Option[T]) *T {
	if option.IsNone() {
		return nil
	}
	value := option.Some()
	return &value
}

// OrNone is an option that has the value unless it is the zero value.
func OrNone[T comparable](value T) types.Option[T] {
	var zero T
	if value == zero {
		return types.None[T]()
	}
	return types.Some(value)
}
