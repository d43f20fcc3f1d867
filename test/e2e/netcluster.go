package e2e

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"

	"github.com/ovn-egress/ovn-egress/test/cluster"
)

// executables are what the suite needs in bin/, and where each is made from.
var executables = map[string]string{
	"netcluster": "./test/cluster/cmd/netcluster", "egress-controller": "./cmd/egress-controller",
	"egress-agent": "./cmd/egress-agent",
}

// netcluster is a provider that makes a cluster of its own on this machine.
type netcluster struct {
	*cluster.Cluster
	controllers map[string]*cluster.Process // node -> controller
}

// newNetcluster makes the cluster that the environment asks for and deploys controllers and agents. It is removed
// after the suite, also if this fails.
func newNetcluster(ctx context.Context) (*netcluster, error) {
	if err := buildMissing(ctx); err != nil {
		return nil, err
	}
	name := cmp.Or(os.Getenv("E2E_NAME"), "e2e")
	// An earlier run may have been killed.
	if err := cluster.Down(ctx, name); err != nil {
		return nil, err
	}
	if os.Getenv("E2E_KEEP") == "" {
		DeferCleanup(func(ctx SpecContext) error { return cluster.Down(ctx, name) })
	}
	c, err := cluster.Up(ctx, cluster.Options{
		Name: name, Nodes: 3, OVN: cmp.Or(os.Getenv("E2E_OVN"), "trixie"),
		Progress: func(line string) { GinkgoWriter.Println(line) },
	})
	if err != nil {
		return nil, err
	}
	if err := c.Deploy(ctx, cluster.DeployOptions{Replicas: 2}); err != nil {
		return nil, err
	}
	n := &netcluster{Cluster: c, controllers: map[string]*cluster.Process{}}
	processes, err := cluster.Processes(name)
	if err != nil {
		return nil, err
	}
	for i, p := range processes {
		if filepath.Base(p.Argv[0]) == "egress-controller" {
			n.controllers[p.Node] = &processes[i]
		}
	}
	return n, nil
}

// buildMissing builds the executables that bin/ lacks.
func buildMissing(ctx context.Context) error {
	const root = "../.." // tests run in their package's directory
	for name, source := range executables {
		executable := filepath.Join("bin", name)
		if _, err := os.Stat(filepath.Join(root, executable)); !errors.Is(err, os.ErrNotExist) {
			if err != nil {
				return err
			}
			continue
		}
		if err := build(ctx, root, source, executable); err != nil {
			return err
		}
	}
	return nil
}

// Facts implements provider.
func (n *netcluster) Facts() facts {
	f := facts{OVN: n.OVN, EgressIPs: n.EgressIPRange, Outside: outsideHost{
		Target: "external/" + n.Externals[0].Name, Address: n.Externals[0].Addresses[0], Beyond: n.Externals[0].Addresses[1],
	}}
	for _, s := range n.Nodes {
		f.Nodes = append(f.Nodes, node{
			Name: s.Name, Address: s.Addresses[0].Addr(), MAC: s.MAC,
			Management: s.PodSubnets[0].Addr().Next().Next(),
		})
	}
	return f
}

// RESTConfig implements provider.
func (n *netcluster) RESTConfig() (*rest.Config, error) { return n.Cluster.RESTConfig() }

// Exec implements provider.
func (n *netcluster) Exec(ctx context.Context, target string, argv ...string) (string, error) {
	command, err := n.Command(ctx, target, argv...)
	if err != nil {
		return "", err
	}
	return outputOf(target, command.Cmd, command.Run)
}

// Northbound implements provider.
func (n *netcluster) Northbound(ctx context.Context, args ...string) (string, error) {
	arguments := append([]string{"--timeout=10", "--db=" + n.Zones[0].NB}, args...)
	cmd := exec.CommandContext(ctx, filepath.Join(n.Tools, "ovn-nbctl"), arguments...)
	return outputOf("northbound", cmd, cmd.Run)
}

