// Package entry is what an export does around the author's function: errors and panics become failures of the step.
package entry

import (
	"fmt"
	"os"
	"reflect"
	"runtime/debug"
	"strings"
	"unicode/utf8"

	"oxide"
	"oxide/bindings/oxide_ci_types"
	"oxide/internal/host"
	"oxide/wit/types"
)

// Run calls the author's function, if there is one.
func Run[T any](known bool, run func() (T, error)) (result types.Result[T, oxide_ci_types.Failure]) {
	if !known {
		return failed[T]("the plugin has no function: write `func init() { plugin.Run(run) }` into package main")
	}
	defer func() {
		if cause := recover(); cause != nil {
			fmt.Fprintf(os.Stderr, "panic: %v\n\n%s", cause, authors(string(debug.Stack())))
			result = failed[T](fmt.Sprintf("panic: %v", cause))
		}
	}()
	outputs, err := run()
	if err != nil {
		return types.Err[T](oxide.AsFailure(err))
	}
	if name := notText(reflect.ValueOf(outputs), "outputs"); name != "" {
		return failed[T](fmt.Sprintf("%s is not UTF-8: return strings.ToValidUTF8 of it", name))
	}
	return types.Ok[T, oxide_ci_types.Failure](outputs)
}

// The name of a text that is not UTF-8, which the host would not take; empty if there is none.
func notText(value reflect.Value, name string) string {
	switch value.Kind() {
	case reflect.String:
		if !utf8.ValidString(value.String()) {
			return name
		}
	case reflect.Struct:
		for index := range value.NumField() {
			field := name
			if value.Type().Field(index).IsExported() {
				field += "." + value.Type().Field(index).Name
			}
			if found := notText(value.Field(index), field); found != "" {
				return found
			}
		}
	case reflect.Slice:
		if value.Type().Elem().Kind() == reflect.Uint8 {
			return ""
		}
		for index := range value.Len() {
			if found := notText(value.Index(index), fmt.Sprintf("%s[%d]", name, index)); found != "" {
				return found
			}
		}
	case reflect.Interface:
		if !value.IsNil() {
			return notText(value.Elem(), name)
		}
	}
	return ""
}

func failed[T any](text string) types.Result[T, oxide_ci_types.Failure] {
	return types.Err[T](oxide_ci_types.MakeFailureOther(host.Text(text)))
}

// Leaves only the frames of the author's code, from the panic to where the plugin was called.
func authors(stack string) string {
	if _, below, found := strings.Cut(stack, "\npanic("); found {
		if _, below, found = strings.Cut(below, "\n\t"); found {
			_, stack, _ = strings.Cut(below, "\n")
		}
	}
	stack, _, _ = strings.Cut(stack, "oxide/bindings/export_wit_world.")
	return stack
}
