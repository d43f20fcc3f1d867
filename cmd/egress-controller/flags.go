package main

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/ovn-egress/ovn-egress/pkg/controller"
	"github.com/ovn-egress/ovn-egress/pkg/northbound"
)

// flags are the command line.
type flags struct {
	nb, sb                  database
	networks                map[string]*string // name -> comma-separated prefixes
	leaderElect             bool
	leaderElectionNamespace string
	leaseDuration           time.Duration
	renewDeadline           time.Duration
	retryPeriod             time.Duration
	metricsAddress          string
	healthAddress           string
	zap                     zap.Options
}

// database is where a database is and how to prove who we are; flags have the names of OVN-Kubernetes.
type database struct {
	address, privateKey, certificate, ca string
}

// parseFlags reads the command line; it prints and exits as package flag does.
func parseFlags(args []string) *flags {
	f := &flags{networks: map[string]*string{}}
	set := flag.CommandLine // controller-runtime has put --kubeconfig there
	for name, d := range map[string]*database{"nb": &f.nb, "sb": &f.sb} {
		set.StringVar(&d.address, name+"-address", "", "comma-separated addresses of the "+name+" database (tcp:HOST:PORT, ssl:HOST:PORT, unix:PATH)")
		set.StringVar(&d.privateKey, name+"-client-privkey", "", "file with the private key for ssl")
		set.StringVar(&d.certificate, name+"-client-cert", "", "file with the certificate for ssl")
		set.StringVar(&d.ca, name+"-client-cacert", "", "file with the CA certificate for ssl")
	}
	for name, value := range map[string]string{"cluster": "10.244.0.0/16", "join": "100.64.0.0/16", "service": "10.96.0.0/16"} {
		f.networks[name] = set.String(name+"-subnets", value, "comma-separated "+name+" subnets")
	}
	set.BoolVar(&f.leaderElect, "leader-elect", true, "elect a leader by Lease")
	set.StringVar(&f.leaderElectionNamespace, "leader-election-namespace", "ovn-egress", "namespace of the Lease")
	set.DurationVar(&f.leaseDuration, "leader-election-lease-duration", 2500*time.Millisecond, "a leader that did not renew for so long is replaced")
	set.DurationVar(&f.renewDeadline, "leader-election-renew-deadline", 2*time.Second, "a leader that could not renew for so long stops")
	set.DurationVar(&f.retryPeriod, "leader-election-retry-period", 350*time.Millisecond, "how often the Lease is renewed or tried")
	set.StringVar(&f.metricsAddress, "metrics-bind-address", ":9112", "where metrics are served; 0 disables them")
	set.StringVar(&f.healthAddress, "health-probe-bind-address", ":9111", "where /healthz and /readyz are served")
	f.zap.BindFlags(set)
	_ = set.Parse(args) // exits on error
	return f
}

// config reads what the flags name.
func (f *flags) config() (controller.Config, error) {
	cfg := controller.Config{Layout: northbound.OVNKubernetes}
	var err error
	if cfg.Northbound, err = f.nb.endpoint("nb"); err != nil {
		return cfg, err
	}
	if cfg.Southbound, err = f.sb.endpoint("sb"); err != nil {
		return cfg, err
	}
	for name, into := range map[string]*[]netip.Prefix{
		"cluster": &cfg.Networks.Cluster, "join": &cfg.Networks.Join, "service": &cfg.Networks.Service,
	} {
		if *into, err = prefixes(*f.networks[name]); err != nil {
			return cfg, fmt.Errorf("--%s-subnets: %w", name, err)
		}
	}
	return cfg, nil
}

// prefixes reads a comma-separated list; a host part after a second slash, as OVN-Kubernetes writes it
// (10.244.0.0/16/24), is left out.
func prefixes(list string) ([]netip.Prefix, error) {
	var result []netip.Prefix
	for _, text := range strings.Split(list, ",") {
		parts := strings.SplitN(strings.TrimSpace(text), "/", 3)
		if len(parts) < 2 {
			return nil, fmt.Errorf("%q: want ADDRESS/LENGTH", text)
		}
		p, err := netip.ParsePrefix(parts[0] + "/" + parts[1])
		if err != nil {
			return nil, err
		}
		result = append(result, p.Masked())
	}
	return result, nil
}

func (d database) endpoint(name string) (northbound.Endpoint, error) {
	var config *tls.Config
	if d.privateKey != "" || d.certificate != "" || d.ca != "" {
		pair, err := tls.LoadX509KeyPair(d.certificate, d.privateKey)
		if err != nil {
			return northbound.Endpoint{}, fmt.Errorf("--%s-client-cert, --%s-client-privkey: %w", name, name, err)
		}
		pem, err := os.ReadFile(d.ca)
		if err != nil {
			return northbound.Endpoint{}, fmt.Errorf("--%s-client-cacert: %w", name, err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return northbound.Endpoint{}, fmt.Errorf("--%s-client-cacert: %s has no certificate", name, d.ca)
		}
		config = &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	e, err := northbound.ParseEndpoint(d.address, config)
	if err != nil {
		return e, fmt.Errorf("--%s-address: %w", name, err)
	}
	return e, nil
}
