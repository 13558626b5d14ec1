package main

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	thornback "thornback.dev/go"
)

// drive runs the pipeline on the node that THORNBACK_ADDRESS names. No value comes here but the page at the end.
func drive(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("driver", flag.ExitOnError)
	out := flags.String("out", "polyglot.html", "where the page goes")
	if err := flags.Parse(args); err != nil {
		return err
	}
	directory := "docs"
	if flags.NArg() > 0 {
		directory = flags.Arg(0)
	}
	files, err := textFiles(directory)
	if err != nil {
		return err
	}
	client, err := thornback.Connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()

	counted := make([]thornback.Ref[any], len(files))
	for i, file := range files {
		page, err := call[any](ctx, client, "text.tokenise", file)
		if err != nil {
			return err
		}
		if counted[i], err = call[any](ctx, client, "terms.count", page); err != nil {
			return err
		}
	}
	scores, err := call[any](ctx, client, "terms.score", counted)
	if err != nil {
		return err
	}
	clusters, err := call[any](ctx, client, "documents.cluster", scores)
	if err != nil {
		return err
	}
	rendered, err := call[string](ctx, client, "report.render", scores, clusters)
	if err != nil {
		return err
	}
	html, err := rendered.Get(ctx)
	if err != nil {
		return err
	}
	if err := os.WriteFile(*out, []byte(html), 0o644); err != nil {
		return err
	}
	fmt.Printf("%d documents from Go: %s\n", len(files), *out)
	return nil
}

// call calls a function that some worker serves, in whatever language.
func call[T any](ctx context.Context, client *thornback.Client, name string, args ...any) (thornback.Ref[T], error) {
	task, err := thornback.NewTask[T](client, name)
	if err != nil {
		return thornback.Ref[T]{}, err
	}
	return task.Submit(ctx, args...)
}

// textFiles are all texts below a directory, in the order of their names; workers need not have the same working directory.
func textFiles(directory string) ([]string, error) {
	root, err := filepath.Abs(directory)
	if err != nil {
		return nil, err
	}
	var found []string
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if suffix := filepath.Ext(path); err == nil && !entry.IsDir() && (suffix == ".md" || suffix == ".txt") {
			found = append(found, path)
		}
		return err
	})
	slices.Sort(found)
	return found, err
}
