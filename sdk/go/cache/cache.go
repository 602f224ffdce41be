// Package cache keeps files that a later run can use again. The world needs `import oxide:ci/cache@0.1.0;`.
package cache

import (
	bindings "oxide/bindings/oxide_ci_cache"
	"oxide/internal/host"
	"oxide/wit/types"
)

// Entry is what is known of an entry: Key, Files, Size, Stored and SavedAt (seconds since 1970, UTC).
type Entry = bindings.Entry

// Restore puts the files of an entry back to where they were in the workspace: of the entry under the key, else of the newest one whose
// key begins with the first of the fallback keys for which there is one. It is nil if nothing fits.
func Restore(key string, fallbackKeys ...string) (*Entry, error) {
	if err := host.CheckTexts(append([]string{key}, fallbackKeys...)...); err != nil {
		return nil, err
	}
	store, err := host.Value(host.Call(bindings.Open))
	if err != nil {
		return nil, err
	}
	defer store.Drop()
	entry, err := host.Value(host.Method(store,
		func(store *bindings.CacheStore) types.Result[types.Option[Entry], bindings.Error] {
			return store.Restore(key, fallbackKeys)
		}))
	if err != nil {
		return nil, err
	}
	return host.Optional(entry), nil
}

// Save saves files and directories of the workspace under a key. Paths may be globs; `!` before one leaves out what it means. If there
// is an entry under this key already, it stays as it is, and isNew is false.
func Save(key string, paths ...string) (entry Entry, isNew bool, err error) {
	if err := host.CheckTexts(append([]string{key}, paths...)...); err != nil {
		return Entry{}, false, err
	}
	store, err := host.Value(host.Call(bindings.Open))
	if err != nil {
		return Entry{}, false, err
	}
	defer store.Drop()
	saved, err := host.Value(host.Method(store,
		func(store *bindings.CacheStore) types.Result[bindings.Saved, bindings.Error] {
			return store.Save(key, paths)
		}))
	if err != nil {
		return Entry{}, false, err
	}
	if saved.Tag() == bindings.SavedStored {
		return saved.Stored(), true, nil
	}
	return saved.Exists(), false, nil
}
