package oxide

import (
	"oxide/bindings/oxide_ci_run_info"
	"oxide/internal/host"
)

// RunInfo is where the step stands. It holds no secrets; what there is none of is empty.
type RunInfo struct {
	Pipeline   string
	Run        string
	RunNumber  uint64
	Stage      string
	Job        string
	Step       string
	Attempt    uint32
	Matrix     map[string]string
	Commit     string
	Ref        string
	Repository string
	// Trigger is manual, push, pull_request, tag, schedule or upstream.
	Trigger string
}

// Info tells where the step stands.
func Info() RunInfo {
	info := host.Call(oxide_ci_run_info.Get)
	matrix := make(map[string]string, len(info.Matrix))
	for _, value := range info.Matrix {
		matrix[value.F0] = value.F1
	}
	return RunInfo{
		Pipeline:   info.Pipeline,
		Run:        info.Run,
		RunNumber:  info.RunNumber,
		Stage:      info.Stage,
		Job:        info.Job,
		Step:       info.Step,
		Attempt:    info.Attempt,
		Matrix:     matrix,
		Commit:     info.Commit.SomeOr(""),
		Ref:        info.Ref.SomeOr(""),
		Repository: info.Repository.SomeOr(""),
		Trigger:    info.Trigger,
	}
}
