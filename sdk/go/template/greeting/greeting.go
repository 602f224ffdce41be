// Package greeting is what is said. It knows nothing of plugins, so it is tested as any other Go.
package greeting

import (
	"fmt"
	"strings"
)

// For is the greeting for somebody.
func For(name string, shout bool) string {
	text := fmt.Sprintf("Hello, %s!", name)
	if shout {
		return strings.ToUpper(text)
	}
	return text
}
