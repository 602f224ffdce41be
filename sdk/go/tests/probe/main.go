// Does what an input says, for the tests of the SDK.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"oxide"
	"oxide/exec"
	"oxide/log"
	"oxide/plugin"
	"oxide/workspace"
)

func init() { plugin.Run(run) }

func main() {}

func run(inputs plugin.Inputs) (plugin.Outputs, error) {
	deeds := map[string]func() (string, error){
		"failure":       func() (string, error) { return "", oxide.Fail("no: grüße 🦀") },
		"invalid-input": func() (string, error) { return "", oxide.InvalidInput("`what` is `%s`", inputs.What) },
		"exit-code":     func() (string, error) { return "", oxide.Exit(7) },
		"bug":           func() (string, error) { panic("a bug in this plugin") },
		"no-text":       func() (string, error) { return "a\xffb", nil },
		"no-text-said":  noTextSaid,
		"command-fails": func() (string, error) { return "", exec.Command("lint", "--all").Run() },
		"command":       command,
		"files":         files,
		"large-file":    largeFile,
		"many-calls":    manyCalls,
		"missing-file":  missingFile,
		"outputs":       outputs,
	}
	deed, known := deeds[inputs.What]
	if !known {
		return plugin.Outputs{}, oxide.Fail("there is no deed `%s`", inputs.What)
	}
	seen, err := deed()
	return plugin.Outputs{Seen: seen}, err
}

func noTextSaid() (string, error) {
	log.Info("a\xffb")
	return "", oxide.Fail("no: a\xffb")
}

func command() (string, error) {
	translate := exec.Command("translate", "-")
	translate.Env = map[string]string{"B": "2", "A": "grün"}
	translate.Stdin = []byte("größe")
	out, err := translate.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return "", fmt.Errorf("it should have failed: %v", err)
	}
	return fmt.Sprintf("%s, exit code %d", out, exit.Code), nil
}

func files() (string, error) {
	err := errors.Join(
		workspace.WriteText("a/b/ü.txt", "größe\n"),
		workspace.AppendFile("a/b/ü.txt", []byte("mehr\n")),
		workspace.WriteFile("a/empty", nil),
		workspace.WriteText("gone", "x"),
		workspace.Remove("gone"),
	)
	if err != nil {
		return "", err
	}
	found, err := workspace.Glob("**/*")
	if err != nil {
		return "", err
	}
	var names []string
	for _, entry := range found {
		names = append(names, fmt.Sprintf("%s %d", entry.Path, entry.Size))
	}
	folder, err := workspace.OpenReadOnly("a")
	if err != nil {
		return "", err
	}
	if err := folder.WriteFile("x", nil); !errors.Is(err, fs.ErrPermission) {
		return "", fmt.Errorf("it should have been denied: %v", err)
	}
	text, err := folder.ReadFile("b/ü.txt")
	return strings.Join(names, ", ") + ": " + string(text), err
}

// More than a call of the host carries, and enough for Go to collect its garbage.
func largeFile() (string, error) {
	contents := bytes.Repeat([]byte("0123456789"), 2_000_000)
	if err := workspace.WriteFile("large", contents); err != nil {
		return "", err
	}
	for range 3 {
		read, err := workspace.ReadFile("large")
		if err != nil || !bytes.Equal(read, contents) {
			return "", fmt.Errorf("%d bytes were read: %w", len(read), err)
		}
	}
	return "the same", workspace.Remove("large")
}

// More handles than a step may hold, one after the other.
func manyCalls() (string, error) {
	for range 5000 {
		if _, err := workspace.Stat("."); err != nil {
			return "", err
		}
	}
	return "done", nil
}

func missingFile() (string, error) {
	_, err := workspace.ReadFile("nothing.txt")
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("it should be missing: %v", err)
	}
	return "", err
}

func outputs() (string, error) {
	end := log.Group("a group")
	log.Debug("a detail")
	log.Warning("a warning")
	log.Error("an error\nof two lines")
	end()
	log.Progress(5, 10)
	fmt.Println("printed")
	oxide.Annotate(oxide.Annotation{Message: "plain"})
	oxide.Annotate(oxide.Annotation{Message: "placed", Severity: oxide.Error, File: "src/ü.c", Line: 3})
	oxide.Annotate(oxide.Annotation{Message: "told", Severity: oxide.Notice})
	return oxide.Info().Pipeline, oxide.Summary("# Größe\n")
}
