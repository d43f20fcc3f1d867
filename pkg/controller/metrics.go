package controller

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var (
	metricAddresses = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "ovn_egress_addresses",
		Help: "Addresses of all EgressIPs by state: served, waiting for a node, or refused.",
	}, []string{"state"})
	metricPods = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "ovn_egress_pods",
		Help: "Addresses of pods that EgressIPs select.",
	})
	metricMoves = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "ovn_egress_moves_total",
		Help: "Addresses that are served by another node than before.",
	})
	metricEpoch = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "ovn_egress_epoch",
		Help: "Epoch of this leader in the northbound database; 0 on a standby.",
	})
	metricTransactions = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ovn_egress_northbound_transactions_total",
		Help: "Transactions on the northbound database by result.",
	}, []string{"result"})
	metricTransactionSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "ovn_egress_northbound_transaction_seconds",
		Help:    "Time from sending a transaction until the local copy contains it.",
		Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
	})
	metricPassSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "ovn_egress_pass_seconds",
		Help:    "Time of one pass of the writer.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 2, 18),
	})
)

func init() {
	metrics.Registry.MustRegister(metricAddresses, metricPods, metricMoves, metricEpoch,
		metricTransactions, metricTransactionSeconds, metricPassSeconds)
}

// measure sets the gauges that follow from a pass, and counts the moves since the last one.
func (w *Writer) measure(services map[string]service) {
	served, waiting, refused, pods := 0, 0, 0, 0
	for name, s := range services {
		countMoves(w.services[name], s)
		served += len(s.served)
		waiting += len(w.plan.placements[name]) - len(s.served)
		refused += len(w.plan.refusals[name])
		pods += len(w.selected[name])
	}
	metricAddresses.WithLabelValues("served").Set(float64(served))
	metricAddresses.WithLabelValues("waiting").Set(float64(waiting))
	metricAddresses.WithLabelValues("refused").Set(float64(refused))
	metricPods.Set(float64(pods))
}

// countMoves counts served addresses that have another node than before.
func countMoves(before, after service) {
	nodes := make(map[string]string, len(before.served))
	for _, p := range before.served {
		nodes[p.address.String()] = p.node
	}
	for _, p := range after.served {
		if node, ok := nodes[p.address.String()]; ok && node != p.node {
			metricMoves.Inc()
		}
	}
}
