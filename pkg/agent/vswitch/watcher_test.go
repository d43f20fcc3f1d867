package vswitch

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"go.uber.org/goleak"
)

// schema is where the package openvswitch-switch puts it.
const schema = "/usr/share/openvswitch/vswitch.ovsschema"

// server is a real ovsdb-server with an Open vSwitch database and no ovs-vswitchd.
type server struct {
	t       *testing.T
	dir     string
	process *exec.Cmd
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir()}
	s.create()
	return s
}

func (s *server) create() {
	s.t.Helper()
	s.run("ovsdb-tool", "create", s.path("conf.db"), schema)
}

func (s *server) path(name string) string { return filepath.Join(s.dir, name) }
func (s *server) address() string         { return "unix:" + s.path("db.sock") }

func (s *server) run(name string, args ...string) {
	s.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		s.t.Fatalf("%s %s: %v\n%s(the test needs the package openvswitch-switch)", name, strings.Join(args, " "), err, out)
	}
}

func (s *server) vsctl(args ...string) {
	s.t.Helper()
	s.run("ovs-vsctl", append([]string{"--db=" + s.address(), "--no-wait", "--timeout=10"}, args...)...)
}

func (s *server) start() {
	s.t.Helper()
	s.process = exec.Command("ovsdb-server", "--remote=punix:"+s.path("db.sock"), "--unixctl="+s.path("ctl"),
		"--log-file="+s.path("log"), "-vconsole:off", s.path("conf.db"))
	if err := s.process.Start(); err != nil {
		s.t.Fatalf("ovsdb-server: %v (the test needs the package openvswitch-switch)", err)
	}
	s.t.Cleanup(s.stop)
	eventually(s.t, "ovsdb-server listens", func() bool {
		c, err := net.Dial("unix", s.path("db.sock"))
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
}

// stop kills the server, as a crash does.
func (s *server) stop() {
	if s.process == nil {
		return
	}
	if err := s.process.Process.Kill(); err != nil {
		s.t.Errorf("kill ovsdb-server: %v", err)
	}
	if err := s.process.Wait(); err == nil {
		s.t.Errorf("ovsdb-server ended by itself")
	}
	s.process = nil
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("never: %s", what)
		}
	}
}

// watch starts a watcher of br-int and gives what it knows; the watcher is gone when the test ends.
func watch(t *testing.T, address string) (state func() State, changes <-chan struct{}) {
	t.Helper()
	changed := make(chan struct{}, 1)
	w, err := NewWatcher(address, "br-int", testr.New(t), func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Start: %v", err)
		}
		if s := w.State(); s.Connected {
			t.Errorf("connected after the end: %+v", s)
		}
		goleak.VerifyNone(t)
	})
	return w.State, changed
}

// awaitState waits for changes, not for time: whoever misses one fails here.
func awaitState(t *testing.T, what string, state func() State, changes <-chan struct{}, ok func(State) bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for !ok(state()) {
		select {
		case <-changes:
		case <-deadline.C:
			t.Fatalf("never: %s; last: %+v", what, state())
		}
	}
}

func installed(config int64) func(State) bool {
	return func(s State) bool { return s.Connected && s.Problem == "" && s.Chassis.Config == config }
}

func TestTheWatcherFollowsTheIntegrationBridge(t *testing.T) {
	s := newServer(t)
	s.start()
	s.vsctl("add-br", "br-ex", "--", "set", "bridge", "br-ex", "external_ids:ovn-nb-cfg=99")
	state, changes := watch(t, s.address())
	awaitState(t, "a missing bridge is named", state, changes, func(s State) bool {
		return s.Connected && strings.Contains(s.Problem, "br-int") && s.Chassis == Chassis{}
	})
	s.vsctl("add-br", "br-int")
	awaitState(t, "a bridge without a number", state, changes, installed(0))
	s.vsctl("set", "bridge", "br-int", "external_ids:ovn-nb-cfg=5", "external_ids:ovn-nb-cfg-ts=2000", "external_ids:ovn-startup-ts=1000")
	awaitState(t, "the number", state, changes, installed(5))
	if c := state().Chassis; c.Stale() || !c.Started.Equal(time.UnixMilli(1000)) {
		t.Errorf("chassis = %+v, want it started at 1 s and fresh", c)
	}
	s.vsctl("set", "bridge", "br-int", "external_ids:ovn-nb-cfg=6")
	awaitState(t, "a change", state, changes, installed(6))
	s.vsctl("remove", "bridge", "br-int", "external_ids", "ovn-nb-cfg")
	awaitState(t, "the number is taken back", state, changes, installed(0))
	s.vsctl("--if-exists", "del-br", "br-int", "--", "add-br", "br-int", "--", "set", "bridge", "br-int", "external_ids:ovn-nb-cfg=7")
	awaitState(t, "the bridge is made anew", state, changes, installed(7))
	s.vsctl("set", "bridge", "br-int", "external_ids:ovn-nb-cfg=many")
	awaitState(t, "nonsense is named", state, changes, func(s State) bool {
		return s.Connected && strings.Contains(s.Problem, "ovn-nb-cfg")
	})
}

func TestTheWatcherWaitsForAServerThatIsNotThere(t *testing.T) {
	s := newServer(t)
	state, changes := watch(t, s.address())
	awaitState(t, "the reason is named", state, changes, func(st State) bool {
		return !st.Connected && strings.Contains(st.Problem, s.path("db.sock"))
	})
	s.start()
	s.vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", "external_ids:ovn-nb-cfg=5")
	awaitState(t, "connected", state, changes, installed(5))
}

func TestTheWatcherSurvivesARestartOfTheServer(t *testing.T) {
	s := newServer(t)
	s.start()
	s.vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", "external_ids:ovn-nb-cfg=5")
	state, changes := watch(t, s.address())
	awaitState(t, "connected", state, changes, installed(5))

	for range 3 {
		s.stop()
		awaitState(t, "the loss is noticed", state, changes, func(s State) bool {
			return !s.Connected && s.Chassis == Chassis{} && s.Problem != ""
		})
		s.start()
		awaitState(t, "connected again", state, changes, installed(5))
	}

	s.stop()
	if err := os.Remove(s.path("conf.db")); err != nil {
		t.Fatal(err)
	}
	s.create()
	s.start()
	awaitState(t, "a database that was made anew does not keep old numbers", state, changes, func(s State) bool {
		return s.Connected && s.Chassis.Config == 0
	})
	s.vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", "external_ids:ovn-nb-cfg=1")
	awaitState(t, "the new database is followed", state, changes, installed(1))
}

func TestAnAddressThatCannotBeDialledIsRefusedAtOnce(t *testing.T) {
	for _, address := range []string{"", "/run/openvswitch/db.sock", "http://localhost", "unix:\x7f"} {
		if _, err := NewWatcher(address, "br-int", testr.New(t), func() {}); err == nil {
			t.Errorf("address %q was accepted", address)
		}
	}
}
