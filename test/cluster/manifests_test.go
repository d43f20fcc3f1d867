package cluster

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const someManifests = `apiVersion: v1
kind: ConfigMap
metadata: {name: network-abc, namespace: ns}
data: {NB: "tcp:1.2.3.4:6641"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: controller, namespace: ns}
spec:
  template:
    spec:
      serviceAccountName: account
      containers:
      - name: controller
        args: ["--nb-address=$(NB)", "--node=$(NODE_NAME)", "--other=$(UNKNOWN)"]
        env:
        - {name: NODE_NAME, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
        envFrom:
        - configMapRef: {name: network-abc}
        ports: [{name: metrics, containerPort: 2}, {name: health, containerPort: 1234}]
        readinessProbe: {httpGet: {path: /readyz, port: health}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: ns}
spec: {template: {spec: {containers: [{name: agent}]}}}
`

func TestManifestsAreSplitIntoObjectsAndWorkloads(t *testing.T) {
	m, err := parseManifests(someManifests)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(m.objects, "kind: ConfigMap") || strings.Contains(m.objects, "apps/v1") {
		t.Errorf("objects to apply are:\n%s", m.objects)
	}
	if len(m.workloads) != 2 || m.workloads[0].everywhere || !m.workloads[1].everywhere {
		t.Fatalf("workloads are %+v", m.workloads)
	}
	n := &Node{Name: "node2"}
	for want, w := range map[string]workload{"controller-1": m.workloads[0], "agent-node2": m.workloads[1]} {
		if got := w.component(n, 0); got != want {
			t.Errorf("component of %s is %s, want %s", w.name, got, want)
		}
	}
}

func TestArgumentsAreExpandedAsKubeletDoes(t *testing.T) {
	m, err := parseManifests(someManifests)
	if err != nil {
		t.Fatal(err)
	}
	container := m.workloads[0].template.Containers[0]
	env, err := m.environment(m.workloads[0], container, &Node{Name: "node2"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, arg := range container.Args {
		got = append(got, expand(arg, env))
	}
	want := []string{"--nb-address=tcp:1.2.3.4:6641", "--node=node2", "--other=$(UNKNOWN)"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	ready, err := readiness(container)
	if err != nil {
		t.Fatal(err)
	}
	if want := "http://127.0.0.1:1234/readyz"; ready != want {
		t.Errorf("readiness at %s, want %s", ready, want)
	}
	if _, err := readiness(m.workloads[1].template.Containers[0]); err == nil {
		t.Error("a container without a probe has a readiness URL")
	}
}

func TestAMissingConfigMapIsAnError(t *testing.T) {
	m, err := parseManifests(strings.Replace(someManifests, "name: network-abc, namespace", "name: other, namespace", 1))
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.environment(m.workloads[0], m.workloads[0].template.Containers[0], &Node{})
	if err == nil || !strings.Contains(err.Error(), "network-abc") {
		t.Errorf("got %v, want an error about ConfigMap network-abc", err)
	}
}

func TestOverrideReplacesFlagsOfTheSameName(t *testing.T) {
	got := override([]string{"--a=1", "--b=2", "--b=3", "--bc=4", "-c=5"}, "--b=6", "--c", "7", "--d")
	want := []string{"--a=1", "--bc=4", "--b=6", "--c", "7", "--d"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
