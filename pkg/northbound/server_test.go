package northbound

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
)

// Schemas of the distribution's packages (Debian: ovn-common).
const (
	nbSchema = "/usr/share/ovn/ovn-nb.ovsschema"
	sbSchema = "/usr/share/ovn/ovn-sb.ovsschema"
)

// server is a real ovsdb-server on a socket in the test's directory.
type server struct {
	t      *testing.T
	dir    string
	name   string
	schema string
	cmd    *exec.Cmd
}

func startServer(t *testing.T, name, schema string) *server {
	t.Helper()
	dir, err := os.MkdirTemp("", "nb") // t.TempDir is too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, dir: dir, name: name, schema: schema}
	t.Cleanup(func() {
		s.stop()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	s.run("ovsdb-tool", "create", s.db(), schema)
	s.start()
	return s
}

func (s *server) db() string     { return filepath.Join(s.dir, s.name+".db") }
func (s *server) socket() string { return filepath.Join(s.dir, s.name+".sock") }
func (s *server) endpoint() Endpoint {
	return Endpoint{Addresses: []string{"unix:" + s.socket()}}
}

func (s *server) run(name string, args ...string) string {
	s.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func (s *server) nbctl(args ...string) string {
	s.t.Helper()
	return s.run("ovn-nbctl", append([]string{"--db=unix:" + s.socket(), "--timeout=10"}, args...)...)
}

func (s *server) start() {
	s.t.Helper()
	s.cmd = exec.Command("ovsdb-server", "--remote=punix:"+s.socket(), "--unixctl="+filepath.Join(s.dir, s.name+".ctl"),
		"--log-file="+filepath.Join(s.dir, s.name+".log"), "-vconsole:off", s.db())
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, func() bool { _, err := os.Stat(s.socket()); return err == nil })
}

func (s *server) stop() {
	if s.cmd == nil {
		return
	}
	if err := s.cmd.Process.Kill(); err != nil {
		s.t.Error(err)
	}
	_ = s.cmd.Wait() // reports the kill
	s.cmd = nil
	_ = os.Remove(s.socket()) // a killed server leaves its socket behind
}

// recorder is an Observer that remembers.
type recorder struct {
	mu     sync.Mutex
	owners map[Owner]int
	all    int
}

func (r *recorder) RowsChanged(o Owner) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.owners == nil {
		r.owners = map[Owner]int{}
	}
	r.owners[o]++
}

func (r *recorder) ZoneChanged() {}

func (r *recorder) AllChanged() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all++
}

func (r *recorder) rowsChanged(o Owner) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.owners[o]
}

func (r *recorder) allChanged() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all
}

func openDatabase(t *testing.T, s *server, observer Observer) *Database {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	d, err := Open(ctx, s.endpoint(), OVNKubernetes, observer, testr.New(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline:
			t.Fatal("condition not met in 20 s")
		case <-tick.C:
		}
	}
}
