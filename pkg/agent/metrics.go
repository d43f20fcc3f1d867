package agent

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ovn-egress/ovn-egress/pkg/agent/vswitch"
)

// metrics of an agent.
type metrics struct {
	addressesReady prometheus.Gauge
	announcements  prometheus.Counter
	failures       prometheus.Counter
	ovsConnected   prometheus.GaugeFunc
}

// newMetrics registers the metrics. The connection is looked at when it is asked for.
func newMetrics(registry prometheus.Registerer, ovs func() vswitch.State) (*metrics, error) {
	m := &metrics{
		addressesReady: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ovn_egress_agent_addresses_ready",
			Help: "Addresses that the chassis has installed and that are announced.",
		}),
		announcements: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ovn_egress_agent_announcements_total",
			Help: "Announcements of an address, each a gratuitous ARP request and reply.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ovn_egress_agent_announcement_failures_total",
			Help: "Announcements of an address that could not be sent.",
		}),
		ovsConnected: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "ovn_egress_agent_ovs_connected",
			Help: "1 while the node's Open vSwitch database answers, else 0.",
		}, func() float64 {
			if ovs().Connected {
				return 1
			}
			return 0
		}),
	}
	for _, c := range []prometheus.Collector{m.addressesReady, m.announcements, m.failures, m.ovsConnected} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("register metric: %w", err)
		}
	}
	return m, nil
}
