package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ovn-egress/ovn-egress/pkg/api/ovn-egress.io/v1alpha1"
)

// results is what was measured.
type results struct {
	apply []time.Duration
	loss  []loss
	rows  []releaseRows
}

type releaseRows struct {
	release string
	rows    map[int]map[string]int // pods -> table -> rows
}

// quantile is the smallest value that at least the fraction q of the values do not exceed.
func quantile(values []time.Duration, q float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	i := int(q*float64(len(sorted))+0.999999) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.0f ms", d.Seconds()*1000) }

// write writes the report.
func (r results) write(o options) error {
	var s strings.Builder
	fmt.Fprintf(&s, "# Benchmarks\n\nWritten by `make bench` (`go run ./test/bench`); do not edit. Three-node netns cluster, userspace datapath,\n"+
		"everything on one machine of two cores: compare the figures with each other and with the next run, not with\nproduction.\n\n")
	fmt.Fprintf(&s, "## Apply of an EgressIP to the first connection with it\n\n"+
		"From the request that creates the EgressIP to the answer of an external server that saw it; the pod is on another node than the address.\n\n"+
		"| runs | median | p99 | slowest |\n|---|---|---|---|\n| %d | %s | %s | %s |\n\n", len(r.apply),
		milliseconds(quantile(r.apply, 0.5)), milliseconds(quantile(r.apply, 0.99)), milliseconds(quantile(r.apply, 1)))
	durations := make([]time.Duration, 0, len(r.loss))
	wrong, silent := 0, 0
	for _, l := range r.loss {
		durations = append(durations, l.duration)
		for seen, count := range l.others {
			if addressOf(seen) {
				wrong += count
			} else {
				silent += count
			}
		}
	}
	fmt.Fprintf(&s, "## Power-off of the hosting node to the first connection through the next one\n\n"+
		"The Node turns NotReady at once (noticing a dead node is not part of this), and the leader is elsewhere. Connections\nare tried one after the other, %s each.\n\n"+
		"| runs | median | slowest | attempts without answer | connections with another source |\n|---|---|---|---|---|\n| %d | %s | %s | %d | %d |\n\n",
		attempt, len(r.loss), milliseconds(quantile(durations, 0.5)), milliseconds(quantile(durations, 1)), silent, wrong)
	fmt.Fprintf(&s, "## Rows of ours in the northbound database, one EgressIP of one address\n\n"+
		"Shared rows included (one egress node, three nodes).\n\n| OVN | pods | policies | NAT | QoS | address sets |\n|---|---|---|---|---|---|\n")
	for _, release := range r.rows {
		pods := make([]int, 0, len(release.rows))
		for n := range release.rows {
			pods = append(pods, n)
		}
		slices.Sort(pods)
		for _, n := range pods {
			t := release.rows[n]
			fmt.Fprintf(&s, "| %s | %d | %d | %d | %d | %d |\n", release.release, n, t["Logical_Router_Policy"], t["NAT"], t["QoS"], t["Address_Set"])
		}
	}
	if err := os.MkdirAll(filepath.Dir(o.report), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(o.report, []byte(s.String()), 0o644); err != nil {
		return err
	}
	fmt.Print(s.String())
	return nil
}

func (b *bench) egressNode(ctx context.Context, name string) (*v1alpha1.EgressNode, error) {
	n := &v1alpha1.EgressNode{}
	return n, b.api.Get(ctx, client.ObjectKey{Name: name}, n)
}
