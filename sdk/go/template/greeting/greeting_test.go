package greeting

import "testing"

func TestGreets(t *testing.T) {
	for _, test := range []struct {
		name  string
		shout bool
		want  string
	}{
		{"Ada", false, "Hello, Ada!"},
		{"Zoë", true, "HELLO, ZOË!"},
	} {
		if got := For(test.name, test.shout); got != test.want {
			t.Errorf("For(%q, %v) is %q, not %q", test.name, test.shout, got, test.want)
		}
	}
}
