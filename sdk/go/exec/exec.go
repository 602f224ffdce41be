// Package exec runs commands where the job runs them. The world needs `import oxide:ci/environment@0.1.0;`.
//
//	out, err := exec.Command("git", "rev-parse", "HEAD").Output()
//
// There is no shell, and what a command prints goes to the log of the step unless the plugin asks for it.
package exec

import (
	"fmt"
	"io"
	"sort"

	env "oxide/bindings/oxide_ci_environment"
	"oxide/internal/host"
	"oxide/wit/types"
)

// Destination is where the bytes go that a command prints.
type Destination uint8

// Where the bytes of a command go.
const (
	// ToLog is the log of the step.
	ToLog Destination = iota
	// ToPlugin is the plugin, which reads them.
	ToPlugin
	// ToNowhere throws them away.
	ToNowhere
)

// Cmd is a command that has not been started.
type Cmd struct {
	// Args are the program and its arguments.
	Args []string
	// Env is added to the environment of the step. Values may hold placeholders of secrets.
	Env map[string]string
	// Dir is the working directory, relative to the workspace; empty for its top.
	Dir string
	// Stdin is what the command reads. It may hold placeholders of secrets.
	Stdin []byte
	// Stdout and Stderr say where the output goes. One of them can go to the plugin, which reads one after the other:
	// a command could wait for ever for the other one to be read.
	Stdout, Stderr Destination
}

// Command is a command that runs a program with arguments.
func Command(program string, args ...string) *Cmd {
	return &Cmd{Args: append([]string{program}, args...)}
}

// ExitError is the error of a command that ended with another exit code than 0. Returned from the plugin's function it fails the step
// with this exit code.
type ExitError struct {
	// Program is what ran.
	Program string
	// Code is the exit code; 128 and the number of the signal if one ended it.
	Code int
	// Signal is the signal that ended it, or 0.
	Signal int
}

func (e *ExitError) Error() string {
	if e.Signal != 0 {
		return fmt.Sprintf("`%s` was ended by signal %d", e.Program, e.Signal)
	}
	return fmt.Sprintf("`%s` ended with exit code %d", e.Program, e.Code)
}

// ExitCode is the exit code.
func (e *ExitError) ExitCode() int { return e.Code }

// Run starts the command and waits for its end. An exit code other than 0 is an [ExitError].
func (c *Cmd) Run() error {
	if c.Stdout == ToPlugin || c.Stderr == ToPlugin {
		return fmt.Errorf("nobody reads the output of `%s`: use Output or Start", c.program())
	}
	process, err := c.Start()
	if err != nil {
		return err
	}
	return process.Wait()
}

// Output runs the command and returns what it printed to its standard output, also beside an [ExitError].
func (c *Cmd) Output() ([]byte, error) {
	command := *c
	command.Stdout = ToPlugin
	process, err := command.Start()
	if err != nil {
		return nil, err
	}
	out, err := process.readAll()
	if err != nil {
		return nil, err
	}
	return out, process.Wait()
}

// Start starts the command.
func (c *Cmd) Start() (*Process, error) {
	if len(c.Args) == 0 {
		return nil, fmt.Errorf("the command has no program: set Args")
	}
	if c.Stdout == ToPlugin && c.Stderr == ToPlugin {
		return nil, fmt.Errorf("either Stdout or Stderr of `%s` goes to the plugin, not both", c.program())
	}
	texts := append([]string{c.Dir}, c.Args...)
	for name, value := range c.Env {
		texts = append(texts, name, value)
	}
	if err := host.CheckTexts(texts...); err != nil {
		return nil, err
	}
	current, err := host.Value(host.Call(env.Current))
	if err != nil {
		return nil, err
	}
	defer current.Drop()
	command := host.Method(current, func(e *env.Environment) *env.Command { return e.Command(c.program()) })
	defer command.Drop()
	if err := c.build(command); err != nil {
		return nil, err
	}
	started, err := host.Value(host.Method(command, (*env.Command).Spawn))
	if err != nil {
		return nil, err
	}
	process := &Process{handle: started, program: c.program()}
	switch {
	case c.Stdout == ToPlugin:
		process.Output = &reader{started, (*env.Process).ReadStdout}
	case c.Stderr == ToPlugin:
		process.Output = &reader{started, (*env.Process).ReadStderr}
	}
	return process, nil
}

func (c *Cmd) program() string {
	if len(c.Args) == 0 {
		return ""
	}
	return c.Args[0]
}

