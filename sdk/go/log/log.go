// Package log writes to the log of the step. What is printed to the standard output and error arrives there, too.
package log

import (
	"fmt"

	"oxide/bindings/oxide_ci_log"
	"oxide/internal/host"
	"oxide/wit/types"
)

// Debug writes what is only of use to who looks for a fault.
func Debug(message string) { write(oxide_ci_log.LevelDebug, message) }

// Debugf is [Debug] with a format.
func Debugf(format string, values ...any) { Debug(fmt.Sprintf(format, values...)) }

// Info writes what is in the ordinary course of things.
func Info(message string) { write(oxide_ci_log.LevelInfo, message) }

// Infof is [Info] with a format.
func Infof(format string, values ...any) { Info(fmt.Sprintf(format, values...)) }

// Warning writes what a person should see.
func Warning(message string) { write(oxide_ci_log.LevelWarning, message) }

// Warningf is [Warning] with a format.
func Warningf(format string, values ...any) { Warning(fmt.Sprintf(format, values...)) }

// Error writes what went wrong. It does not fail the step: return an error for that.
func Error(message string) { write(oxide_ci_log.LevelError, message) }

// Errorf is [Error] with a format.
func Errorf(format string, values ...any) { Error(fmt.Sprintf(format, values...)) }

// Group folds the lines up to the call of what it returns under a title: defer log.Group("tests")().
func Group(title string) (end func()) {
	call(func() { oxide_ci_log.StartGroup(host.Text(title)) })
	return func() { call(oxide_ci_log.EndGroup) }
}

// Progress tells how far the step is, in whatever unit it counts. A total of zero means unknown.
func Progress(done, total uint64) { call(func() { oxide_ci_log.Progress(done, total) }) }

func write(level oxide_ci_log.Level, message string) {
	call(func() { oxide_ci_log.Write(level, host.Text(message)) })
}

func call(function func()) {
	host.Call(func() types.Unit {
		function()
		return types.Unit{}
	})
}
