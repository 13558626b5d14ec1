// Measures no-op tasks from one Go driver to one Go worker through the node, and prints one line of JSON:
// {"tasks_per_second": …, "actor_calls_per_second": …, "sync_p50_us": …}, medians.
//
//	go build -o bench_tasks ./examples/bench_tasks && THORNBACK_BINARY=…/thornback ./bench_tasks [-tasks N] [-rounds N] [-window N]
//
// With -profile DIR, the driver and the worker each leave CPU and allocation profiles there, for `go tool pprof`.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"time"

	thornback "thornback.dev/go"
)

// profileFolder is the worker's way to hear of -profile: it is started by the node.
const profileFolder = "THORNBACK_BENCH_PROFILE"

func nothing(n int) int { return n }

type echo struct{}

func (echo) Nothing(n int) int { return n }

func main() {
	log.SetFlags(0)
	if thornback.IsWorker() {
		if err := serve(context.Background()); err != nil {
			log.Fatal(err)
		}
		return
	}
	tasks := flag.Int("tasks", 200_000, "tasks of a round")
	window := flag.Int("window", 1_000, "tasks in flight at once: between half of it and all of it")
	rounds := flag.Int("rounds", 5, "rounds, of which the median counts")
	profile := flag.String("profile", "", "folder for profiles")
	flag.Parse()
	if err := drive(context.Background(), *tasks, *rounds, *window, *profile); err != nil {
		log.Fatal(err)
	}
}

func serve(ctx context.Context) error {
	worker := thornback.NewWorker()
	worker.Register("nothing", nothing)
	worker.RegisterActor("Echo", func() echo { return echo{} })
	stop, err := startProfile(os.Getenv(profileFolder), "worker")
	if err != nil {
		return err
	}
	worker.Register("stop_profile", stop)
	return worker.Serve(ctx)
}

func drive(ctx context.Context, tasks, rounds, window int, profile string) error {
	// One CPU, so that there is one worker.
	client, err := thornback.Local(ctx, thornback.NodeCPUs(1))
	if err != nil {
		return err
	}
	defer client.Close()
	pool, err := thornback.ThisProgram("bench", "nothing", "stop_profile", "Echo")
	if err != nil {
		return err
	}
	if profile != "" {
		pool.Env = map[string]string{profileFolder: profile}
	}
	if err := client.DeclarePool(ctx, pool); err != nil {
		return err
	}
	task, err := thornback.NewTask[int](client, "nothing")
	if err != nil {
		return err
	}
	class, err := thornback.NewClass(client, "Echo")
	if err != nil {
		return err
	}
	actor, err := class.Create(ctx)
	if err != nil {
		return err
	}
	method, err := thornback.NewMethod[int](actor, "Nothing")
	if err != nil {
		return err
	}
	// Uncounted, as for the rows in other languages: processes start, and tables grow.
	warmUp := max(1, tasks*3/10)
	if _, err := rate(ctx, warmUp, window, task.Submit); err != nil {
		return err
	}
	if _, err := rate(ctx, warmUp, window, method.Call); err != nil {
		return err
	}

	stop, err := startProfile(profile, "driver")
	if err != nil {
		return err
	}
	var inFlight, calls, sync []float64
	for range rounds {
		submitted, err := rate(ctx, tasks, window, task.Submit)
		if err != nil {
			return err
		}
		called, err := rate(ctx, tasks, window, method.Call)
		if err != nil {
			return err
		}
		inFlight, calls = append(inFlight, submitted), append(calls, called)
	}
	if err := firstOf(stop(), stopWorkersProfile(ctx, client)); err != nil {
		return err
	}
	for range 2_000 {
		one, err := rate(ctx, 1, 1, task.Submit)
		if err != nil {
			return err
		}
		sync = append(sync, 1e6/one)
	}
	fmt.Printf("{\"tasks_per_second\": %.0f, \"actor_calls_per_second\": %.0f, \"sync_p50_us\": %.1f}\n", median(inFlight), median(calls), median(sync))
	return nil
}

// stopWorkersProfile has the worker of tasks write its profile: it would not live to do so at the end of the session.
func stopWorkersProfile(ctx context.Context, client *thornback.Client) error {
	task, err := thornback.NewTask[any](client, "stop_profile")
	if err != nil {
		return err
	}
	done, err := task.Submit(ctx)
	if err != nil {
		return err
	}
	_, err = done.Get(ctx)
	return err
}

// rate is calls a second while between half of window and all of it is in flight.
func rate(ctx context.Context, calls, window int, submit func(context.Context, ...any) (thornback.Ref[int], error)) (float64, error) {
	half := max(window/2, 1)
	begun := time.Now()
	refs := make([]thornback.Ref[int], calls)
	for n := range refs {
		var err error
		if refs[n], err = submit(ctx, n); err != nil {
			return 0, err
		}
		if (n+1)%half == 0 && n >= half {
			if err := take(ctx, refs, n+1-2*half, n+1-half); err != nil {
				return 0, err
			}
		}
	}
	if err := take(ctx, refs, max(calls/half-1, 0)*half, calls); err != nil {
		return 0, err
	}
	return float64(calls) / time.Since(begun).Seconds(), nil
}

// take reads the results of some calls, and lets go of them.
func take(ctx context.Context, refs []thornback.Ref[int], from, to int) error {
	values, err := thornback.GetAll(ctx, refs[from:to])
	if err != nil {
		return err
	}
	for i, value := range values {
		if value != from+i {
			return fmt.Errorf("call %d gave %d", from+i, value)
		}
		refs[from+i].Close()
	}
	return nil
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// startProfile profiles CPU and allocations until stop is called; with no folder it does nothing.
func startProfile(folder, who string) (stop func() error, err error) {
	if folder == "" {
		return func() error { return nil }, nil
	}
	// Each process has files of its own: the actor's is a worker too.
	who = fmt.Sprintf("%s-%d", who, os.Getpid())
	cpu, err := os.Create(filepath.Join(folder, who+".cpu"))
	if err != nil {
		return nil, err
	}
	runtime.MemProfileRate = 64 << 10
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return nil, err
	}
	return func() error {
		pprof.StopCPUProfile()
		memory, err := os.Create(filepath.Join(folder, who+".allocs"))
		if err != nil {
			return err
		}
		return firstOf(cpu.Close(), pprof.Lookup("allocs").WriteTo(memory, 0), memory.Close())
	}, nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
