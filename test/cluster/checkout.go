package cluster

import (
	"fmt"
	"os"
	"path/filepath"
)

// controlPlaneModule is where the checkout keeps the module that pins the control plane.
var controlPlaneModule = filepath.Join("test", "cluster", "controlplane")

// findCheckout returns the directory of this repository: the given one, or the nearest above the working
// directory, or the one above the executable's directory.
func findCheckout(given string) (string, error) {
	if given != "" {
		return filepath.Abs(given)
	}
	var starts []string
	if wd, err := os.Getwd(); err == nil {
		starts = append(starts, wd)
	}
	if executable, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(executable))
	}
	for _, dir := range starts {
		for {
			if _, err := os.Stat(filepath.Join(dir, controlPlaneModule, "go.mod")); err == nil {
				return dir, nil
			}
			parent := filepath.Dir(dir)
			if parent == dir {
				break
			}
			dir = parent
		}
	}
	return "", fmt.Errorf("no checkout of ovn-egress (a directory with %s) at or above any of %v: "+
		"run in one or name it with --checkout", controlPlaneModule, starts)
}
