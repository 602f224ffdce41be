// Package workspace is the files of the job. The world needs `import oxide:ci/workspace@0.1.0;`.
//
// The functions work at the top of the workspace, and [Open] gives a [Directory] below it with the same methods. No path leads out:
// absolute paths, `..` above the top and links that leave it are errors.
package workspace

import (
	"bytes"

	ws "oxide/bindings/oxide_ci_workspace"
	"oxide/internal/host"
	"oxide/wit/types"
)

// Kind is what a path leads to.
type Kind = ws.EntryKind

// What a path leads to.
const (
	File         = ws.EntryKindFile
	Folder       = ws.EntryKindDirectory
	SymbolicLink = ws.EntryKindSymbolicLink
	OtherKind    = ws.EntryKindOther
)

// Entry is what is known of one entry of a directory: Path, Kind, Size and Executable.
type Entry = ws.Entry

// Directory is a directory of the workspace and everything below it.
type Directory struct {
	handle *ws.Directory
}

// Root is the top of the workspace.
func Root() (*Directory, error) {
	handle, err := host.Value(host.Call(ws.Root))
	if err != nil {
		return nil, err
	}
	return &Directory{handle}, nil
}

// Close gives the handle of the directory back. Go does so as well, but late: a step may hold 4,096 handles.
func (d *Directory) Close() {
	d.handle.Drop()
}

// A call of the host carries 16 MiB.
const partBytes = 8 << 20

// ReadFile reads a whole file.
func (d *Directory) ReadFile(path string) ([]byte, error) {
	var contents []byte
	for {
		part, err := call(d, path, func(handle *ws.Directory) types.Result[[]byte, ws.Error] {
			return handle.ReadRange(path, uint64(len(contents)), partBytes)
		})
		if err != nil {
			return nil, err
		}
		if contents == nil && len(part) < partBytes {
			return part, nil
		}
		contents = append(contents, part...)
		if len(part) < partBytes {
			return contents, nil
		}
	}
}

// WriteFile writes a whole file, in the place of what was there, and makes the directories above it.
func (d *Directory) WriteFile(path string, contents []byte) error {
	first := contents[:min(len(contents), partBytes)]
	err := do(d, path, func(handle *ws.Directory) types.Result[types.Unit, ws.Error] { return handle.Write(path, first) })
	if err != nil || len(first) == len(contents) {
		return err
	}
	return d.AppendFile(path, contents[len(first):])
}

// AppendFile appends to a file, which is made if it is not there.
func (d *Directory) AppendFile(path string, contents []byte) error {
	for {
		part := contents[:min(len(contents), partBytes)]
		err := do(d, path, func(handle *ws.Directory) types.Result[types.Unit, ws.Error] { return handle.Append(path, part) })
		contents = contents[len(part):]
		if err != nil || len(contents) == 0 {
			return err
		}
	}
}

// Mkdir makes a directory and those above it. Nothing happens if it is there.
func (d *Directory) Mkdir(path string) error {
	return do(d, path, func(handle *ws.Directory) types.Result[types.Unit, ws.Error] { return handle.CreateDirectory(path) })
}

// ReadDir lists one directory, sorted by name; `.` is the directory itself.
func (d *Directory) ReadDir(path string) ([]Entry, error) {
	return call(d, path, func(handle *ws.Directory) types.Result[[]Entry, ws.Error] { return handle.List(path) })
}

// Glob finds the files that match (`**` crosses directories), sorted by path.
func (d *Directory) Glob(pattern string) ([]Entry, error) {
	return call(d, pattern, func(handle *ws.Directory) types.Result[[]Entry, ws.Error] { return handle.Glob(pattern) })
}

// Stat tells what a path leads to, without following a link at its end.
func (d *Directory) Stat(path string) (Entry, error) {
	return call(d, path, func(handle *ws.Directory) types.Result[Entry, ws.Error] { return handle.Stat(path) })
}

