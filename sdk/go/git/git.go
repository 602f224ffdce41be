// Package git fetches commits; the host holds the credentials. The world needs `import oxide:ci/git@0.1.0;`.
package git

import (
	bindings "oxide/bindings/oxide_ci_git"
	"oxide/internal/host"
	"oxide/wit/types"
)

// Options say what to fetch. The zero value is all of the default branch.
type Options struct {
	// Ref is a branch, a tag, a full reference or a commit id; empty for the default branch.
	Ref string
	// Depth is how many commits of history to fetch; 0 for all.
	Depth uint32
	// Submodules fetches submodules, and theirs, too.
	Submodules bool
	// Sparse names the only directories to check out; empty for everything.
	Sparse []string
}

// Commit is what is known of a commit. What there is none of is empty.
type Commit struct {
	ID          string
	Branch      string
	Tag         string
	AuthorName  string
	AuthorEmail string
	// CommittedAt is in seconds since 1970 (UTC).
	CommittedAt int64
	// Subject is the first line of its message.
	Subject string
}

// Checkout fetches a commit of a remote and puts its files into a directory of the workspace (`.` is its top).
func Checkout(remote, path string, options Options) (Commit, error) {
	if err := host.CheckTexts(append([]string{remote, path, options.Ref}, options.Sparse...)...); err != nil {
		return Commit{}, err
	}
	repository, err := host.Value(host.Call(func() types.Result[*bindings.Repository, bindings.Error] {
		return bindings.Open(remote)
	}))
	if err != nil {
		return Commit{}, err
	}
	defer repository.Drop()
	wanted := bindings.FetchOptions{
		Ref:        host.OrNone(options.Ref),
		Depth:      host.OrNone(options.Depth),
		Submodules: options.Submodules,
		Sparse:     options.Sparse,
	}
	commit, err := host.Value(host.Method(repository,
		func(repository *bindings.Repository) types.Result[bindings.Commit, bindings.Error] {
			return repository.Checkout(path, wanted)
		}))
	if err != nil {
		return Commit{}, err
	}
	return Commit{
		ID:          commit.Id,
		Branch:      commit.Branch.SomeOr(""),
		Tag:         commit.Tag.SomeOr(""),
		AuthorName:  commit.AuthorName,
		AuthorEmail: commit.AuthorEmail,
		CommittedAt: commit.CommittedAt,
		Subject:     commit.Subject,
	}, nil
}
