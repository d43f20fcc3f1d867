package cluster

import (
	"os"
	"path/filepath"
	"testing"
)

// The wrappers must name the unpacked system's own ovs-vswitchd: usr/sbin/ovs-vswitchd of Debian's packages is a
// link through /etc/alternatives, which outside a chroot is the machine's version.
func TestWrappersRunTheUnpackedExecutables(t *testing.T) {
	root, bin := t.TempDir(), t.TempDir()
	touch := func(path string) {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	touch("usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
	for _, tool := range ovnTools {
		dir := "usr/bin"
		if tool == "ovs-vswitchd" {
			dir = "usr/lib/openvswitch-switch"
		}
		touch(filepath.Join(dir, tool))
	}
	if err := os.MkdirAll(filepath.Join(root, "usr/sbin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/alternatives/ovs-vswitchd", filepath.Join(root, "usr/sbin/ovs-vswitchd")); err != nil {
		t.Fatal(err)
	}
	if err := wrapTools(root, bin, "/final/root"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(bin, "ovs-vswitchd"))
	if err != nil {
		t.Fatal(err)
	}
	const lib = "/final/root/usr/lib/"
	want := "#!/bin/sh\nexec " + lib + "x86_64-linux-gnu/ld-linux-x86-64.so.2 --argv0 ovs-vswitchd --library-path " +
		lib + "x86_64-linux-gnu:/final/root/usr/lib " + lib + "openvswitch-switch/ovs-vswitchd \"$@\"\n"
	if string(got) != want {
		t.Errorf("got  %swant %s", got, want)
	}
	if err := os.Remove(filepath.Join(root, "usr/bin/ovn-northd")); err != nil {
		t.Fatal(err)
	}
	if err := wrapTools(root, bin, "/final/root"); err == nil {
		t.Error("nobody noticed that ovn-northd is missing")
	}
}
