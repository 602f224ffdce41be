// Writes the next section of a changelog from conventional commits.
package main

import (
	"errors"
	"io/fs"
	"strings"

	"changelog/changelog"
	"oxide"
	"oxide/exec"
	"oxide/log"
	"oxide/plugin"
	"oxide/workspace"
)

func init() { plugin.Run(run) }

func main() {}

// Reads the commits, writes the section on top of the changelog.
func run(inputs plugin.Inputs) (plugin.Outputs, error) {
	history, err := readCommits(inputs.Since)
	if err != nil {
		return plugin.Outputs{}, err
	}
	for _, commit := range history.Unconventional {
		message := commit[0] + " is not a conventional commit: " + commit[1]
		oxide.Annotate(oxide.Annotation{Severity: oxide.Warning, Message: message})
	}

	section := changelog.Section(inputs.Version.SomeOr("Unreleased"), history.Commits)
	if err := write(inputs.File.SomeOr("CHANGELOG.md"), section); err != nil {
		return plugin.Outputs{}, err
	}
	if err := oxide.Summary(section); err != nil {
		return plugin.Outputs{}, err
	}
	log.Infof("%d commits, bump: %s", history.Count, history.Bump())
	bump := map[changelog.Bump]plugin.Bump{
		changelog.None:  plugin.BumpNone,
		changelog.Patch: plugin.BumpPatch,
		changelog.Minor: plugin.BumpMinor,
		changelog.Major: plugin.BumpMajor,
	}[history.Bump()]
	return plugin.Outputs{Bump: bump, Section: section, Commits: uint32(history.Count)}, nil
}

// The commits since the one that is named, or all.
func readCommits(since plugin.Option[string]) (changelog.Log, error) {
	args := []string{"log", changelog.LogFormat}
	if since.IsSome() {
		commit := since.Some()
		if commit == "" || strings.HasPrefix(commit, "-") {
			return changelog.Log{}, oxide.InvalidInput("`since` is `%s`: write a tag or a commit", commit)
		}
		args = append(args, commit+"..HEAD")
	}
	command := exec.Command("git", args...)
	command.Stdout = exec.ToPlugin
	process, err := command.Start()
	if err != nil {
		return changelog.Log{}, err
	}
	history, err := changelog.ReadLog(process.Output)
	if err != nil {
		return changelog.Log{}, err
	}
	return history, process.Wait()
}

func write(file, section string) error {
	old, err := workspace.ReadFile(file)
	switch {
	case err == nil:
		return workspace.WriteFile(file, changelog.Insert(section, old))
	case errors.Is(err, fs.ErrNotExist):
		return workspace.WriteFile(file, changelog.New(section))
	default:
		return err
	}
}
