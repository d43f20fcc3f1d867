package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// manifests are the objects of a kustomization, with those apart that processes stand for.
type manifests struct {
	objects    string // YAML documents of everything but Deployments and DaemonSets
	workloads  []workload
	configMaps map[string]map[string]string // by namespace/name
}

// workload is a Deployment or a DaemonSet.
type workload struct {
	namespace, name string
	everywhere      bool // a DaemonSet
	template        corev1.PodSpec
}

// readManifests runs kustomize on a directory.
func (s *State) readManifests(ctx context.Context, dir string) (*manifests, error) {
	out, err := run(ctx, filepath.Join(s.ControlPlane, "kubectl"), "kustomize", dir)
	if err != nil {
		return nil, fmt.Errorf("manifests in %s: %w", dir, err)
	}
	m, err := parseManifests(out)
	if err != nil {
		return nil, fmt.Errorf("manifests in %s: %w", dir, err)
	}
	return m, nil
}

func parseManifests(documents string) (*manifests, error) {
	m := &manifests{configMaps: map[string]map[string]string{}}
	var objects []string
	reader := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(documents)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			m.objects = strings.Join(objects, "\n---\n")
			return m, nil
		}
		if err != nil {
			return nil, err
		}
		process, err := m.add(document)
		if err != nil {
			return nil, err
		}
		if !process {
			objects = append(objects, string(document))
		}
	}
}

// add takes note of an object and says whether processes stand for it.
func (m *manifests) add(document []byte) (process bool, err error) {
	var object metav1.PartialObjectMetadata
	if err := yaml.Unmarshal(document, &object); err != nil {
		return false, err
	}
	switch object.Kind {
	case "ConfigMap":
		var configMap corev1.ConfigMap
		err = yaml.Unmarshal(document, &configMap)
		m.configMaps[object.Namespace+"/"+object.Name] = configMap.Data
	case "Deployment":
		var deployment appsv1.Deployment
		err = yaml.Unmarshal(document, &deployment)
		m.workloads = append(m.workloads,
			workload{object.Namespace, object.Name, false, deployment.Spec.Template.Spec})
		process = true
	case "DaemonSet":
		var daemonSet appsv1.DaemonSet
		err = yaml.Unmarshal(document, &daemonSet)
		m.workloads = append(m.workloads,
			workload{object.Namespace, object.Name, true, daemonSet.Spec.Template.Spec})
		process = true
	}
	if err != nil {
		return false, fmt.Errorf("%s %s: %w", object.Kind, object.Name, err)
	}
	return process, nil
}

// environment is what kubelet would give a container on a node, as far as these manifests use it.
func (m *manifests) environment(w workload, c corev1.Container, n *Node) (map[string]string, error) {
	env := map[string]string{}
	for _, from := range c.EnvFrom {
		if from.ConfigMapRef == nil {
			return nil, fmt.Errorf("container %s: envFrom something else than a ConfigMap", c.Name)
		}
		data, ok := m.configMaps[w.namespace+"/"+from.ConfigMapRef.Name]
		if !ok {
			return nil, fmt.Errorf("container %s: no ConfigMap %s", c.Name, from.ConfigMapRef.Name)
		}
		for key, value := range data {
			env[from.Prefix+key] = value
		}
	}
	for _, variable := range c.Env {
		switch {
		case variable.ValueFrom == nil:
			env[variable.Name] = variable.Value
		case variable.ValueFrom.FieldRef != nil && variable.ValueFrom.FieldRef.FieldPath == "spec.nodeName":
			env[variable.Name] = n.Name
		default:
			return nil, fmt.Errorf("container %s: variable %s is from something else than spec.nodeName",
				c.Name, variable.Name)
		}
	}
	return env, nil
}

// expand replaces $(NAME) by variables, as kubelet does; a name that is not defined stays as it is.
func expand(arg string, env map[string]string) string {
	pairs := make([]string, 0, 2*len(env))
	for name, value := range env {
		pairs = append(pairs, "$("+name+")", value)
	}
	return strings.NewReplacer(pairs...).Replace(arg)
}

// override appends flags to arguments of the form --NAME=VALUE and removes what it overrides: some flags are
// lists and would otherwise get both values.
func override(args []string, flags ...string) []string {
	name := func(arg string) string {
		name, _, _ := strings.Cut(arg, "=")
		return "--" + strings.TrimLeft(name, "-")
	}
	overridden := map[string]bool{}
	for _, flag := range flags {
		if strings.HasPrefix(flag, "-") {
			overridden[name(flag)] = true
		}
	}
	var result []string
	for _, arg := range args {
		if !overridden[name(arg)] {
			result = append(result, arg)
		}
	}
	return append(result, flags...)
}

// readiness is the URL of a container's readiness probe, as seen in its network namespace.
func readiness(c corev1.Container) (string, error) {
	if c.ReadinessProbe == nil || c.ReadinessProbe.HTTPGet == nil {
		return "", fmt.Errorf("container %s has no HTTP readiness probe", c.Name)
	}
	get := c.ReadinessProbe.HTTPGet
	port := get.Port.IntValue()
	for _, p := range c.Ports {
		if p.Name == get.Port.StrVal {
			port = int(p.ContainerPort)
		}
	}
	return fmt.Sprintf("http://127.0.0.1:%d%s", port, get.Path), nil
}

// kubectl runs kubectl as administrator with something on its standard input.
func (s *State) kubectl(ctx context.Context, input string, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(s.ControlPlane, "kubectl"),
		append([]string{"--kubeconfig=" + s.Kubeconfig()}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	_, err := runWith(cmd)
	return err
}
