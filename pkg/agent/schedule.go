package agent

import (
	"net/netip"
	"slices"
	"time"
)

// offsets are the times of the announcements of an address, counted from the first.
var offsets = [...]time.Duration{0, time.Second, 3 * time.Second}

// retryAfter is the pause after an announcement that could not be sent.
const retryAfter = time.Second

// nextAnnouncement is when the address is to be announced next: the zero time for at once; more is false if it is
// not, or not yet, to be announced.
func (r record) nextAnnouncement() (at time.Time, more bool) {
	switch {
	case !r.Installed || r.Leaving || r.Sent == len(offsets):
		return time.Time{}, false
	case r.Problem != "":
		return r.Retry, true
	case r.Sent == 0:
		return time.Time{}, true
	default:
		return r.First.Add(offsets[r.Sent]), true
	}
}

// due are the addresses to announce now, in order.
func (l ledger) due(now time.Time) []netip.Addr {
	var due []netip.Addr
	for _, r := range l {
		if at, more := r.nextAnnouncement(); more && !at.After(now) {
			due = append(due, r.Addr)
		}
	}
	slices.SortFunc(due, netip.Addr.Compare)
	return due
}

// next is when an address has to be announced next; more is false if none has.
func (l ledger) next() (at time.Time, more bool) {
	for _, r := range l {
		if t, planned := r.nextAnnouncement(); planned && (!more || t.Before(at)) {
			at, more = t, true
		}
	}
	return at, more
}

// announced notes that the first sent of the addresses were announced, and that the others were not because of err.
func (l ledger) announced(addrs []netip.Addr, sent int, err error, now time.Time) {
	for i, addr := range addrs {
		r := l[addr.String()]
		if i < sent {
			if r.Sent == 0 {
				r.First = now
			}
			r.Sent++
			r.Announced, r.Problem = true, ""
		} else {
			r.Problem, r.Retry = err.Error(), now.Add(retryAfter)
		}
		l[addr.String()] = r
	}
}