// Remove removes a file, a link, or a directory with everything below it.
func (d *Directory) Remove(path string) error {
	return do(d, path, func(handle *ws.Directory) types.Result[types.Unit, ws.Error] { return handle.Remove(path) })
}

// Open opens a directory below this one.
func (d *Directory) Open(path string) (*Directory, error) {
	return opened(call(d, path, func(handle *ws.Directory) types.Result[*ws.Directory, ws.Error] { return handle.Open(path) }))
}

// OpenReadOnly opens a directory below this one that may not be written through what is returned.
func (d *Directory) OpenReadOnly(path string) (*Directory, error) {
	return opened(call(d, path, func(handle *ws.Directory) types.Result[*ws.Directory, ws.Error] {
		return handle.OpenReadOnly(path)
	}))
}

func call[T any](d *Directory, path string, function func(*ws.Directory) types.Result[T, ws.Error]) (T, error) {
	if err := host.CheckTexts(path); err != nil {
		var none T
		return none, err
	}
	return host.Value(host.Method(d.handle, function))
}

func do(d *Directory, path string, function func(*ws.Directory) types.Result[types.Unit, ws.Error]) error {
	_, err := call(d, path, function)
	return err
}

func opened(handle *ws.Directory, err error) (*Directory, error) {
	if err != nil {
		return nil, err
	}
	return &Directory{handle}, nil
}

// ReadFile reads a whole file.
func ReadFile(path string) ([]byte, error) {
	return in(func(root *Directory) ([]byte, error) { return root.ReadFile(path) })
}

// ReadText reads a whole file of UTF-8. Other bytes are replaced.
func ReadText(path string) (string, error) {
	contents, err := ReadFile(path)
	return string(bytes.ToValidUTF8(contents, []byte("\uFFFD"))), err
}

// WriteFile writes a whole file, in the place of what was there, and makes the directories above it.
func WriteFile(path string, contents []byte) error {
	return at(func(root *Directory) error { return root.WriteFile(path, contents) })
}

// WriteText writes a whole file, in the place of what was there, and makes the directories above it.
func WriteText(path, contents string) error {
	return WriteFile(path, []byte(contents))
}

// AppendFile appends to a file, which is made if it is not there.
func AppendFile(path string, contents []byte) error {
	return at(func(root *Directory) error { return root.AppendFile(path, contents) })
}

// Mkdir makes a directory and those above it. Nothing happens if it is there.
func Mkdir(path string) error {
	return at(func(root *Directory) error { return root.Mkdir(path) })
}

// ReadDir lists one directory, sorted by name; `.` is the top of the workspace.
func ReadDir(path string) ([]Entry, error) {
	return in(func(root *Directory) ([]Entry, error) { return root.ReadDir(path) })
}

// Glob finds the files that match (`**` crosses directories), sorted by path.
func Glob(pattern string) ([]Entry, error) {
	return in(func(root *Directory) ([]Entry, error) { return root.Glob(pattern) })
}

// Stat tells what a path leads to, without following a link at its end.
func Stat(path string) (Entry, error) {
	return in(func(root *Directory) (Entry, error) { return root.Stat(path) })
}

// Remove removes a file, a link, or a directory with everything below it.
func Remove(path string) error {
	return at(func(root *Directory) error { return root.Remove(path) })
}

// Open opens a directory of the workspace.
func Open(path string) (*Directory, error) {
	return in(func(root *Directory) (*Directory, error) { return root.Open(path) })
}

// OpenReadOnly opens a directory of the workspace that may not be written through what is returned.
func OpenReadOnly(path string) (*Directory, error) {
	return in(func(root *Directory) (*Directory, error) { return root.OpenReadOnly(path) })
}

func in[T any](call func(*Directory) (T, error)) (T, error) {
	root, err := Root()
	if err != nil {
		var none T
		return none, err
	}
	defer root.Close()
	return call(root)
}

func at(call func(*Directory) error) error {
	_, err := in(func(root *Directory) (types.Unit, error) { return types.Unit{}, call(root) })
	return err
}
