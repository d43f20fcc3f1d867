package controller

import (
	"sync"

	"github.com/ovn-egress/ovn-egress/pkg/northbound"
)

// work collects what the next pass has to look at. It is safe for concurrent use.
type work struct {
	mu   sync.Mutex
	todo todo
	wake chan struct{} // holds a token while there is something to do
}

// todo is what changed since the last pass.
type todo struct {
	all       bool            // anything
	plan      bool            // what placements depend on
	zone      bool            // what the shared rows depend on
	confirmed bool            // a chassis confirmed a configuration number
	egressIPs map[string]bool // these
}

func newWork() *work {
	return &work{todo: todo{egressIPs: map[string]bool{}}, wake: make(chan struct{}, 1)}
}

func (w *work) change(f func(*todo)) {
	w.mu.Lock()
	f(&w.todo)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// take returns what is to do and starts anew.
func (w *work) take() todo {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.todo
	w.todo = todo{egressIPs: map[string]bool{}}
	return t
}

// putBack returns what a failed pass took.
func (w *work) putBack(t todo) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.todo.all, w.todo.zone, w.todo.plan = w.todo.all || t.all, w.todo.zone || t.zone, true
	w.todo.confirmed = w.todo.confirmed || t.confirmed
	for name := range t.egressIPs {
		w.todo.egressIPs[name] = true
	}
}

// idle says that nothing changed but, at most, what chassis have installed.
func (t todo) idle() bool { return !t.all && !t.plan && !t.zone && len(t.egressIPs) == 0 }

// AllChanged implements northbound.Observer.
func (w *work) AllChanged() { w.change(func(t *todo) { t.all = true }) }

// ZoneChanged implements northbound.Observer.
func (w *work) ZoneChanged() { w.change(func(t *todo) { t.zone = true }) }

// RowsChanged implements northbound.Observer.
func (w *work) RowsChanged(o northbound.Owner) {
	if o == northbound.ZoneOwner {
		w.ZoneChanged()
		return
	}
	w.egressIPsChanged(o.Name)
}

func (w *work) planChanged() { w.change(func(t *todo) { t.plan = true }) }

func (w *work) chassisConfirmed() { w.change(func(t *todo) { t.confirmed = true }) }

func (w *work) egressIPsChanged(names ...string) {
	if len(names) == 0 {
		return
	}
	w.change(func(t *todo) {
		for _, n := range names {
			t.egressIPs[n] = true
		}
	})
}
