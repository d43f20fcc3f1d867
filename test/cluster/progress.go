package cluster

import (
	"fmt"
	"time"
)

// progress tells what is being done and how long it took; steps may run at the same time.
type progress struct {
	tell func(line string)
}

func (p *progress) step(what string, do func() error) error {
	start := time.Now()
	if err := do(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	p.tell(fmt.Sprintf("• %s … %.1fs", what, time.Since(start).Seconds()))
	return nil
}
