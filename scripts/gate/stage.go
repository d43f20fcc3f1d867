package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"text/tabwriter"
	"time"
)

// stage is a target of the Makefile that has run.
type stage struct {
	target string
	took   time.Duration
	counts counts
	err    error // why it failed
}

// run makes a target and copies what it prints to out, results of Go tests in short.
func run(target string, out io.Writer) stage {
	start := time.Now()
	results := newResults(out)
	err := errors.Join(execute(target, results), results.Err())
	s := stage{target: target, took: time.Since(start), counts: results.counts, err: err}
	if s.err != nil && s.counts.Failed == 0 {
		s.counts.Failed = 1
	}
	return s
}

// execute runs make, with JSON as the format of those tests that report in it (TEST_FLAGS in the Makefile).
func execute(target string, results *results) error {
	cmd := exec.Command("make", "--no-print-directory", target, "TEST_FLAGS=-json")
	cmd.Stdin, cmd.Stderr = os.Stdin, os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("make %s: %w", target, err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("make %s: %w", target, err)
	}
	readErr := eachLine(stdout, results.line)
	if err := errors.Join(readErr, cmd.Wait()); err != nil {
		return fmt.Errorf("make %s: %w", target, err)
	}
	return nil
}

// eachLine hands over lines of any length, with their ends.
func eachLine(r io.Reader, do func(string)) error {
	for buffered := bufio.NewReader(r); ; {
		line, err := buffered.ReadString('\n')
		if line != "" {
			do(line)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// outcome is the stage in one line.
func (s stage) outcome() string {
	took := s.took.Round(time.Second)
	if s.err != nil {
		return fmt.Sprintf("FAILED after %s: %v", took, s.err)
	}
	return fmt.Sprintf("passed in %s", took)
}

// summarize prints a table of the stages and the closing line, and returns what that says.
func summarize(out io.Writer, stages []stage) counts {
	var total counts
	var took time.Duration
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nSTAGE\tMINUTES\tTESTS PASSED\tFAILED\tSKIPPED")
	for _, s := range stages {
		fmt.Fprintf(table, "%s\t%.1f\t%d\t%d\t%d\n", s.target, s.took.Minutes(), s.counts.Passed, s.counts.Failed, s.counts.Skipped)
		total.add(s.counts)
		took += s.took
	}
	fmt.Fprintf(table, "all\t%.1f\t%d\t%d\t%d\n", took.Minutes(), total.Passed, total.Failed, total.Skipped)
	if err := table.Flush(); err != nil {
		fmt.Fprintln(os.Stderr, "gate: print the table:", err)
	}
	fmt.Fprintf(out, "\n%d passed, %d failed\n", total.Passed, total.Failed)
	return total
}
