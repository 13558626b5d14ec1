package thornback

import (
	"context"
	"os"

	"thornback.dev/go/internal/pb"
)

// Pool is workers that serve the same functions, and how to start them.
type Pool struct {
	// Name is what InPool and the workers' environment call it.
	Name string
	// Command is the program and its arguments; empty where workers only dial in by themselves.
	Command []string
	// Language of its workers, for people. The default is "go".
	Language string
	// Env is variables for its workers. Of the node's own environment they get only what a program needs to start.
	Env map[string]string
	// Dir is the directory that its workers start in. The default is that of this program.
	Dir string
	// Template says that the command starts a process that forks workers on request (protocol/spec/worker.md). Go programs cannot be such.
	Template bool
	// Prestart is how many workers to start ahead of time.
	Prestart int
	// Default makes it the pool of the session's functions with shipped code.
	Default bool
	// Functions that it serves, so that they can be called before a worker runs.
	Functions []string
	// Interface is what its workers have to serve, as generated code lists it: one that does not, or with other signatures, is turned away when it says hello.
	Interface []*Contract
}

// ThisProgram is a pool whose workers are this program, started again with the same arguments. Its main function asks IsWorker first, and serves if so.
func ThisProgram(name string, functions ...string) (Pool, error) {
	path, err := os.Executable()
	if err != nil {
		return Pool{}, failed(CodeInternal, "this program does not know where it lies: %v", err)
	}
	return Pool{Name: name, Command: append([]string{path}, os.Args[1:]...), Functions: functions}, nil
}

// DeclarePool tells the node of a pool. One of that name is replaced for workers that are started from then on.
func (c *Client) DeclarePool(ctx context.Context, pool Pool) error {
	if pool.Prestart < 0 {
		return invalid("a pool cannot have %d workers started ahead of time", pool.Prestart)
	}
	dir := pool.Dir
	if dir == "" {
		here, err := os.Getwd()
		if err != nil {
			return failed(CodeInternal, "the working directory is not known: %v", err)
		}
		dir = here
	}
	kind := pool.Language
	if kind == "" {
		kind = language
	}
	_, err := c.link.request(ctx, &pb.Request{Request: &pb.Request_DeclarePool{DeclarePool: &pb.DeclarePool{
		Name: pool.Name, Language: kind, Command: pool.Command, Env: pool.Env, WorkingDir: dir, Template: pool.Template,
		Prestart: uint32(pool.Prestart), DefaultForSession: pool.Default, Functions: pool.Functions,
		Interface: announced(pool.Interface),
	}}})
	return err
}