func (c *Cmd) build(command *env.Command) error {
	set := func(call func(*env.Command)) {
		host.Method(command, func(command *env.Command) types.Unit {
			call(command)
			return types.Unit{}
		})
	}
	try := func(call func(*env.Command) types.Result[types.Unit, env.Error]) error {
		return host.Done(host.Method(command, call))
	}
	for _, arg := range c.Args[1:] {
		set(func(command *env.Command) { command.Arg(arg) })
	}
	for _, name := range sorted(c.Env) {
		err := try(func(command *env.Command) types.Result[types.Unit, env.Error] { return command.Env(name, c.Env[name]) })
		if err != nil {
			return err
		}
	}
	if c.Dir != "" {
		err := try(func(command *env.Command) types.Result[types.Unit, env.Error] { return command.WorkingDirectory(c.Dir) })
		if err != nil {
			return err
		}
	}
	if c.Stdin != nil {
		set(func(command *env.Command) { command.Stdin(c.Stdin) })
	}
	set(func(command *env.Command) { command.Stdout(outputTo(c.Stdout)) })
	set(func(command *env.Command) { command.Stderr(outputTo(c.Stderr)) })
	return nil
}

// The host writes down the order of calls: the same plugin does the same twice.
func sorted(values map[string]string) []string {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

func outputTo(to Destination) env.OutputTo {
	switch to {
	case ToPlugin:
		return env.OutputToPiped
	case ToNowhere:
		return env.OutputToDiscarded
	default:
		return env.OutputToLog
	}
}

// Process is a command that runs, or has ended.
type Process struct {
	// Output is what goes to the plugin; nil if nothing does.
	Output io.Reader

	handle  *env.Process
	program string
	// How it ended, once that is known.
	ended bool
	err   error
}

// Wait waits for the end of the process. What it still prints to the plugin is thrown away: read it before. An exit code other than 0
// is an [ExitError].
func (p *Process) Wait() error {
	if p.ended {
		return p.err
	}
	if p.Output != nil {
		if _, err := io.Copy(io.Discard, p.Output); err != nil {
			return err
		}
	}
	exit, err := host.Value(host.Method(p.handle, (*env.Process).Wait))
	if err != nil {
		return err
	}
	p.ended, p.err = true, p.how(exit)
	if p.Output != nil {
		p.Output = nothing{}
	}
	// Go would do so when it collects its garbage, which may be after the 4,096 handles that a step may hold.
	p.handle.Drop()
	return p.err
}

// What is read of a process that has ended.
type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, io.EOF }

func (p *Process) how(exit env.Exit) error {
	if exit.Tag() == env.ExitSignalled {
		signal := int(exit.Signalled())
		return &ExitError{Program: p.program, Code: 128 + signal, Signal: signal}
	}
	if code := int(exit.Code()); code != 0 {
		return &ExitError{Program: p.program, Code: code}
	}
	return nil
}

// Interrupt asks the process to stop what it does, as Ctrl-C does.
func (p *Process) Interrupt() error { return p.signal(env.SignalInterrupt) }

// Terminate asks the process to end.
func (p *Process) Terminate() error { return p.signal(env.SignalTerminate) }

// Kill ends the process at once.
func (p *Process) Kill() error { return p.signal(env.SignalKill) }

func (p *Process) signal(signal env.Signal) error {
	if p.ended {
		return nil
	}
	return host.Done(host.Method(p.handle, func(process *env.Process) types.Result[types.Unit, env.Error] {
		return process.Signal(signal)
	}))
}

func (p *Process) readAll() ([]byte, error) {
	var all []byte
	for {
		part, err := p.Output.(*reader).read(readBytes)
		if err != nil || len(part) == 0 {
			return all, err
		}
		all = append(all, part...)
	}
}

// What one call of the host brings.
const readBytes = 256 << 10

type reader struct {
	process *env.Process
	from    func(*env.Process, uint32) types.Result[[]byte, env.Error]
}

func (r *reader) read(length uint32) ([]byte, error) {
	return host.Value(host.Method(r.process, func(process *env.Process) types.Result[[]byte, env.Error] {
		return r.from(process, length)
	}))
}

// Read is [io.Reader].
func (r *reader) Read(into []byte) (int, error) {
	if len(into) == 0 {
		return 0, nil
	}
	part, err := r.read(uint32(min(len(into), readBytes)))
	if err != nil {
		return 0, err
	}
	if len(part) == 0 {
		return 0, io.EOF
	}
	return copy(into, part), nil
}

// LookPath looks a program up on the search path of the job's environment; the path is empty if it is not there.
func LookPath(program string) (string, error) {
	if err := host.CheckTexts(program); err != nil {
		return "", err
	}
	current, err := host.Value(host.Call(env.Current))
	if err != nil {
		return "", err
	}
	defer current.Drop()
	path, err := host.Value(host.Method(current, func(e *env.Environment) types.Result[types.Option[string], env.Error] {
		return e.FindProgram(program)
	}))
	if err != nil {
		return "", err
	}
	return path.SomeOr(""), nil
}

// WorkspacePath is the path of the workspace as commands see it.
func WorkspacePath() (string, error) {
	current, err := host.Value(host.Call(env.Current))
	if err != nil {
		return "", err
	}
	defer current.Drop()
	return host.Method(current, (*env.Environment).WorkspacePath), nil
}
