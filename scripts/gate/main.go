// Command gate runs targets of the Makefile one after the other, as the stages of what has to pass before a change
// lands. It prints how long each took and what its tests came to, and ends with the line "N passed, N failed", which
// counts tests: those of Go, subtests included, and the specs of Ginkgo suites. A stage that fails without a failed
// test counts as one. A failed stage does not stop the ones after it.
//
//	gate TARGET…
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: gate TARGET…")
		os.Exit(2)
	}
	// On an interrupt the running stage, which gets it from the terminal too, may clean up behind itself.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	passed := gate(ctx, os.Args[1:])
	stop()
	if !passed {
		os.Exit(1)
	}
}

// gate runs the stages and tells whether all of them ran and passed.
func gate(ctx context.Context, targets []string) bool {
	var done []stage
	for i, target := range targets {
		fmt.Printf("\n=== %s (%d of %d)\n", target, i+1, len(targets))
		s := run(target, os.Stdout)
		fmt.Printf("--- %s: %s\n", target, s.outcome())
		done = append(done, s)
		if ctx.Err() != nil {
			fmt.Printf("\ninterrupted: %d of %d stages ran\n", len(done), len(targets))
			break
		}
	}
	total := summarize(os.Stdout, done)
	return total.Failed == 0 && len(done) == len(targets)
}
