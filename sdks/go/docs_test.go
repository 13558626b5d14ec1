package thornback_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Holds the README and the guide to the programs that they quote, and those to what the pages say that they print.

type block struct{ language, text string }

func blocks(t *testing.T, path string) []block {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []block
	var open *block
	for line := range strings.Lines(string(page)) {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && open == nil:
			open = &block{language: strings.TrimSpace(fence)}
		case isFence:
			all = append(all, *open)
			open = nil
		case open != nil:
			open.text += line
		}
	}
	if open != nil || len(all) == 0 {
		t.Fatalf("%s has no blocks, or one that is not closed", path)
	}
	return all
}

func TestThePagesQuoteTheirProgramsAndSayWhatTheyPrint(t *testing.T) {
	for _, c := range []struct {
		page, program string
		whole         bool
	}{
		{"README.md", "examples/readme", true},
		{filepath.Join("..", "..", "docs", "guides", "getting-started-go.md"), "examples/getting_started", false},
	} {
		t.Run(c.program, func(t *testing.T) {
			source, err := os.ReadFile(filepath.Join(c.program, "main.go"))
			if err != nil {
				t.Fatal(err)
			}
			var printed string
			for _, b := range blocks(t, c.page) {
				switch b.language {
				case "go":
					if c.whole && b.text != string(source) || !strings.Contains(string(source), b.text) {
						t.Errorf("the program has no such lines:\n%s", b.text)
					}
				case "text":
					printed += b.text
				case "sh":
					switch {
					case b.text == "cargo build --release -p thornback-server\n":
					case strings.HasPrefix(b.text, "go mod init "):
						buildBesideAClone(t, b.text, source)
					default:
						t.Errorf("nobody checks these lines: %s", b.text)
					}
				default:
					t.Errorf("a block of %q", b.language)
				}
			}
			binary, err := filepath.Abs(server(t))
			if err != nil {
				t.Fatal(err)
			}
			// Built and not `go run`: the node starts the program itself.
			program := filepath.Join(t.TempDir(), "program")
			if out, err := exec.Command("go", "build", "-o", program, "./"+c.program).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			command := exec.Command(program)
			command.Env = append(os.Environ(), "THORNBACK_BINARY="+binary, "THORNBACK_ADDRESS=")
			command.Stderr = os.Stderr
			out, err := command.Output()
			if err != nil || string(out) != printed {
				t.Fatalf("%v; it printed\n%s\nand the page says\n%s", err, out, printed)
			}
		})
	}
}

// buildBesideAClone makes a user's module by the lines of a page, next to something that looks like a clone.
func buildBesideAClone(t *testing.T, lines string, program []byte) {
	t.Helper()
	repository, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	hello := filepath.Join(dir, "hello")
	if err := errors.Join(
		os.Symlink(repository, filepath.Join(dir, "thornback")),
		os.Mkdir(hello, 0o700),
		os.WriteFile(filepath.Join(hello, "main.go"), program, 0o600),
	); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("sh", "-ec", lines)
	command.Dir = hello
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(hello, "hello")); err != nil {
		t.Fatalf("the lines built no program: %v", err)
	}
}
