package thornback

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"thornback.dev/go/internal/pb"
	"thornback.dev/go/internal/session"
	"thornback.dev/go/internal/wire"
)

const (
	language = "go"
	// Bounds of the specification: ERROR-006 and ERROR-007.
	stackBytesMax = 64 << 10
	causesMax     = 32
)

// ID names a task, actor, object or placement group: 16 bytes, made by whoever made the thing. An id is no secret and gives no right.
type ID = wire.ID

// Error is every failure that Thornback reports, whatever language it began in. Get it out of an error with errors.As; compare its code with errors.Is and a Code.
//
// A failure of user code has CodeTaskFailed; Types, Language and Stack then say what was raised, and Cause what led to it, which may come from
// another language. An Error is not changed after it was made.
type Error struct {
	// Code is the kind of failure.
	Code Code
	// Message says what happened and, where the reader can do something, what.
	Message string
	// Types names the type of what user code raised and all types that it also is, most derived first, as Language names them.
	Types []string
	// Language of the code that raised it: "go", "python", "rust", "typescript"; empty if the server made the failure.
	Language string
	// Stack as that language prints it.
	Stack string
	// Cause is what led to it; nil if nothing is known.
	Cause *Error
	// Task and Actor are those that failed; zero if it was none.
	Task, Actor ID
	// Details are particulars for programs; each may be absent.
	Details map[string]string

	// As it came: passed on untouched, with what this version does not know.
	failure *pb.Failure
	// What Go code waited with, for errors.Is.
	wrapped error
}

// Error is the code and the message.
func (e *Error) Error() string { return e.Code.String() + ": " + e.Message }

// Unwrap is the cause, for errors.Is and errors.As.
func (e *Error) Unwrap() []error {
	var all []error
	if e.Cause != nil {
		all = append(all, e.Cause)
	}
	if e.wrapped != nil {
		all = append(all, e.wrapped)
	}
	return all
}

// Is makes errors.Is take a Code, context.DeadlineExceeded (for CodeGetTimeout and CodeDeadlineExceeded) and context.Canceled (for CodeCancelled).
func (e *Error) Is(target error) bool {
	if code, ok := target.(Code); ok {
		return e.Code == code
	}
	switch e.Code {
	case CodeGetTimeout, CodeDeadlineExceeded:
		return target == context.DeadlineExceeded
	case CodeCancelled:
		return target == context.Canceled
	}
	return false
}

// Timeout reports whether time ran out, as for a net.Error.
func (e *Error) Timeout() bool { return e.Code == CodeGetTimeout || e.Code == CodeDeadlineExceeded }

// IsType reports whether user code raised an error of this type or one that is also of it. The name may be given whole, as in Types
// ("builtins.KeyError"), or without its package ("KeyError").
func (e *Error) IsType(name string) bool {
	return slices.ContainsFunc(e.Types, func(full string) bool {
		if full == name {
			return true
		}
		rest, ok := strings.CutSuffix(full, name)
		return ok && (strings.HasSuffix(rest, ".") || strings.HasSuffix(rest, "::"))
	})
}

// NewError makes an error for a task or actor to return, with a type name of its own choice that callers in any language can tell it by, as "shop.SoldOut".
// The cause may be nil.
func NewError(typeName, message string, cause error) *Error {
	e := &Error{Code: CodeTaskFailed, Message: message, Types: []string{typeName, "error"}, Language: language, Stack: callers(3)}
	if cause != nil {
		e.Cause = errorOf(failureOf(cause, "", causesMax-1))
		e.wrapped = cause
	}
	return e
}

func failed(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) *Error { return failed(CodeInvalidArgument, format, args...) }

// waited is the error of a wait that ctx ended.
func waited(ctx context.Context, format string, args ...any) error {
	cause := context.Cause(ctx)
	var own *Error
	switch {
	case errors.As(cause, &own):
		return cause
	case errors.Is(cause, context.DeadlineExceeded):
		e := failed(CodeGetTimeout, format, args...)
		e.wrapped = cause
		return e
	}
	return fmt.Errorf("thornback: "+format+": %w", append(args, cause)...)
}

// errorOf makes an Error of a failure. Chains may be as long as the sender likes, so it does not recurse.
func errorOf(f *pb.Failure) *Error {
	if f == nil {
		return nil
	}
	first := oneError(f)
	for e := first; e.failure.GetCause() != nil; e = e.Cause {
		e.Cause = oneError(e.failure.GetCause())
	}
	return first
}

func oneError(f *pb.Failure) *Error {
	e := &Error{
		Code: Code(f.GetCode()), Message: f.GetMessage(), Types: f.GetTypes(), Language: f.GetLanguage(), Stack: f.GetStack(),
		Details: f.GetDetails(), failure: f,
	}
	e.Task, _ = wire.ParseID(f.GetTask())
	e.Actor, _ = wire.ParseID(f.GetActor())
	return e
}

func errorOfBytes(msg []byte) *Error {
	var f pb.Failure
	if err := proto.Unmarshal(msg, &f); err != nil {
		return failed(CodeMalformedFrame, "the node sent a failure that cannot be read: %v", err)
	}
	return errorOf(&f)
}

