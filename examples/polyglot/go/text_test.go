package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestWordsAreLowerCaseAndCodeIsLeftOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rays.md")
	text := "# The `Ray`\n\nRays swim; [skates](https://example.org/skates) do not. Run `ray.init()`:\n\n```python\nimport ray\n```\n\nÜber Rochen\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := tokenise(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.Title != "The Ray" {
		t.Errorf("the title is %q", got.Title)
	}
	if want := []string{"rays", "swim", "skates", "run", "über", "rochen"}; !slices.Equal(got.Words, want) {
		t.Errorf("the words are %q", got.Words)
	}
}

func TestATextThatIsNotThereIsAnError(t *testing.T) {
	if _, err := tokenise(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("no error")
	}
}
