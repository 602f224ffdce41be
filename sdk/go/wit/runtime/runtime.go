// Package runtime has what the bindings need while they call and are called: handles of resources, and memory that the host
// writes to.
package runtime

import (
	"runtime"
	"slices"
	"strings"
	"unsafe"
)

// Handle is the number by which the host knows a resource. It is nil once it has been given away.
type Handle struct {
	number int32
}

// MakeHandle keeps a number that the host gave.
func MakeHandle(number int32) *Handle {
	handle := new(Handle)
	handle.Set(number)
	return handle
}

// Set keeps a number in a handle that has none.
func (h *Handle) Set(number int32) {
	if number == 0 {
		panic("the host gave no handle")
	}
	if h.number != 0 {
		panic("the handle is in use")
	}
	h.number = number
}

// Use is the number, which stays in the handle.
func (h *Handle) Use() int32 {
	if h.number == 0 {
		panic("the handle was given away or dropped before")
	}
	return h.number
}

// Take is the number, which leaves the handle.
func (h *Handle) Take() int32 {
	number := h.Use()
	h.number = 0
	return number
}

// TakeOrNil is the number, which leaves the handle, or 0 if it has left before.
func (h *Handle) TakeOrNil() int32 {
	number := h.number
	h.number = 0
	return number
}

// Allocate makes memory that stays where it is until the pinner lets go of it.
func Allocate(pinner *runtime.Pinner, size, align uintptr) unsafe.Pointer {
	if size == 0 {
		return nil
	}
	// Words are aligned as their type is: enough of them hold any size.
	var start unsafe.Pointer
	switch align {
	case 1:
		start = unsafe.Pointer(unsafe.SliceData(make([]uint8, size)))
	case 2:
		start = unsafe.Pointer(unsafe.SliceData(make([]uint16, (size+1)/2)))
	case 4:
		start = unsafe.Pointer(unsafe.SliceData(make([]uint32, (size+3)/4)))
	case 8:
		start = unsafe.Pointer(unsafe.SliceData(make([]uint64, (size+7)/8)))
	default:
		panic("no value of WIT is aligned like that")
	}
	pinner.Pin(start)
	return start
}

// Where the host writes what it hands over: texts and lists, the parameters of an export and the results of an import.
//
// It is no memory of Go's. The host asks for it in the middle of a call, when nothing of the host can be called; but Go asks it
// for the time when it makes room.
var written struct {
	start, next, end uintptr
}

// Unpin lets go of everything that the host wrote. What the bindings made of it is a copy.
func Unpin() {
	written.next = written.start
}

// String is a copy of a text that the host wrote.
func String(start *uint8, length uint32) string {
	return strings.Clone(unsafe.String(start, length))
}

// Slice is a copy of a list that the host wrote.
func Slice[T any](start *T, length uint32) []T {
	return slices.Clone(unsafe.Slice(start, length))
}

// Go has started; before, it is the adapter of the older WASI that asks for memory, and it keeps what it gets.
var started bool

func init() {
	started = true
}

//go:linkname sbrk runtime.sbrk
func sbrk(size uintptr) unsafe.Pointer

//go:nosplit
//go:wasmexport cabi_realloc
func cabiRealloc(old, oldSize, align, size uintptr) uintptr {
	if old != 0 || oldSize != 0 {
		panic("memory cannot be made larger")
	}
	if !started {
		return aligned(uintptr(sbrk(size+align)), align)
	}
	start := aligned(written.next, align)
	if written.start == 0 || start+size > written.end {
		room := max(aligned(size+align, 64<<10), min(2*(written.end-written.start), 1<<20))
		written.start = uintptr(sbrk(room))
		if written.start == 0 {
			panic("the memory of the step is used up")
		}
		written.end = written.start + room
		start = aligned(written.start, align)
	}
	written.next = start + size
	return start
}

//go:nosplit
func aligned(address, align uintptr) uintptr {
	return (address + align - 1) &^ (align - 1)
}
