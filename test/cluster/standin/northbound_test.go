package standin

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ovn-egress/ovn-egress/test/cluster"
)

// testNorthbound runs a northbound database of its own, with switches and gateway routers of two nodes.
func testNorthbound(t *testing.T) (*northbound, []cluster.Node, func(args ...string) string) {
	t.Helper()
	const schema = "/usr/share/ovn/ovn-nb.ovsschema"
	if _, err := os.Stat(schema); err != nil {
		t.Fatalf("OVN is not installed, `make deps` installs it: %v", err)
	}
	dir := t.TempDir()
	run := func(program string, args ...string) string {
		t.Helper()
		out, err := exec.Command(program, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v: %s", program, args, err, out)
		}
		return string(out)
	}
	database, socket := filepath.Join(dir, "nb.db"), filepath.Join(dir, "nb.sock")
	run("ovsdb-tool", "create", database, schema)
	server := exec.Command("ovsdb-server", "--remote=punix:"+socket, "--unixctl="+filepath.Join(dir, "ctl"), "-vconsole:off", database)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait() // says that it was killed
	})
	nbctl := func(args ...string) string {
		return run("ovn-nbctl", append([]string{"--timeout=10", "--db=unix:" + socket}, args...)...)
	}
	nodes := []cluster.Node{{Name: "node1", Chassis: "c1", Zone: "global"}, {Name: "node2", Chassis: "c2", Zone: "global"}}
	waitForSocket(t, socket)
	for _, node := range nodes {
		nbctl("ls-add", node.Name, "--", "lr-add", gatewayRouter(node.Name))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	nb, err := openNorthbound(ctx, cluster.Zone{Name: "global", NB: "unix:" + socket}, nodes, testr.New(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nb.client.Close)
	return nb, nodes, nbctl
}

func waitForSocket(t *testing.T, path string) {
	t.Helper()
	ticker, deadline := time.NewTicker(10*time.Millisecond), time.After(10*time.Second)
	defer ticker.Stop()
	for {
		if _, err := os.Stat(path); err == nil {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("no socket %s", path)
		}
	}
}

func TestLogicalSwitchPortsOfPods(t *testing.T) {
	nb, nodes, nbctl := testNorthbound(t)
	ctx := context.Background()
	first := podID{namespace: "ns", name: "pod", uid: "uid1"}
	second := podID{namespace: "ns", name: "pod", uid: "uid2"}
	ensure := func(node *cluster.Node, pod podID, address string) {
		t.Helper()
		if err := nb.ensurePort(ctx, node, pod, newAttachment(prefixes(address))); err != nil {
			t.Fatal(err)
		}
	}
	ensure(&nodes[0], first, "10.244.4.3/22")
	before := nbctl("list", "logical_switch_port")
	ensure(&nodes[0], first, "10.244.4.3/22")
	if after := nbctl("list", "logical_switch_port"); after != before {
		t.Errorf("the same port a second time:\n%s", cmp.Diff(before, after))
	}
	for column, want := range map[string]string{
		"addresses":    "0a:58:0a:f4:04:03 10.244.4.3",
		"external_ids": "namespace=ns pod=true",
		"options":      "iface-id-ver=uid1 requested-chassis=c1",
	} {
		if got := strings.TrimSpace(nbctl("--bare", "--columns="+column, "list", "logical_switch_port", "ns_pod")); got != want {
			t.Errorf("%s: got %q, want %q", column, got, want)
		}
	}

	// The same name on another node: the earlier pod was deleted by force. Its own end must not hurt the new one.
	ensure(&nodes[1], second, "10.244.8.3/22")
	if err := nb.deletePort(ctx, first.uid); err != nil {
		t.Fatal(err)
	}
	if on1, on2 := nbctl("lsp-list", "node1"), nbctl("lsp-list", "node2"); on1 != "" || !strings.Contains(on2, "ns_pod") {
		t.Errorf("node1 has %q, node2 has %q, want ns_pod on node2 only", on1, on2)
	}
	if pods, err := nb.pods(ctx); err != nil || !slices.Equal(pods, []types.UID{"uid2"}) {
		t.Errorf("pods with ports: %v, %v, want uid2", pods, err)
	}

	if err := nb.deletePort(ctx, second.uid); err != nil {
		t.Fatal(err)
	}
	if left := nbctl("--bare", "list", "logical_switch_port"); left != "" {
		t.Errorf("left behind: %s", left)
	}
}

func TestLoadBalancerRows(t *testing.T) {
	nb, _, nbctl := testNorthbound(t)
	ctx := context.Background()
	set := func(rows ...balancer) {
		t.Helper()
		if err := nb.setBalancers(ctx, "ns/web", rows); err != nil {
			t.Fatal(err)
		}
	}
	row := func(name, backends string, places ...string) balancer {
		b := balancer{name: name, protocol: "tcp", vips: map[string]string{"10.96.0.7:80": backends}, options: map[string]string{"reject": "true"}}
		for _, place := range places {
			if strings.HasPrefix(place, "GR_") {
				b.routers = append(b.routers, place)
			} else {
				b.switches = append(b.switches, place)
			}
		}
		return b
	}
	// on says which rows are on which switches and routers.
	on := func() string {
		var lines []string
		for _, place := range []string{"node1", "node2"} {
			lines = append(lines, place+": "+names(nbctl("ls-lb-list", place)))
		}
		for _, place := range []string{"GR_node1", "GR_node2"} {
			lines = append(lines, place+": "+names(nbctl("lr-lb-list", place)))
		}
		return strings.Join(lines, ", ")
	}
	nbctl("--", "create", "load_balancer", "name=foreign", "external_ids:"+ownerKey+"=ns/web", "vips:1.1.1.1=2.2.2.2")
	set(row("a", "10.244.4.3:8080", "node1", "GR_node1"), row("b", "", "node2"))
	if got, want := on(), "node1: a, node2: b, GR_node1: a, GR_node2: "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if operations, err := nb.balancerOperations(ctx, "ns/web",
		[]balancer{row("a", "10.244.4.3:8080", "node1", "GR_node1"), row("b", "", "node2")}); err != nil || len(operations) > 0 {
		t.Errorf("the same rows a second time: %v, %v, want nothing to do", operations, err)
	}

	set(row("a", "10.244.8.3:8080", "node1", "GR_node2"))
	if got, want := on(), "node1: a, node2: , GR_node1: , GR_node2: a"; got != want {
		t.Errorf("moved: got %s, want %s", got, want)
	}
	if got := nbctl("--bare", "--columns=vips", "list", "load_balancer", "a"); !strings.Contains(got, "10.244.8.3:8080") {
		t.Errorf("backends: got %q, want 10.244.8.3:8080", got)
	}

	set()
	if got := strings.TrimSpace(nbctl("--bare", "--columns=name", "list", "load_balancer")); got != "foreign" {
		t.Errorf("left: %q, want only the row that is not ours", got)
	}
	if err := nb.setBalancers(ctx, "ns/web", []balancer{row("c", "", "node9")}); err == nil {
		t.Error("a row on a switch that does not exist: no error")
	}
}

// names picks the second column of ls-lb-list and lr-lb-list, without the heading.
func names(table string) string {
	var found []string
	for _, line := range strings.Split(strings.TrimSpace(table), "\n") {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] != "UUID" {
			found = append(found, fields[1])
		}
	}
	return strings.Join(found, " ")
}
