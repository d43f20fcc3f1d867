package vswitch

import (
	"strings"
	"testing"
	"time"
)

func TestReadChassis(t *testing.T) {
	tests := []struct {
		name      string
		ids       map[string]string
		want      Chassis
		wantStale bool
		wantErr   string
	}{
		{name: "nothing is reported before ovn-controller ran", ids: map[string]string{"ct-zone-x": "1"}},
		{
			name: "a number of this run is fresh",
			ids:  map[string]string{"ovn-nb-cfg": "7", "ovn-nb-cfg-ts": "2000", "ovn-startup-ts": "1000"},
			want: Chassis{Config: 7, Recorded: time.UnixMilli(2000), Started: time.UnixMilli(1000)},
		}, {
			name:      "a number of an earlier run is stale",
			ids:       map[string]string{"ovn-nb-cfg": "7", "ovn-nb-cfg-ts": "2000", "ovn-startup-ts": "3000"},
			want:      Chassis{Config: 7, Recorded: time.UnixMilli(2000), Started: time.UnixMilli(3000)},
			wantStale: true,
		}, {
			name: "without a start time a number counts as fresh",
			ids:  map[string]string{"ovn-nb-cfg": "7", "ovn-nb-cfg-ts": "2000"},
			want: Chassis{Config: 7, Recorded: time.UnixMilli(2000)},
		}, {
			name:    "what is no number is named, and the rest is read",
			ids:     map[string]string{"ovn-nb-cfg": "seven", "ovn-nb-cfg-ts": "2000"},
			want:    Chassis{Recorded: time.UnixMilli(2000)},
			wantErr: "external_ids:ovn-nb-cfg",
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got, err := readChassis(tc.ids)
			if got != tc.want || got.Stale() != tc.wantStale {
				t.Errorf("chassis = %+v, stale %t; want %+v, stale %t", got, got.Stale(), tc.want, tc.wantStale)
			}
			if tc.wantErr == "" && err != nil || tc.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tc.wantErr)) {
				t.Errorf("error = %v, want %q", err, tc.wantErr)
			}
		})
	}
}
