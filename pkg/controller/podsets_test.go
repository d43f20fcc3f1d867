package controller

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A simulated database and chassis: what was written with which number, and how far each side has installed it.
func TestPodsAreReroutedOnlyAfterTheHostsTranslateThem(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		pod := rapid.Map(rapid.ByteRange(1, 6), func(b byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 244, 0, b}) })
		var sets podSets
		var translated, rerouted []netip.Addr
		config := int64(1)
		since := config                                // the take-over
		translatedAt := map[int64][]netip.Addr{1: nil} // configuration number -> translated set
		installed := config                            // what the hosts have
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			if rapid.IntRange(0, 9).Draw(rt, "leader") == 0 { // a new leader knows nothing but the database
				sets, config = podSets{}, config+1
				since = config
				translatedAt[config] = translated
			}
			selected := rapid.SliceOfDistinct(pod, rapid.ID).Draw(rt, "selected")
			installed += rapid.Int64Range(0, config-installed).Draw(rt, "installed")
			done := confirmations{hosts: installed, all: installed}
			nextT, nextR, waiting := sets.next(selected, translated, rerouted, done, since, time.Time{}, nowhere)
			for _, p := range nextR {
				if !slices.Contains(rerouted, p) && !slices.Contains(translatedAt[installed], p) {
					rt.Fatalf("%s is rerouted, but the hosts have only configuration %d", p, installed)
				}
				if !slices.Contains(nextT, p) || !slices.Contains(selected, p) {
					rt.Fatalf("%s is rerouted, translated %v, selected %v", p, nextT, selected)
				}
			}
			for _, p := range rerouted {
				if !slices.Contains(nextT, p) {
					rt.Fatalf("%s stops being translated while it may still be sent", p)
				}
			}
			if !waiting && (len(nextR) != len(selected) || len(nextT) != len(selected)) {
				rt.Fatalf("nothing waits, but translated %v and rerouted %v for %v", nextT, nextR, selected)
			}
			config++
			sets.written(config, time.Time{}, translated, nextT, rerouted, nextR)
			translated, rerouted = nextT, nextR
			translatedAt[config] = translated
		}
	})
}

func TestPodsSettle(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		pod := rapid.Map(rapid.ByteRange(1, 20), func(b byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 244, 0, b}) })
		translated := rapid.SliceOfDistinct(pod, rapid.ID).Draw(rt, "translated")
		rerouted := rapid.SliceOfDistinct(pod, rapid.ID).Draw(rt, "rerouted")
		selected := rapid.SliceOfDistinct(pod, rapid.ID).Draw(rt, "selected")
		var sets podSets
		config, waiting := int64(1), true
		for passes := 0; waiting; passes++ {
			if passes > 4 {
				rt.Fatalf("still waiting after %d passes with everything confirmed", passes)
			}
			var nextT, nextR []netip.Addr
			nextT, nextR, waiting = sets.next(selected, translated, rerouted, confirmations{hosts: config, all: config}, 1, time.Time{}, nowhere)
			config++
			sets.written(config, time.Time{}, translated, nextT, rerouted, nextR)
			translated, rerouted = nextT, nextR
		}
		for _, set := range [][]netip.Addr{translated, rerouted} {
			if len(set) != len(selected) {
				rt.Fatalf("settled with translated %v, rerouted %v, want %v", translated, rerouted, selected)
			}
		}
	})
}

func nowhere(netip.Addr) bool { return false }

func TestAPodThatChangesItsEgressIPLeavesTheOldOneFirst(t *testing.T) {
	pod := netip.MustParseAddr("10.244.0.1")
	var sets podSets
	elsewhere := func(netip.Addr) bool { return true }
	translated, rerouted, waiting := sets.next([]netip.Addr{pod}, nil, nil, confirmations{}, 1, time.Time{}, elsewhere)
	if len(translated) != 0 || len(rerouted) != 0 || !waiting {
		t.Errorf("translated %v, rerouted %v, waiting %v while another EgressIP translates the pod", translated, rerouted, waiting)
	}
}

func TestAPodThatLeftIsNotTranslatedForEverForASilentChassis(t *testing.T) {
	pod := netip.MustParseAddr("10.244.0.1")
	var sets podSets
	start := time.Unix(100, 0)
	silent := confirmations{hosts: 1, all: 1}
	translated, rerouted, _ := sets.next(nil, []netip.Addr{pod}, []netip.Addr{pod}, silent, 1, start, nowhere)
	if len(translated) != 1 || len(rerouted) != 0 {
		t.Fatalf("translated %v, rerouted %v, want it translated and no longer rerouted", translated, rerouted)
	}
	sets.written(5, start, []netip.Addr{pod}, translated, []netip.Addr{pod}, rerouted)
	for _, tc := range []struct {
		after time.Duration
		want  int
	}{{overlapAtMost - 1, 1}, {overlapAtMost, 0}} {
		if got, _, _ := sets.next(nil, translated, nil, silent, 1, start.Add(tc.after), nowhere); len(got) != tc.want {
			t.Errorf("after %s translated %v, want %d", tc.after, got, tc.want)
		}
	}
}
