package oxide

import (
	"oxide/bindings/oxide_ci_output"
	"oxide/internal/host"
	"oxide/wit/types"
)

// Severity is how serious an [Annotation] is.
type Severity uint8

// How serious an annotation is.
const (
	// Warning should be looked at.
	Warning Severity = iota
	// Notice is for information.
	Notice
	// Error is wrong.
	Error
)

// Annotation is a remark on a place in the source.
type Annotation struct {
	// File is relative to the root of the workspace; empty for none.
	File string
	// Line is counted from 1; 0 for none.
	Line uint32
	// Severity is how serious it is.
	Severity Severity
	// Message is what there is to say.
	Message string
}

// Annotate records an annotation. A step may record 1,000.
func Annotate(annotation Annotation) {
	severity := oxide_ci_output.SeverityWarning
	switch annotation.Severity {
	case Notice:
		severity = oxide_ci_output.SeverityNotice
	case Error:
		severity = oxide_ci_output.SeverityError
	}
	host.Call(func() types.Unit {
		oxide_ci_output.Annotate(oxide_ci_output.Annotation{
			File:     host.OrNone(host.Text(annotation.File)),
			Line:     host.OrNone(annotation.Line),
			Severity: severity,
			Message:  host.Text(annotation.Message),
		})
		return types.Unit{}
	})
}

// Summary appends markdown to the summary of the step, which holds 1 MiB.
func Summary(markdown string) error {
	return host.Done(host.Call(func() types.Result[types.Unit, oxide_ci_output.Error] {
		return oxide_ci_output.AddSummary(host.Text(markdown))
	}))
}
