// Package artifacts keeps files that outlive their job. The world needs `import oxide:ci/artifacts@0.1.0;`.
package artifacts

import (
	bindings "oxide/bindings/oxide_ci_artifacts"
	"oxide/internal/host"
	"oxide/wit/types"
)

// Artifact is what is known of an artifact: Name, Files, Size, Digest and ExpiresAt (seconds since 1970, UTC).
type Artifact = bindings.Artifact

// Upload keeps files of the workspace under a name, for so many days; 0 is the default. Paths may be globs; `!` before one leaves out what
// it means.
func Upload(name string, retentionDays uint32, paths ...string) (Artifact, error) {
	if err := host.CheckTexts(append([]string{name}, paths...)...); err != nil {
		return Artifact{}, err
	}
	return in(func(store *bindings.ArtifactStore) types.Result[Artifact, bindings.Error] {
		return store.Upload(name, paths, host.OrNone(retentionDays))
	})
}

// Download puts the files of an artifact of this run below a directory of the workspace (`.` is its top).
func Download(name, directory string) (Artifact, error) {
	if err := host.CheckTexts(name, directory); err != nil {
		return Artifact{}, err
	}
	return in(func(store *bindings.ArtifactStore) types.Result[Artifact, bindings.Error] {
		return store.Download(name, directory)
	})
}

// List is the artifacts that the run has so far, sorted by name.
func List() ([]Artifact, error) {
	return in((*bindings.ArtifactStore).List)
}

func in[T any](call func(*bindings.ArtifactStore) types.Result[T, bindings.Error]) (T, error) {
	store, err := host.Value(host.Call(bindings.Open))
	if err != nil {
		var none T
		return none, err
	}
	defer store.Drop()
	return host.Value(host.Method(store, call))
}