// sessionError is what the end of a session means to whoever waits.
func sessionError(err error) *Error {
	var end *session.EndError
	if errors.As(err, &end) {
		return errorOf(end.Failure)
	}
	return failed(CodeConnectionLost, "%v", err)
}

// toFailure is the message of an Error.
func (e *Error) toFailure(depth int) *pb.Failure {
	if e.failure != nil {
		return e.failure
	}
	f := &pb.Failure{
		Code: uint32(e.Code), Message: valid(e.Message), Types: e.Types, Language: e.Language, Stack: cutMiddle(e.Stack), Details: e.Details,
		Task: idBytes(e.Task), Actor: idBytes(e.Actor),
	}
	if e.Cause != nil && depth > 0 {
		f.Cause = e.Cause.toFailure(depth - 1)
	}
	return f
}

// failureOf is what to tell of an error that user code returned. An error that came out of Thornback is passed on as it was; what wraps
// another has that as its cause.
func failureOf(err error, stack string, depth int) *pb.Failure {
	// An error type may panic when it is asked what it says.
	message, types := describe(err)
	if own, ok := err.(*Error); ok {
		return own.toFailure(depth)
	}
	f := &pb.Failure{Code: uint32(CodeTaskFailed), Message: message, Types: types, Language: language, Stack: cutMiddle(stack)}
	if f.Stack == "" {
		f.Stack = message
	}
	if cause := unwrapOne(err); cause != nil && depth > 0 {
		f.Cause = failureOf(cause, "", depth-1)
	}
	return f
}

func unwrapOne(err error) error {
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return e.Unwrap()
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			if one != nil {
				return one
			}
		}
	}
	return nil
}

func describe(err error) (message string, types []string) {
	types = []string{typeName(err), "error"}
	defer func() {
		if p := recover(); p != nil {
			message = fmt.Sprintf("<its Error method panicked: %v>", p)
		}
	}()
	return valid(err.Error()), types
}

func typeName(v any) string {
	t := reflect.TypeOf(v)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.String()
}

// panicFailure is what to tell of a panic.
func panicFailure(value any) *pb.Failure {
	stack := string(debug.Stack())
	if err, ok := value.(error); ok {
		f := failureOf(err, stack, causesMax)
		if _, own := err.(*Error); !own {
			f.Types = []string{f.Types[0], "panic", "error"}
			f.Message = "panic: " + f.Message
		}
		return f
	}
	return &pb.Failure{
		Code: uint32(CodeTaskFailed), Message: valid(fmt.Sprintf("panic: %v", value)), Types: []string{"panic", "error"}, Language: language,
		Stack: cutMiddle(stack),
	}
}

// raised wraps what a task returns so that the failure is the task's own (ERROR-007): what came from another task becomes its cause.
func raised(err error, stack string) *pb.Failure {
	own, ok := err.(*Error)
	if !ok {
		return failureOf(err, stack, causesMax)
	}
	if own.failure == nil && own.Code == CodeTaskFailed {
		return own.toFailure(causesMax)
	}
	return &pb.Failure{
		Code: uint32(CodeTaskFailed), Message: valid(own.Message), Types: []string{"thornback.Error", "error"}, Language: language,
		Stack: cutMiddle(stack), Cause: cutChain(own.toFailure(causesMax)),
	}
}

// cutChain takes the middle out of a chain that has no room for one cause more.
func cutChain(f *pb.Failure) *pb.Failure {
	var chain []*pb.Failure
	for at := f; at != nil; at = at.GetCause() {
		chain = append(chain, at)
	}
	if len(chain) <= causesMax {
		return f
	}
	kept := slices.Concat(chain[:causesMax/2], chain[len(chain)-causesMax/2:])
	var next *pb.Failure
	for i := len(kept) - 1; i >= 0; i-- {
		one, _ := proto.Clone(withoutCause(kept[i])).(*pb.Failure)
		one.Cause = next
		next = one
	}
	return next
}

func withoutCause(f *pb.Failure) *pb.Failure {
	bare := &pb.Failure{
		Code: f.GetCode(), Message: f.GetMessage(), Types: f.GetTypes(), Language: f.GetLanguage(), Stack: f.GetStack(),
		Task: f.GetTask(), Actor: f.GetActor(), Details: f.GetDetails(), Exception: f.GetException(),
	}
	bare.ProtoReflect().SetUnknown(f.ProtoReflect().GetUnknown())
	return bare
}

// cutMiddle keeps both ends of a stack that is too long.
func cutMiddle(stack string) string {
	if len(stack) > stackBytesMax {
		const gap = "\n…\n"
		half := (stackBytesMax - len(gap)) / 2
		stack = stack[:half] + gap + stack[len(stack)-half:]
	}
	return valid(stack)
}

// valid is the text without what is no UTF-8: protobuf takes nothing else.
func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// callers is the stack above its caller, as Go prints one.
func callers(skip int) string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(skip, pcs)])
	var b strings.Builder
	for {
		frame, more := frames.Next()
		if frame.Function != "" {
			fmt.Fprintf(&b, "%s(...)\n\t%s:%d\n", frame.Function, frame.File, frame.Line)
		}
		if !more {
			return b.String()
		}
	}
}

func idBytes(id ID) []byte {
	if id.IsZero() {
		return nil
	}
	return id[:]
}
