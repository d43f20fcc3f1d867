package cluster

import (
	"context"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// Files of the certificates with which clients reach the northbound and southbound databases over TLS.
const (
	ovnCAFile         = "ovn-ca.crt"
	ovnClientCertFile = "ovn-client.crt"
	ovnClientKeyFile  = "ovn-client.key"
)

func (s *State) writeOVNCertificates() error {
	ca, err := newAuthority("netcluster " + s.Name + " ovn")
	if err != nil {
		return err
	}
	if err := writeFile(s.Path("pki", ovnCAFile), ca.pem); err != nil {
		return err
	}
	server, err := ca.issue(pkix.Name{CommonName: "ovn"}, []string{"ovn"}, net.IP(controlAddress.AsSlice()))
	if err != nil {
		return err
	}
	if err := server.write(s.Path("pki", "ovn-server")); err != nil {
		return err
	}
	client, err := ca.issue(pkix.Name{CommonName: "ovn-client"}, nil)
	if err != nil {
		return err
	}
	return client.write(s.Path("pki", strings.TrimSuffix(ovnClientCertFile, ".crt")))
}

// database is one ovsdb-server of a cluster.
type database struct {
	component string
	node      string // empty for the control plane's
	namespace string
	file      string // the database; its socket and control socket are beside it
	socket    string
	schema    string
	remotes   []string // further ones beside the socket
	flags     []string
}

func (s *State) centralDatabases(r *release) []database {
	tls := []string{
		"--private-key=" + s.Path("pki", "ovn-server.key"), "--certificate=" + s.Path("pki", "ovn-server.crt"),
		"--ca-cert=" + s.Path("pki", ovnCAFile),
	}
	remote := func(port int) []string { return []string{fmt.Sprintf("pssl:%d:%s", port, controlAddress)} }
	return []database{{
		component: "ovn-nb", namespace: s.controlNamespace(), schema: r.northboundSchema(),
		file: s.Path("ovn", "nb.db"), socket: s.Path("ovn", "nb.sock"), remotes: remote(northboundPort), flags: tls,
	}, {
		component: "ovn-sb", namespace: s.controlNamespace(), schema: r.southboundSchema(),
		file: s.Path("ovn", "sb.db"), socket: s.Path("ovn", "sb.sock"), remotes: remote(southboundPort), flags: tls,
	}}
}

// startDatabase creates the database if there is none yet, starts its server and waits for its socket.
func (s *State) startDatabase(ctx context.Context, d database) error {
	if _, err := os.Stat(d.file); errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(d.file), 0o755); err != nil {
			return err
		}
		if _, err := run(ctx, s.tool("ovsdb-tool"), "create", d.file, d.schema); err != nil {
			return err
		}
	}
	argv := append([]string{
		s.tool("ovsdb-server"), "--no-chdir", "-vsyslog:off", "-vconsole:info", "--remote=punix:" + d.socket,
		"--unixctl=" + strings.TrimSuffix(d.file, ".db") + ".ctl",
	}, d.flags...)
	for _, remote := range d.remotes {
		argv = append(argv, "--remote="+remote)
	}
	// A socket that an earlier server left behind would answer for the new one.
	if err := os.Remove(d.socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	p, err := StartProcess(ProcessSpec{
		Cluster: s.Name, Component: d.component, Node: d.node, Namespace: d.namespace, Argv: append(argv, d.file),
	})
	if err != nil {
		return err
	}
	return waitForSocket(ctx, p, d.socket)
}

// waitForSocket waits until a process listens on a unix socket.
func waitForSocket(ctx context.Context, p *Process, path string) error {
	err := wait.PollUntilContextTimeout(ctx, 5*time.Millisecond, 20*time.Second, true, func(context.Context) (bool, error) {
		if !p.Alive() {
			return false, fmt.Errorf("it has ended, see %s", LogPath(p.Cluster, p.Component))
		}
		if conn, err := net.Dial("unix", path); err == nil {
			return true, conn.Close()
		}
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("wait for %s to listen on %s: %w", p.Component, path, err)
	}
	return nil
}

// startCentral starts the northbound and southbound databases and northd.
func (s *State) startCentral(ctx context.Context, r *release) error {
	if err := s.writeOVNCertificates(); err != nil {
		return err
	}
	for _, d := range s.centralDatabases(r) {
		if err := s.startDatabase(ctx, d); err != nil {
			return err
		}
	}
	// The probes and their timeouts only cost idle time here: all peers are on one machine.
	if _, err := s.nbctl(ctx, "init", "--", "set", "NB_Global", ".", "name="+s.Zones[0].Name,
		"options:northd_probe_interval=0", "options:use_logical_dp_groups=true"); err != nil {
		return err
	}
	if _, err := run(ctx, s.tool("ovn-sbctl"), "--db="+s.Zones[0].SB, "init"); err != nil {
		return err
	}
	_, err := StartProcess(ProcessSpec{
		Cluster: s.Name, Component: "ovn-northd", Namespace: s.controlNamespace(),
		Argv: []string{
			s.tool("ovn-northd"), "--no-chdir", "-vsyslog:off", "-vconsole:info",
			"--unixctl=" + s.Path("ovn", "northd.ctl"), "--ovnnb-db=" + s.Zones[0].NB, "--ovnsb-db=" + s.Zones[0].SB,
		},
	})
	return err
}

// tool is the path of one of the chosen OVN release's executables.
func (s *State) tool(name string) string { return filepath.Join(s.Tools, name) }

// nbctl runs ovn-nbctl on the first zone's northbound database.
func (s *State) nbctl(ctx context.Context, args ...string) (string, error) {
	return run(ctx, append([]string{s.tool("ovn-nbctl"), "--timeout=30", "--db=" + s.Zones[0].NB}, args...)...)
}
