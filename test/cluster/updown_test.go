package cluster_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/ovn-egress/ovn-egress/test/cluster"
)

// testCluster is the cluster of this package's tests.
const testCluster = "uptest"

// TestUpDown makes a cluster of two nodes and two external networks, uses it as a person would, makes a node fail in
// each way, and removes the cluster. It needs root; -short leaves it out.
func TestUpDown(t *testing.T) {
	if testing.Short() {
		t.Skip("makes a cluster")
	}
	before := footprint(t)
	program := build(t)
	run := func(t *testing.T, args ...string) string { return netcluster(t, program, args...) }
	run(t, "down")
	t.Cleanup(func() {
		if err := cluster.Down(context.Background(), testCluster); err != nil {
			t.Error(err)
		}
	})
	run(t, "up", "--nodes", "2", "--external-networks", "2")
	c, err := cluster.Open(testCluster, cluster.Options{Program: program})
	if err != nil {
		t.Fatal(err)
	}

	t.Run("a second up is refused", func(t *testing.T) {
		_, err := cluster.Up(t.Context(), cluster.Options{Name: testCluster, Program: program})
		if err == nil || !strings.Contains(err.Error(), "exists already") {
			t.Errorf("got error %v", err)
		}
	})
	t.Run("status lists the nodes", func(t *testing.T) {
		if got := run(t, "status", "-o", "json"); !strings.Contains(got, `"172.18.0.12"`) {
			t.Errorf("no 172.18.0.12 in %s", got)
		}
	})
	t.Run("kubeconfig is the administrator's", func(t *testing.T) {
		if got := run(t, "kubeconfig"); got != c.Kubeconfig() {
			t.Errorf("got %s, want %s", got, c.Kubeconfig())
		}
		config, err := c.RESTConfig()
		if err != nil {
			t.Fatal(err)
		}
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		if version, err := client.Discovery().ServerVersion(); err != nil || version.GitVersion != "v1.36.3" {
			t.Errorf("server version %v, error %v", version, err)
		}
	})
	t.Run("the topology is OVN-Kubernetes'", func(t *testing.T) {
		got := run(t, "nbctl", "--bare", "--columns=name", "find", "logical_router")
		for _, router := range []string{"ovn_cluster_router", "GR_node1", "GR_node2"} {
			if !strings.Contains(got, router) {
				t.Errorf("no router %s in %s", router, got)
			}
		}
		run(t, "sbctl", "show")
	})
	t.Run("each node reaches outside, services and other nodes", func(t *testing.T) {
		checkNode(t, run, "node1", "172.18.0.11")
		checkNode(t, run, "node2", "172.18.0.12")
		if got := run(t, "exec", "node/node1", "--", "curl", "-sS", "-m", "5", "http://10.10.10.100:8080"); !strings.HasPrefix(got, "10.10.10.11:") {
			t.Errorf("on the second external network node1 is seen as %s", got)
		}
	})
	for _, how := range []cluster.Failure{cluster.Link, cluster.Power, cluster.OVN, cluster.Reboot} {
		t.Run("a node comes back after "+string(how), func(t *testing.T) {
			run(t, "fail", "node/node2", "--how", string(how))
			if connects(t, program, "external/ext1", "172.18.0.12:22222") {
				t.Error("the failed node answers")
			}
			run(t, "heal", "node/node2")
			checkNode(t, run, "node2", "172.18.0.12")
		})
	}
	t.Run("exec passes the exit status on", func(t *testing.T) {
		err := exec.CommandContext(t.Context(), program, "--name", testCluster, "exec", "external/ext1", "--", "sh", "-c", "exit 7").Run()
		if got := err.Error(); got != "exit status 7" {
			t.Errorf("got %s", got)
		}
	})
	t.Run("down leaves nothing, also of a crash, also twice", func(t *testing.T) {
		crash(t)
		run(t, "down")
		run(t, "down")
		if after := footprint(t); after != before {
			t.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
	})
}

// checkNode connects from the node to an external host on its link and beyond the gateway, and to kube-apiserver
// by its service.
func checkNode(t *testing.T, run func(*testing.T, ...string) string, node, address string) {
	t.Helper()
	for _, host := range []string{"172.18.0.100", "198.51.100.1"} {
		got := run(t, "exec", "node/"+node, "--", "curl", "-sS", "-m", "5", "http://"+host+":8080")
		if !strings.HasPrefix(got, address+":") {
			t.Errorf("%s sees %s as %s", host, node, got)
		}
	}
	if got := run(t, "exec", "node/"+node, "--", "curl", "-sSk", "-m", "5", "https://10.96.0.1/readyz"); got != "ok" {
		t.Errorf("from %s the kubernetes service answers %q", node, got)
	}
}

// connects says whether an address answers at all, be it with a refusal.
func connects(t *testing.T, program, from, address string) bool {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, "--name", testCluster, "exec", from, "--",
		"curl", "-sS", "-m", "1", "http://"+address).CombinedOutput()
	return err == nil || strings.Contains(string(out), "refused")
}

// crash leaves the cluster as if netcluster had died while making it: without state, without a process's record.
func crash(t *testing.T) {
	t.Helper()
	for _, file := range []string{"state.json", "processes/forwarder.json", "processes/vswitchd-node1.json"} {
		if err := os.Remove(filepath.Join(cluster.Directory(testCluster), file)); err != nil {
			t.Error(err)
		}
	}
}

// footprint is what of the test's cluster is on the machine: files, network namespaces, mounts and processes.
func footprint(t *testing.T) string {
	t.Helper()
	var found []string
	for _, pattern := range []string{cluster.Directory(testCluster), "/run/netns/nc-" + testCluster + "-*"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, files...)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(mounts), "\n") {
		if strings.Contains(line, "/nc-"+testCluster) {
			found = append(found, line)
		}
	}
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range commands {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue // ended meanwhile
		}
		if strings.Contains(string(raw), cluster.Directory(testCluster)) {
			found = append(found, fmt.Sprintf("%s: %q", file, raw))
		}
	}
	return strings.Join(found, "\n")
}

func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "netcluster")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/netcluster").CombinedOutput()
	if err != nil {
		t.Fatalf("build netcluster: %v\n%s", err, out)
	}
	return program
}

// netcluster runs a command of netcluster on the test's cluster and returns its output; it fails the test if the
// command fails.
func netcluster(t *testing.T, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 12*time.Minute) // the first up on a machine builds Kubernetes
	defer cancel()
	full := append([]string{args[0], "--name", testCluster}, args[1:]...)
	cmd := exec.CommandContext(ctx, program, full...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("netcluster %s: %v\n%s", strings.Join(full, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}
