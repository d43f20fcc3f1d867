package agent

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/ovn-egress/ovn-egress/pkg/agent/vswitch"
)

func TestMetricsFollowTheConventions(t *testing.T) {
	registry := prometheus.NewRegistry()
	if _, err := newMetrics(registry, func() vswitch.State { return vswitch.State{} }); err != nil {
		t.Fatal(err)
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if len(families) != 4 {
		t.Errorf("%d metrics, want 4", len(families))
	}
	for _, f := range families {
		if help := f.GetHelp(); help[len(help)-1] != '.' {
			t.Errorf("%s: help %q does not end with a period", f.GetName(), help)
		}
	}
	if _, err := newMetrics(registry, nil); err == nil {
		t.Error("metrics were registered twice")
	}
}
