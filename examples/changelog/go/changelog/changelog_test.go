package changelog

import (
	"reflect"
	"strings"
	"testing"
)

func TestReadsCommitsThatFollowTheConvention(t *testing.T) {
	for _, test := range []struct {
		subject, body string
		want          Commit
	}{
		{"feat(日本語): colours: all", "", Commit{"a1", "feat", "日本語", "colours: all", false}},
		{"fix!: colours", "", Commit{"a1", "fix", "", "colours", true}},
		{"fix: colours", "Text.\n\nBREAKING CHANGE: no grey\nReviewed-by: Ada\n", Commit{"a1", "fix", "", "no grey", true}},
		{"fix!: colours", "BREAKING-CHANGE: no grey", Commit{"a1", "fix", "", "no grey", true}},
		{"fix: colours", "No BREAKING CHANGE: nothing", Commit{"a1", "fix", "", "colours", false}},
	} {
		if got, conventional := ReadCommit("a1", test.subject, test.body); !conventional || got != test.want {
			t.Errorf("%q is %+v, not %+v", test.subject, got, test.want)
		}
	}
}

func TestRefusesWhatIsNoConvention(t *testing.T) {
	for _, subject := range []string{"", "quick fix", "fix:x", "fix(a: x", "fix2: x", ": x", "fix (a): x", "fix: ", "Просто: x", "fix(): x"} {
		if got, conventional := ReadCommit("a1", subject, ""); conventional {
			t.Errorf("%q is %+v", subject, got)
		}
	}
}

func TestCountsAllAndSkipsMerges(t *testing.T) {
	log, err := ReadLog(strings.NewReader("a\x1fMerge x\x1f\x1e\nb\x1foops\x1f\x1e\nc\x1fperf: x\x1fline\n\x1e\nd\x1fdocs: x\x1f\x1e\n"))
	want := Log{[]Commit{{"c", "perf", "", "x", false}}, [][2]string{{"b", "oops"}}, 4}
	if err != nil || !reflect.DeepEqual(log, want) || log.Bump() != Patch {
		t.Errorf("it is %+v, not %+v (%v)", log, want, err)
	}
}

func TestAnEmptyLogAsksForNoVersion(t *testing.T) {
	log, err := ReadLog(strings.NewReader(""))
	if err != nil || log.Count != 0 || log.Bump() != None {
		t.Errorf("it is %+v (%v)", log, err)
	}
}

func TestABreakingFeatureStandsUnderBreakingChangesOnly(t *testing.T) {
	got := Section("1", []Commit{{"a", "fix", "", "x", false}, {"b", "feat", "s", "y", true}})
	if want := "## 1\n\n### Breaking changes\n\n- **s:** y (b)\n\n### Fixes\n\n- x (a)\n"; got != want {
		t.Errorf("it is %q, not %q", got, want)
	}
	if want := "## 1\n\nNo changes that users notice.\n"; Section("1", nil) != want {
		t.Errorf("it is %q, not %q", Section("1", nil), want)
	}
}

func TestTheSectionGoesBelowTheTitle(t *testing.T) {
	for changelog, want := range map[string]string{
		"x\n# T\n\n\n## 1\n# U\n": "x\n# T\n\n\n## 2\n\n## 1\n# U\n",
		"# T":                     "# T\n\n## 2\n\n",
		"#T\n":                    "## 2\n\n#T\n",
		"\xff\n":                  "## 2\n\n\xff\n",
	} {
		if got := string(Insert("## 2\n", []byte(changelog))); got != want {
			t.Errorf("%q becomes %q, not %q", changelog, got, want)
		}
	}
	if got := string(New("## 1\n")); got != "# Changelog\n\n## 1\n" {
		t.Errorf("a new one is %q", got)
	}
}
