package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// page is a document on its way to the next stage.
type page struct {
	Title string   `json:"title"`
	Words []string `json:"words"`
}

var (
	heading = regexp.MustCompile(`(?m)^#\s+(.+)$`)
	code    = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")
	link    = regexp.MustCompile(`\]\([^)]*\)`)
	word    = regexp.MustCompile(`\p{L}{3,}`)
)

// tokenise reads a text file and gives its words in lower case. The title is its first heading, or else its name. What Markdown sets as code, and where its
// links lead, is left out.
func tokenise(path string) (page, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return page{}, err
	}
	text := string(content)
	title := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	if found := heading.FindStringSubmatch(text); found != nil {
		title = strings.ReplaceAll(found[1], "`", "")
	}
	text = link.ReplaceAllString(code.ReplaceAllString(text, " "), " ")
	words := word.FindAllString(strings.ToLower(text), -1)
	kept := words[:0]
	for _, w := range words {
		if !common[w] {
			kept = append(kept, w)
		}
	}
	return page{Title: title, Words: kept}, nil
}

// common are English words that say nothing about a text.
var common = func() map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(`about above after again against all also and any are because been before being below between both but can could did
		does doing down during each few for from further had has have having her here hers him his how into its itself just may might more most must nor not now
		off once one only other our ours out over own same she should some such than that the their theirs them then there these they this those through too
		two under until upon very was were what when where which while who whom whose why will with without would yet you your yours`) {
		set[w] = true
	}
	return set
}()
