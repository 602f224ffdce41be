// Package oxide writes plugins for Oxide CI in Go.
//
// A plugin is a function that returns outputs or an error, which fails the step:
//
//	package main
//
//	import (
//		"oxide"
//		"oxide/log"
//		"oxide/plugin"
//	)
//
//	func init() { plugin.Run(run) }
//
//	func main() {}
//
//	func run(inputs plugin.Inputs) (plugin.Outputs, error) {
//		if inputs.Name == "" {
//			return plugin.Outputs{}, oxide.InvalidInput("`name` is empty: write who to greet")
//		}
//		log.Info("greeting")
//		return plugin.Outputs{Greeting: "Hello, " + inputs.Name + "!"}, nil
//	}
//
// Package oxide/plugin is made from wit/world.wit. Each of oxide/workspace, oxide/exec, oxide/cache, oxide/artifacts,
// oxide/secrets, oxide/git and oxide/containers is a capability; it compiles if the world imports it. This package and oxide/log
// work in every plugin.
package oxide

import (
	"errors"
	"fmt"

	"oxide/bindings/oxide_ci_types"
	"oxide/internal/host"
	"oxide/log"
)

// Fail is an error that fails the step with this text, as any other error does.
func Fail(format string, values ...any) error {
	return fmt.Errorf(format, values...)
}

// InvalidInput is an error that fails the step because an input is unusable: say which one, why, and what to write instead.
func InvalidInput(format string, values ...any) error {
	return &InvalidInputError{Message: fmt.Sprintf(format, values...)}
}

// InvalidInputError is what [InvalidInput] makes.
type InvalidInputError struct {
	// Message is a sentence for the person who wrote the pipeline.
	Message string
}

func (e *InvalidInputError) Error() string { return e.Message }

// Exit is an error that fails the step with an exit code. An error of oxide/exec does so by itself.
func Exit(code int) error {
	return &ExitError{Code: code}
}

// ExitError is what [Exit] makes.
type ExitError struct {
	// Code is the exit code.
	Code int
}

func (e *ExitError) Error() string { return fmt.Sprintf("exit code %d", e.Code) }

// ExitCode is the exit code.
func (e *ExitError) ExitCode() int { return e.Code }

// HostError is the answer of the host to a call that did not succeed. [errors.Is] finds [fs.ErrNotExist],
// [fs.ErrPermission] and [fs.ErrInvalid] in it.
type HostError = host.Error

// The kinds of a [HostError].
const (
	NotFound = host.NotFound
	Denied   = host.Denied
	Invalid  = host.Invalid
	Limit    = host.Limit
	Other    = host.Other
)

// AsFailure is the failure of a step for an error that the plugin returned. The exports call it.
func AsFailure(err error) oxide_ci_types.Failure {
	var invalid *InvalidInputError
	var exit interface{ ExitCode() int }
	switch {
	case errors.As(err, &invalid):
		return oxide_ci_types.MakeFailureInvalidInput(host.Text(err.Error()))
	case errors.As(err, &exit):
		// The failure has no place for the text.
		log.Error(err.Error())
		return oxide_ci_types.MakeFailureExitCode(int32(exit.ExitCode()))
	default:
		return oxide_ci_types.MakeFailureOther(host.Text(err.Error()))
	}
}
