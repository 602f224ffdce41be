// Package entry is what an export does around the author's function: errors and panics become failures of the step.
package entry

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"oxide"
	"oxide/bindings/oxide_ci_types"
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
	return types.Ok[T, oxide_ci_types.Failure](outputs)
}

func failed[T any](text string) types.Result[T, oxide_ci_types.Failure] {
	return types.Err[T](oxide_ci_types.MakeFailureOther(text))
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
