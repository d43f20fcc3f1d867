package cluster

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// kubernetesVersion is what the binaries say they are. It is the version in the control plane's go.mod.
const kubernetesVersion = "v1.36.3"

// assetsVariable names a directory with ready-made control plane binaries, as envtest uses it.
const assetsVariable = "KUBEBUILDER_ASSETS"

// controlPlaneBuildSpace is what downloading and building takes in modules, build cache and binaries.
const controlPlaneBuildSpace = 5 << 30

// controlPlane returns a directory with etcd, kube-apiserver, kube-controller-manager and kubectl: the one that
// KUBEBUILDER_ASSETS names, or a cached build of the checkout's pinned module.
func controlPlane(ctx context.Context, o Options) (string, error) {
	if assets := os.Getenv(assetsVariable); assets != "" {
		return assets, checkControlPlane(assets)
	}
	source := filepath.Join(o.Checkout, controlPlaneModule)
	version, err := controlPlaneVersion(source)
	if err != nil {
		return "", err
	}
	dir, err := cached(ctx, []string{"controlplane", version}, func(temporary, _ string) error {
		o.Progress("building the Kubernetes control plane, once: about four minutes on two cores")
		return buildControlPlane(ctx, source, temporary)
	})
	if err != nil {
		return "", fmt.Errorf("control plane: %w", err)
	}
	return dir, nil
}

// controlPlaneVersion names a build: another go.mod or go.sum is another build.
func controlPlaneVersion(source string) (string, error) {
	hash := sha256.New()
	for _, file := range []string{"go.mod", "go.sum"} {
		raw, err := os.ReadFile(filepath.Join(source, file))
		if err != nil {
			return "", fmt.Errorf("sources of the control plane: %w (set --checkout, or %s to a directory with "+
				"ready-made binaries)", err, assetsVariable)
		}
		hash.Write(raw)
	}
	return fmt.Sprintf("%s-%x", kubernetesVersion, hash.Sum(nil)[:6]), nil
}

func buildControlPlane(ctx context.Context, source, dir string) error {
	if err := needSpace(dir, controlPlaneBuildSpace); err != nil {
		return err
	}
	if _, err := exec.LookPath("go"); err != nil {
		return fmt.Errorf("%w: install Go, or set %s to a directory with ready-made binaries", err, assetsVariable)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath",
		"-ldflags", "-s -w -X k8s.io/component-base/version.gitVersion="+kubernetesVersion+
			" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36",
		"-o", dir,
		"k8s.io/kubernetes/cmd/kube-apiserver", "k8s.io/kubernetes/cmd/kube-controller-manager",
		"k8s.io/kubernetes/cmd/kubectl", "./cmd/etcd")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if _, err := runWith(cmd); err != nil {
		return fmt.Errorf("build in %s (a first build downloads modules: is there a network?): %w", source, err)
	}
	return checkControlPlane(dir)
}

func checkControlPlane(dir string) error {
	var missing []error
	for _, binary := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kubectl"} {
		if _, err := os.Stat(filepath.Join(dir, binary)); err != nil {
			missing = append(missing, err)
		}
	}
	return errors.Join(missing...)
}
