// Package containers builds, tags and pushes images. The world needs `import oxide:ci/containers@0.1.0;`.
package containers

import (
	"sort"

	bindings "oxide/bindings/oxide_ci_containers"
	"oxide/internal/host"
	"oxide/wit/types"
)

// Options say what to build. The zero value is the Dockerfile at the top of the workspace.
type Options struct {
	// Context is a directory of the workspace; empty for its top.
	Context string
	// Dockerfile is relative to the context; empty for `Dockerfile`.
	Dockerfile string
	// Target is the stage to build; empty for the last one.
	Target string
	// BuildArgs are names and values for `ARG`.
	BuildArgs map[string]string
	// Labels of the image.
	Labels map[string]string
	// Tags are names with tags that the image gets, such as `registry.example/app:1.2`.
	Tags []string
	// NoCache leaves layers of earlier builds alone.
	NoCache bool
}

// Image is an image that the engine has.
type Image struct {
	handle *bindings.Image
}

// Build builds an image of a directory of the workspace. What the build prints goes to the log.
func Build(options Options) (*Image, error) {
	texts := append([]string{options.Context, options.Dockerfile, options.Target}, options.Tags...)
	for _, pair := range append(pairs(options.BuildArgs), pairs(options.Labels)...) {
		texts = append(texts, pair.F0, pair.F1)
	}
	if err := host.CheckTexts(texts...); err != nil {
		return nil, err
	}
	context := options.Context
	if context == "" {
		context = "."
	}
	wanted := bindings.BuildOptions{
		Context:    context,
		Dockerfile: host.OrNone(options.Dockerfile),
		Target:     host.OrNone(options.Target),
		BuildArgs:  pairs(options.BuildArgs),
		Labels:     pairs(options.Labels),
		Tags:       options.Tags,
		NoCache:    options.NoCache,
	}
	return in(func(engine *bindings.Engine) types.Result[*bindings.Image, bindings.Error] {
		return engine.Build(wanted)
	})
}

// Find is an image that the engine has, by name or id.
func Find(reference string) (*Image, error) {
	if err := host.CheckTexts(reference); err != nil {
		return nil, err
	}
	return in(func(engine *bindings.Engine) types.Result[*bindings.Image, bindings.Error] {
		return engine.Image(reference)
	})
}

// ID is SHA-256 of the configuration, as `sha256:` and 64 hexadecimal digits.
func (i *Image) ID() string {
	return host.Method(i.handle, (*bindings.Image).Id)
}

// Tag gives the image another name, such as `registry.example/app:latest`.
func (i *Image) Tag(reference string) error {
	if err := host.CheckTexts(reference); err != nil {
		return err
	}
	return host.Done(host.Method(i.handle, func(image *bindings.Image) types.Result[types.Unit, bindings.Error] {
		return image.Tag(reference)
	}))
}

// Account is what an image is pushed with. Placeholders of secrets are replaced by their values.
type Account struct {
	Username, Password string
}

// Push gives the image this name and pushes it; account may be nil. The answer is the digest in the registry.
func (i *Image) Push(reference string, account *Account) (digest string, err error) {
	if err := host.CheckTexts(reference); err != nil {
		return "", err
	}
	credentials := types.None[bindings.Credentials]()
	if account != nil {
		credentials = types.Some(bindings.Credentials{Username: account.Username, Password: account.Password})
	}
	return host.Value(host.Method(i.handle, func(image *bindings.Image) types.Result[string, bindings.Error] {
		return image.Push(reference, credentials)
	}))
}

func in(call func(*bindings.Engine) types.Result[*bindings.Image, bindings.Error]) (*Image, error) {
	engine, err := host.Value(host.Call(bindings.Open))
	if err != nil {
		return nil, err
	}
	defer engine.Drop()
	image, err := host.Value(host.Method(engine, call))
	if err != nil {
		return nil, err
	}
	return &Image{image}, nil
}

// The same options make the same call: sorted by name.
func pairs(values map[string]string) []types.Tuple2[string, string] {
	found := make([]types.Tuple2[string, string], 0, len(values))
	for name, value := range values {
		found = append(found, types.Tuple2[string, string]{F0: name, F1: value})
	}
	sort.Slice(found, func(a, b int) bool { return found[a].F0 < found[b].F0 })
	return found
}