// outputOf runs a command and returns its standard output; the error has its standard error.
func outputOf(where string, cmd *exec.Cmd, run func() error) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := run(); err != nil {
		return "", fmt.Errorf("%s: %s: %w: %s", where, strings.Join(cmd.Args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// RestartNorthbound implements provider.
func (n *netcluster) RestartNorthbound(ctx context.Context) error {
	server, err := cluster.FindProcess(n.Name, "ovn-nb")
	if err != nil {
		return err
	}
	if err := server.Kill(ctx); err != nil {
		return err
	}
	if _, err := cluster.StartProcess(server.Spec()); err != nil {
		return err
	}
	// ovn-nbctl gives up at the first refusal.
	return wait.PollUntilContextTimeout(ctx, poll, soon, true, func(ctx context.Context) (bool, error) {
		_, err := n.Northbound(ctx, "show")
		return err == nil, nil
	})
}

// PowerOff implements provider.
func (n *netcluster) PowerOff(ctx context.Context, node string) error {
	return n.Fail(ctx, node, cluster.Power)
}

// PowerOn implements provider.
func (n *netcluster) PowerOn(ctx context.Context, node string) error {
	return n.Heal(ctx, node, cluster.Power)
}

// Controllers implements provider.
func (n *netcluster) Controllers(context.Context) ([]string, error) {
	var running []string
	for node, p := range n.controllers {
		if p.Alive() {
			running = append(running, node)
		}
	}
	slices.Sort(running)
	return running, nil
}

// KillController implements provider.
func (n *netcluster) KillController(ctx context.Context, node string) error {
	return n.controllers[node].Kill(ctx)
}

// StopController implements provider.
func (n *netcluster) StopController(ctx context.Context, node string) error {
	return n.controllers[node].Stop(ctx)
}

// StartControllers implements provider.
func (n *netcluster) StartControllers(context.Context) error {
	for node, p := range n.controllers {
		if p.Alive() {
			continue
		}
		started, err := cluster.StartProcess(p.Spec())
		if err != nil {
			return err
		}
		n.controllers[node] = started
	}
	return nil
}

// Seen implements provider.
func (n *netcluster) Seen(token string) (map[netip.Addr]int, error) {
	sources := map[netip.Addr]int{}
	err := eachLine(n.Externals[0].Log, func(line string) error {
		fields := strings.SplitN(line, " ", 4) // time, protocol, source, quoted payload
		if len(fields) < 4 || !strings.HasPrefix(fields[3], `"`+token+" ") && fields[3] != `"GET /`+token+`"` {
			return nil
		}
		source, err := netip.ParseAddrPort(fields[2])
		if err != nil {
			return err
		}
		sources[source.Addr()]++
		return nil
	})
	return sources, err
}

// Audited implements provider.
func (n *netcluster) Audited(uri string) ([]netip.Addr, error) {
	var sources []netip.Addr
	err := eachLine(n.AuditLog(), func(line string) error {
		var event struct {
			RequestURI string       `json:"requestURI"`
			SourceIPs  []netip.Addr `json:"sourceIPs"`
		}
		if !strings.Contains(line, uri) {
			return nil
		}
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			return err
		}
		if event.RequestURI == uri {
			sources = append(sources, event.SourceIPs...)
		}
		return nil
	})
	return sources, err
}

// eachLine reads a log that may be growing: a last line without its end is left out.
func eachLine(file string, do func(string) error) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	for reader := bufio.NewReader(f); ; {
		line, err := reader.ReadString('\n')
		if err != nil {
			return nil //nolint:nilerr // the end
		}
		if err := do(strings.TrimSuffix(line, "\n")); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
}

// Logs implements provider.
func (n *netcluster) Logs(context.Context) (map[string]string, error) {
	const tail = 12_000
	files, err := filepath.Glob(filepath.Join(cluster.LogDirectory(n.Name), "*egress-*.log"))
	if err != nil {
		return nil, err
	}
	logs := map[string]string{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		logs[strings.TrimSuffix(filepath.Base(file), ".log")] = string(raw[max(0, len(raw)-tail):])
	}
	return logs, nil
}
