package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// counts are numbers of tests.
type counts struct {
	Passed, Failed, Skipped int
}

func (c *counts) add(more counts) {
	c.Passed += more.Passed
	c.Failed += more.Failed
	c.Skipped += more.Skipped
}

// event is a line of `go test -json` (go doc test2json).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// results reads what a stage prints, line by line: events of Go tests, anything else as it is.
type results struct {
	out      io.Writer
	counts   counts
	held     map[string]map[string][]string // package -> running test -> its output so far, shown unless it passes
	failures map[string]int                 // package -> failed tests
	writeErr error
}

func newResults(out io.Writer) *results {
	return &results{out: out, held: map[string]map[string][]string{}, failures: map[string]int{}}
}

// Err is the first error of printing.
func (r *results) Err() error { return r.writeErr }

func (r *results) print(text string) {
	if _, err := io.WriteString(r.out, text); err != nil && r.writeErr == nil {
		r.writeErr = fmt.Errorf("print results: %w", err)
	}
}

// line takes one line of the stage's output.
func (r *results) line(line string) {
	if strings.HasPrefix(line, "{") {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err == nil && e.Action != "" {
			r.event(e)
			return
		}
	}
	r.print(line)
	if c, ok := ginkgoCounts(line); ok {
		r.counts.add(c)
	}
}

func (r *results) event(e event) {
	switch e.Action {
	case "build-output":
		r.print(e.Output)
	case "output":
		r.output(e)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.packageEnded(e)
		} else {
			r.testEnded(e)
		}
	}
}

// output keeps what a test prints until it has ended, and shows what a package prints, as `go test` without -v does.
func (r *results) output(e event) {
	if e.Test != "" {
		if r.held[e.Package] == nil {
			r.held[e.Package] = map[string][]string{}
		}
		r.held[e.Package][e.Test] = append(r.held[e.Package][e.Test], e.Output)
		return
	}
	if e.Output != "PASS\n" && !strings.Contains(e.Output, "[no test files]") {
		r.print(e.Output)
	}
}

func (r *results) testEnded(e event) {
	if e.Action != "pass" {
		r.print(strings.Join(r.held[e.Package][e.Test], ""))
	}
	delete(r.held[e.Package], e.Test)
	switch e.Action {
	case "pass":
		r.counts.Passed++
	case "skip":
		r.counts.Skipped++
	case "fail":
		r.counts.Failed++
		r.failures[e.Package]++
	}
}

// packageEnded counts a package that failed without a failed test: it does not build, its TestMain gave up, or the
// process died; then the tests that ran have not ended, and what they printed is shown here.
func (r *results) packageEnded(e event) {
	if e.Action != "fail" {
		return
	}
	for _, test := range slices.Sorted(maps.Keys(r.held[e.Package])) {
		r.print(strings.Join(r.held[e.Package][test], ""))
	}
	if r.failures[e.Package] == 0 {
		r.counts.Failed++
	}
}

var (
	// ginkgoSummary is the last line of a Ginkgo suite.
	ginkgoSummary = regexp.MustCompile(`\b(\d+) Passed \| (\d+) Failed \|.* (\d+) Skipped\b`)
	colour        = regexp.MustCompile("\x1b\\[[0-9;]*m")
)

// ginkgoCounts reads a line such as "FAIL! -- 3 Passed | 1 Failed | 0 Pending | 2 Skipped". Specs that the label
// filter leaves out are among the skipped.
func ginkgoCounts(line string) (counts, bool) {
	m := ginkgoSummary.FindStringSubmatch(colour.ReplaceAllString(line, ""))
	if m == nil {
		return counts{}, false
	}
	numbers := make([]int, 3)
	var err error
	for i := range numbers {
		var parseErr error
		numbers[i], parseErr = strconv.Atoi(m[i+1])
		err = errors.Join(err, parseErr)
	}
	return counts{Passed: numbers[0], Failed: numbers[1], Skipped: numbers[2]}, err == nil
}
