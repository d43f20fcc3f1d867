package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// ovnPackages are Debian's packages with Open vSwitch and OVN.
var ovnPackages = []string{"openvswitch-switch", "openvswitch-common", "ovn-central", "ovn-host", "ovn-common"}

// ovnTools are the executables that a cluster runs or that are useful in one.
var ovnTools = []string{
	"ovsdb-server", "ovsdb-tool", "ovsdb-client", "ovs-vswitchd", "ovs-vsctl", "ovs-ofctl", "ovs-appctl", "ovs-dpctl",
	"ovn-northd", "ovn-controller", "ovn-nbctl", "ovn-sbctl", "ovn-appctl", "ovn-trace",
}

// releases are the values of --ovn: the suite of Debian whose packages are unpacked, empty for the packages that
// are installed on this machine.
var releases = map[string]string{"distro": "", "trixie": "trixie", "sid": "sid"}

// ovnBuildSpace is what unpacking a release takes.
const ovnBuildSpace = 1 << 30

// release is Open vSwitch and OVN ready to run.
type release struct {
	tools   string // directory with the executables
	schemas string // directory above openvswitch/ and ovn/ with the database schemas
}

func (r *release) switchSchema() string {
	return filepath.Join(r.schemas, "openvswitch", "vswitch.ovsschema")
}

func (r *release) northboundSchema() string {
	return filepath.Join(r.schemas, "ovn", "ovn-nb.ovsschema")
}

func (r *release) southboundSchema() string {
	return filepath.Join(r.schemas, "ovn", "ovn-sb.ovsschema")
}

// findRelease returns the named release, which it installs or unpacks if need be.
func findRelease(ctx context.Context, o Options) (*release, error) {
	suite := releases[o.OVN]
	if suite == "" {
		return installedRelease(ctx, o)
	}
	dir, err := cached(ctx, []string{"ovn", suite}, func(temporary, final string) error {
		o.Progress(fmt.Sprintf("unpacking Open vSwitch and OVN of Debian %s, once: about a minute", suite))
		return unpackRelease(ctx, suite, temporary, final)
	})
	if err != nil {
		return nil, fmt.Errorf("OVN of Debian %s: %w", suite, err)
	}
	return &release{tools: filepath.Join(dir, "bin"), schemas: filepath.Join(dir, "root", "usr", "share")}, nil
}

// installedRelease is what the machine's own packages brought, linked into one directory so that the tools of
// all releases are found in the same way.
func installedRelease(ctx context.Context, o Options) (*release, error) {
	if missing := missingTools(); len(missing) > 0 {
		if err := installPackages(ctx, o, missing); err != nil {
			return nil, err
		}
	}
	dir, err := cached(ctx, []string{"ovn", "distro"}, func(temporary, _ string) error {
		for _, tool := range ovnTools {
			target, err := exec.LookPath(tool)
			if err != nil {
				return err
			}
			if err := os.Symlink(target, filepath.Join(temporary, tool)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("OVN of this machine: %w", err)
	}
	return &release{tools: dir, schemas: "/usr/share"}, nil
}

func missingTools() []string {
	var missing []string
	for _, tool := range ovnTools {
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, tool)
		}
	}
	return missing
}

// installPackages installs the machine's OVN packages. Their services stay stopped: a cluster starts its own.
func installPackages(ctx context.Context, o Options, missing []string) error {
	install := append([]string{"apt-get", "install", "-y", "--no-install-recommends"}, ovnPackages...)
	complaint := fmt.Errorf("missing %s: run %q", strings.Join(missing, ", "), strings.Join(install, " "))
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("%w, or what corresponds to it here, or use --ovn trixie", complaint)
	}
	o.Progress("installing " + strings.Join(ovnPackages, " "))
	allow, err := denyServiceStarts()
	if err != nil {
		return errors.Join(complaint, err)
	}
	cmd := exec.CommandContext(ctx, install[0], install[1:]...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	_, err = runWith(cmd)
	if err := errors.Join(err, allow()); err != nil {
		return errors.Join(complaint, err)
	}
	return nil
}

// servicePolicy is asked by Debian's maintainer scripts before they start a service; exit status 101 forbids it.
const servicePolicy = "/usr/sbin/policy-rc.d"

// denyServiceStarts keeps package installation from starting services until the returned function is called. A
// policy that exists already is respected.
func denyServiceStarts() (allow func() error, err error) {
	file, err := os.OpenFile(servicePolicy, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if errors.Is(err, os.ErrExist) {
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, fmt.Errorf("keep services from starting: %w", err)
	}
	_, err = file.WriteString("#!/bin/sh\nexit 101\n")
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("keep services from starting: %w", err), os.Remove(servicePolicy))
	}
	return func() error { return os.Remove(servicePolicy) }, nil
}

// unpackRelease fills a directory with a minimal Debian of the given suite (root) and with wrappers around its
// executables (bin), which run in place without a chroot.
func unpackRelease(ctx context.Context, suite, dir, final string) error {
	if err := needSpace(dir, ovnBuildSpace); err != nil {
		return err
	}
	if _, err := exec.LookPath("debootstrap"); err != nil {
		return fmt.Errorf("%w: run \"apt-get install debootstrap\"", err)
	}
	root := filepath.Join(dir, "root")
	if _, err := run(ctx, "debootstrap", "--variant=minbase", "--include="+strings.Join(ovnPackages, ","),
		suite, root); err != nil {
		return fmt.Errorf("%w (is there a network?)", err)
	}
	return wrapTools(root, filepath.Join(dir, "bin"), filepath.Join(final, "root"))
}

// wrapTools writes a wrapper for each tool below root into bin. The wrappers call the unpacked system's own
// dynamic loader with its own libraries, under the path where root will be found in the end.
func wrapTools(root, bin, finalRoot string) error {
	loaders, err := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu*/ld-linux-*.so.*"))
	if err != nil || len(loaders) == 0 {
		return fmt.Errorf("no dynamic loader for %s below %s", runtime.GOARCH, root)
	}
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	inFinal := func(path string) string { return finalRoot + strings.TrimPrefix(path, root) }
	loader := inFinal(loaders[0])
	for _, tool := range ovnTools {
		path, err := findTool(root, tool)
		if err != nil {
			return err
		}
		script := fmt.Sprintf("#!/bin/sh\nexec %s --argv0 %s --library-path %s:%s %s \"$@\"\n",
			loader, tool, filepath.Dir(loader), filepath.Join(finalRoot, "usr/lib"), inFinal(path))
		if err := os.WriteFile(filepath.Join(bin, tool), []byte(script), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// findTool looks for an executable where Debian's packages put them. Links are passed over: those of
// ovs-vswitchd are absolute and lead out of the unpacked system, to the machine's own version.
func findTool(root, tool string) (string, error) {
	for _, dir := range []string{"usr/lib/openvswitch-switch", "usr/bin", "usr/sbin", "usr/share/openvswitch"} {
		path := filepath.Join(root, dir, tool)
		if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", fmt.Errorf("no %s in the packages below %s", tool, root)
}
