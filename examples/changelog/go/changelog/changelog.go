// Package changelog goes from a git log to the next section of a changelog. It knows nothing of plugins.
package changelog

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// LogFormat is what git is asked for: hash, subject and body, with separators that no message has.
const LogFormat = "--format=%h%x1f%s%x1f%b%x1e"

// Commit is a commit that follows the convention: `type(scope)!: description`.
type Commit struct {
	Hash  string
	Type  string
	Scope string
	// Description is what is told of it.
	Description string
	Breaking    bool
}

func (c Commit) line() string {
	scope := ""
	if c.Scope != "" {
		scope = "**" + c.Scope + ":** "
	}
	return fmt.Sprintf("- %s%s (%s)\n", scope, c.Description, c.Hash)
}

func (c Commit) isNoticed() bool {
	return c.Breaking || c.Type == "feat" || c.Type == "fix" || c.Type == "perf"
}

// Log is what a git log says.
type Log struct {
	// Commits are those that users notice, in the order of the log.
	Commits []Commit
	// Unconventional are hash and subject of those that do not; merges are left out.
	Unconventional [][2]string
	// Count is how many commits there are.
	Count int
}

// Bump is how much the version must rise.
type Bump int

// How much the version must rise.
const (
	None Bump = iota
	Patch
	Minor
	Major
)

func (b Bump) String() string {
	return [...]string{"none", "patch", "minor", "major"}[b]
}

// Bump is how much the version must rise.
func (l Log) Bump() Bump {
	bump := None
	for _, commit := range l.Commits {
		switch {
		case commit.Breaking:
			return Major
		case commit.Type == "feat":
			bump = max(bump, Minor)
		case commit.Type == "fix" || commit.Type == "perf":
			bump = max(bump, Patch)
		}
	}
	return bump
}

// ReadLog reads what git prints for LogFormat, one commit after the other, so that a long history needs no memory.
func ReadLog(output io.Reader) (Log, error) {
	var log Log
	reader := bufio.NewReaderSize(output, 64<<10)
	for {
		record, err := reader.ReadString('\x1e')
		if err == io.EOF {
			return log, nil
		}
		if err != nil {
			return log, err
		}
		log.add(strings.ToValidUTF8(strings.TrimSuffix(record, "\x1e"), "\uFFFD"))
	}
}

func (l *Log) add(record string) {
	hash, message, _ := strings.Cut(strings.TrimLeft(record, "\n"), "\x1f")
	subject, body, _ := strings.Cut(message, "\x1f")
	l.Count++
	commit, conventional := ReadCommit(hash, subject, body)
	switch {
	case conventional && commit.isNoticed():
		l.Commits = append(l.Commits, commit)
	case !conventional && !strings.HasPrefix(subject, "Merge "):
		l.Unconventional = append(l.Unconventional, [2]string{hash, subject})
	}
}

// White space of ASCII.
const blank = " \t\n\f\r"

var convention = regexp.MustCompile(`^([A-Za-z]+)(?:\(([^()]+)\))?(!)?: (.*)$`)

// ReadCommit reads a message, if it follows the convention.
func ReadCommit(hash, subject, body string) (Commit, bool) {
	parts := convention.FindStringSubmatch(subject)
	if parts == nil || strings.Trim(parts[4], blank) == "" {
		return Commit{}, false
	}
	commit := Commit{hash, parts[1], parts[2], strings.Trim(parts[4], blank), parts[3] == "!"}
	if change, found := breakingChange(body); found {
		commit.Breaking = true
		commit.Description = change
	}
	return commit, true
}

// What a line of the body says about a breaking change.
func breakingChange(body string) (string, bool) {
	for line := range strings.Lines(body) {
		for _, mark := range []string{"BREAKING CHANGE: ", "BREAKING-CHANGE: "} {
			if text, found := strings.CutPrefix(line, mark); found {
				return strings.Trim(text, blank), true
			}
		}
	}
	return "", false
}

// Section is the section in markdown.
func Section(heading string, commits []Commit) string {
	groups := []struct {
		title string
		has   func(Commit) bool
	}{
		{"Breaking changes", func(c Commit) bool { return c.Breaking }},
		{"Features", func(c Commit) bool { return c.Type == "feat" && !c.Breaking }},
		{"Fixes", func(c Commit) bool { return c.Type == "fix" && !c.Breaking }},
		{"Performance", func(c Commit) bool { return c.Type == "perf" && !c.Breaking }},
	}
	var lists strings.Builder
	for _, group := range groups {
		title := "\n### " + group.title + "\n\n"
		for _, commit := range commits {
			if group.has(commit) {
				lists.WriteString(title + commit.line())
				title = ""
			}
		}
	}
	if lists.Len() == 0 {
		lists.WriteString("\nNo changes that users notice.\n")
	}
	return "## " + heading + "\n" + lists.String()
}

// New is a changelog with this section alone.
func New(section string) []byte {
	return []byte("# Changelog\n\n" + section)
}

var title = regexp.MustCompile(`(?m)^# .*\n?(?:[ \t\r]*\n)*`)

// Insert puts the section on top of a changelog, below its title. What was there stays as it is, byte for byte.
func Insert(section string, changelog []byte) []byte {
	at := 0
	if found := title.FindIndex(changelog); found != nil {
		at = found[1]
	}
	above, below := changelog[:at], changelog[at:]
	lineBreak := ""
	if at > 0 && above[at-1] != '\n' {
		lineBreak = "\n\n"
	}
	return slices.Concat(above, []byte(lineBreak+section+"\n"), below)
}
