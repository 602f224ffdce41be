// Package types has what the bindings use for types of WIT that Go lacks.
package types

// The tags of an [Option].
const (
	OptionNone = uint8(0)
	OptionSome = uint8(1)
)

// Option is a value that may be missing. Its zero value is none.
type Option[T any] struct {
	tag   uint8
	value T
}

// Some is an option with a value.
func Some[T any](value T) Option[T] {
	return Option[T]{tag: OptionSome, value: value}
}

// None is an option without a value.
func None[T any]() Option[T] {
	return Option[T]{}
}

// Tag is [OptionNone] or [OptionSome].
func (o Option[T]) Tag() uint8 { return o.tag }

// IsSome tells whether there is a value.
func (o Option[T]) IsSome() bool { return o.tag == OptionSome }

// IsNone tells whether there is no value.
func (o Option[T]) IsNone() bool { return o.tag == OptionNone }

// Some is the value. It panics if there is none: ask IsSome before, or use SomeOr.
func (o Option[T]) Some() T {
	if o.tag == OptionNone {
		panic("the option has no value: ask IsSome first")
	}
	return o.value
}

// SomeOr is the value, or another one if there is none.
func (o Option[T]) SomeOr(other T) T {
	if o.tag == OptionNone {
		return other
	}
	return o.value
}

// The tags of a [Result].
const (
	ResultOk  = uint8(0)
	ResultErr = uint8(1)
)

// Result is what came of something, or why it failed.
type Result[T any, E any] struct {
	tag uint8
	ok  T
	err E
}

// Ok is the result of a success.
func Ok[T any, E any](value T) Result[T, E] {
	return Result[T, E]{tag: ResultOk, ok: value}
}

// Err is the result of a failure.
func Err[T any, E any](reason E) Result[T, E] {
	return Result[T, E]{tag: ResultErr, err: reason}
}

// Tag is [ResultOk] or [ResultErr].
func (r Result[T, E]) Tag() uint8 { return r.tag }

// IsOk tells whether it is a success.
func (r Result[T, E]) IsOk() bool { return r.tag == ResultOk }

// IsErr tells whether it is a failure.
func (r Result[T, E]) IsErr() bool { return r.tag == ResultErr }

// Ok is what came of it. It panics if it is a failure.
func (r Result[T, E]) Ok() T {
	if r.tag != ResultOk {
		panic("the result is a failure: ask IsOk first")
	}
	return r.ok
}

// Err is why it failed. It panics if it is a success.
func (r Result[T, E]) Err() E {
	if r.tag != ResultErr {
		panic("the result is a success: ask IsErr first")
	}
	return r.err
}

// Unit is a value that says nothing.
type Unit struct{}

// Tuple1 has 1 value.
type Tuple1[T0 any] struct {
	F0 T0
}

// Tuple2 has 2 values.
type Tuple2[T0, T1 any] struct {
	F0 T0
	F1 T1
}

// Tuple3 has 3 values.
type Tuple3[T0, T1, T2 any] struct {
	F0 T0
	F1 T1
	F2 T2
}

// Tuple4 has 4 values.
type Tuple4[T0, T1, T2, T3 any] struct {
	F0 T0
	F1 T1
	F2 T2
	F3 T3
}

// Tuple5 has 5 values.
type Tuple5[T0, T1, T2, T3, T4 any] struct {
	F0 T0
	F1 T1
	F2 T2
	F3 T3
	F4 T4
}

// Tuple6 has 6 values.
type Tuple6[T0, T1, T2, T3, T4, T5 any] struct {
	F0 T0
	F1 T1
	F2 T2
	F3 T3
	F4 T4
	F5 T5
}

// Tuple7 has 7 values.
type Tuple7[T0, T1, T2, T3, T4, T5, T6 any] struct {
	F0 T0
	F1 T1
	F2 T2
	F3 T3
	F4 T4
	F5 T5
	F6 T6
}

// Tuple8 has 8 values.
type Tuple8[T0, T1, T2, T3, T4, T5, T6, T7 any] struct {
	F0 T0
	F1 T1
	F2 T2
	F3 T3
	F4 T4
	F5 T5
	F6 T6
	F7 T7
}

// Tuple9 has 9 values.
type Tuple9[T0, T1, T2, T3, T4, T5, T6, T7, T8 any] struct {
	F0 T0
	F1 T1
	F2 T2
	F3 T3
	F4 T4
	F5 T5
	F6 T6
	F7 T7
	F8 T8
}

// Tuple10 has 10 values.
type Tuple10[T0, T1, T2, T3, T4, T5, T6, T7, T8, T9 any] struct {
	F0 T0
	F1 T1
	F2 T2
	F3 T3
	F4 T4
	F5 T5
	F6 T6
	F7 T7
	F8 T8
	F9 T9
}

// Tuple11 has 11 values.
type Tuple11[T0, T1, T2, T3, T4, T5, T6, T7, T8, T9, T10 any] struct {
	F0  T0
	F1  T1
	F2  T2
	F3  T3
	F4  T4
	F5  T5
	F6  T6
	F7  T7
	F8  T8
	F9  T9
	F10 T10
}

// Tuple12 has 12 values.
type Tuple12[T0, T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11 any] struct {
	F0  T0
	F1  T1
	F2  T2
	F3  T3
	F4  T4
	F5  T5
	F6  T6
	F7  T7
	F8  T8
	F9  T9
	F10 T10
	F11 T11
}

// Tuple13 has 13 values.
type Tuple13[T0, T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12 any] struct {
	F0  T0
	F1  T1
	F2  T2
	F3  T3
	F4  T4
	F5  T5
	F6  T6
	F7  T7
	F8  T8
	F9  T9
	F10 T10
	F11 T11
	F12 T12
}

// Tuple14 has 14 values.
type Tuple14[T0, T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13 any] struct {
	F0  T0
	F1  T1
	F2  T2
	F3  T3
	F4  T4
	F5  T5
	F6  T6
	F7  T7
	F8  T8
	F9  T9
	F10 T10
	F11 T11
	F12 T12
	F13 T13
}

// Tuple15 has 15 values.
type Tuple15[T0, T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13, T14 any] struct {
	F0  T0
	F1  T1
	F2  T2
	F3  T3
	F4  T4
	F5  T5
	F6  T6
	F7  T7
	F8  T8
	F9  T9
	F10 T10
	F11 T11
	F12 T12
	F13 T13
	F14 T14
}

// Tuple16 has 16 values.
type Tuple16[T0, T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13, T14, T15 any] struct {
	F0  T0
	F1  T1
	F2  T2
	F3  T3
	F4  T4
	F5  T5
	F6  T6
	F7  T7
	F8  T8
	F9  T9
	F10 T10
	F11 T11
	F12 T12
	F13 T13
	F14 T14
	F15 T15
}
