// Package secrets has secrets as handles: a plugin spends a secret without reading it. The world needs
// `import oxide:ci/secrets@0.1.0;`.
package secrets

import (
	bindings "oxide/bindings/oxide_ci_secrets"
	"oxide/internal/host"
	"oxide/wit/types"
)

// Secret is a secret that the step was granted.
type Secret struct {
	handle *bindings.Secret
}

// Names are the names of the secrets that the step was granted, sorted.
func Names() []string {
	return host.Call(bindings.Names)
}

// Open opens a secret by name. It is an error [oxide.Denied] if the step was not granted it.
func Open(name string) (*Secret, error) {
	if err := host.CheckTexts(name); err != nil {
		return nil, err
	}
	handle, err := host.Value(host.Call(func() types.Result[*bindings.Secret, bindings.Error] { return bindings.Open(name) }))
	if err != nil {
		return nil, err
	}
	return &Secret{handle}, nil
}

// Close gives the handle of the secret back. Go does so as well, but late: a step may hold 4,096 handles.
func (s *Secret) Close() {
	s.handle.Drop()
}

// Name is the name of the secret.
func (s *Secret) Name() string {
	return host.Method(s.handle, (*bindings.Secret).Name)
}

// Placeholder is a text that the host replaces by the value: in the environment of a command, its input, a request.
func (s *Secret) Placeholder() string {
	return host.Method(s.handle, (*bindings.Secret).Placeholder)
}

// String is the placeholder.
func (s *Secret) String() string { return s.Placeholder() }

// Reveal is the value itself. It is an error [oxide.Denied] unless the pipeline grants `reveal` for this secret.
func (s *Secret) Reveal() (string, error) {
	return host.Value(host.Method(s.handle, (*bindings.Secret).Reveal))
}
